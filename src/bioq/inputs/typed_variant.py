"""A variant that a user has typed: its site on the genome, and the windows of its two alleles."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from bioq.errors import BioqError, UsageError
from bioq.genome import ContigNames
from bioq.genome.alleles import (
    NO_CONTIG,
    OUTSIDE,
    REF_MISMATCH,
    SCORED,
    SWAPPED,
    AlleleSite,
    find_site,
    read_allele_windows,
    window_positions,
)
from bioq.genome.notation import VariantText
from bioq.genome.vcf import Variant, parse_pos
from bioq.genome.vcf_tables import not_vcf, other_table
from bioq.genome.windows import middle_start
from bioq.inputs.regions import RegionWindows, outside_genome
from bioq.inputs.windows import WindowBatch, in_batches


class VariantWindows:
    """The window with REF and the window with ALT, as `bioq variants` makes them.

    The first base of REF is at index `window_bp // 2 - 1`; an allele that changes the length keeps
    the bases on its left. `start` and `end` are those of the bin in the middle of the window, by
    the genome's positions of its first and last base. `name` is `ref REF` or `alt ALT`.
    """

    columns: ClassVar[dict[str, Literal["text", "integer", "number"]]] = RegionWindows.columns

    def __init__(
        self, text: str, variant: VariantText, names: ContigNames, *, window_bp: int, bin_bp: int
    ):
        """Read the two windows. Raises BioqError for a variant that the genome does not have."""
        site = variant_site(text, variant, names)
        windows = read_allele_windows(names.genome, site, window_bp, "left")
        positions, edited = window_positions(site, window_bp, "left")
        length, first = names.genome.lengths[site.contig], middle_start(0, window_bp, bin_bp)
        bins = np.array(
            [(bases.position[first], bases.position[first + bin_bp - 1] + 1)
             for bases in (positions, edited[0])]
        ).clip(0, length)  # fmt: skip
        self._rows = WindowBatch(
            {
                "chrom": np.array([variant.chrom] * 2, dtype=object),
                "start": bins[:, 0],
                "end": bins[:, 1],
                "name": np.array(allele_names(variant), dtype=object),
            },
            np.stack([windows.genome, windows.edited[0]]),
        )

    def count(self) -> int:
        """Return 2."""
        return len(self._rows)

    def batches(self, size: int) -> Iterator[WindowBatch]:
        """Yield the two windows, `size` at a time."""
        return in_batches([self._rows], size)


def allele_names(variant: VariantText) -> tuple[str, str]:
    """Return the names of the windows of the two alleles."""
    return f"ref {variant.ref.upper()}", f"alt {variant.alt.upper()}"


def variant_site(text: str, variant: VariantText, names: ContigNames) -> AlleleSite:
    """Return the site of a variant, after a check that the genome has its REF.

    `text` is the variant as it was typed, for messages.
    """
    ref, alt, genome = variant.ref.upper(), variant.alt.upper(), names.genome
    pos = parse_pos(text, variant.pos)
    refuse_bed(text, variant)
    site = find_site(Variant(text, variant.chrom, pos, variant.id, ref, alt), names)
    if site.status == SCORED:
        if ref == alt:
            raise UsageError(f"{text}: ALT is REF ({ref}); expected another allele")
        return site
    if site.status in (NO_CONTIG, OUTSIDE):
        raise outside_genome(text, names, variant.chrom, "POS and the end of REF")
    if site.status in (REF_MISMATCH, SWAPPED):
        raise BioqError(
            f"{text}: {genome.title} has {site.genome_ref} at this position, not {ref}; "
            f"{_why_not(site)}"
        )
    raise UsageError(
        f"{text}: alleles are written with A, C, G and T, a deletion as CA>C and an "
        "insertion as C>CA"
    )


def refuse_bed(text: str, variant: VariantText) -> None:
    """Raise an error for columns that are not those of a VCF."""
    pos = parse_pos(text, variant.pos)
    table = other_table(pos, variant.id, variant.ref.upper())
    if table == "BED":
        words = f"{variant.ref}>{variant.alt}"
        raise UsageError(
            f"{text}: looks like BED, with positions counted from 0; write "
            f"'{variant.chrom}:{pos + 1}:{words}' if it is, '{variant.chrom}:{pos}:{words}' if not"
        )
    if table:
        raise not_vcf(text, table)


def _why_not(site: AlleleSite) -> str:
    """Return what may be wrong where the genome does not have REF."""
    if site.is_masked:
        return "N are bases that are masked or unknown: use the genome without masks"
    if site.beside is not None and "next" in site.beside:
        return "it has REF at the next position: is the position counted from 0? BioQ counts from 1"
    return "is it the right genome, and is the position counted from 1?"
