"""Every substitution of a single base of some regions of a genome, in place of a VCF.

The regions are merged and put in the order of the genome, so that no allele occurs twice. A known
base has the three other bases as ALT, in alphabetical order. An IUPAC code is reduced to the first
of its bases in the alphabet, as VCF 4.3 (section 1.6.1) does, and has three ALTs too. N has one
allele, N to N, which is never scored: no base of the regions is left out.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import UsageError, counted
from bioq.genome import ContigNames, Genome
from bioq.genome.notation import REGION_FORM, VariantText
from bioq.genome.vcf import Variant
from bioq.inputs.places import Source, open_source
from bioq.inputs.regions import RegionWindows
from bioq.progress import progress, say

_PIECE_BP = 1 << 16
_UNBOUNDED_BP = 1 << 60
_UNKNOWN = "N"
_FIRST_BASE = str.maketrans({code: min(dna.ALLOWED.get(code, _UNKNOWN)) for code in dna.IUPAC})

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AllSnvs:
    """Every SNV of some regions."""

    regions: str
    """BED, `-` for standard input, or one region as text."""


@dataclass(frozen=True)
class RegionSnvs:
    """The SNVs of merged regions, in the order of the genome."""

    genome: Genome
    regions: Numbers
    """`(regions, 3)`: number of the contig, start and end, 0-based and half-open; they are apart.
    """
    alleles: int

    @property
    def bases(self) -> int:
        """The bases of all regions."""
        return int((self.regions[:, 2] - self.regions[:, 1]).sum())

    def contigs(self) -> tuple[str, ...]:
        """Return the contigs that have regions, in order."""
        names = list(self.genome.lengths)
        return tuple(names[number] for number in np.unique(self.regions[:, 0]))

    def variants(self) -> Iterator[Variant]:
        """Yield the SNVs as alleles of a VCF."""
        number = 0
        for contig, start, end in _pieces(self.genome, self.regions):
            for position, ref in enumerate(_letters(self.genome, contig, start, end), start + 1):
                for alt in _alts(ref):
                    number += 1
                    yield Variant(f"SNV {number}", contig, position, ".", ref, alt)


@contextlib.contextmanager
def open_all_snvs(source: AllSnvs, names: ContigNames) -> Iterator[tuple[RegionSnvs, Source]]:
    """Yield the SNVs of regions, after a check of every line of a BED file.

    Raises BioqError for what is not on the genome, and UsageError for a variant.
    """
    with open_source(source.regions, names) as opened:
        content = opened.content
        if isinstance(content, VariantText):
            raise UsageError(
                f"{opened.text}: is a variant; --all-snvs takes BED or a region {REGION_FORM}. "
                "Without --all-snvs the variant is scored"
            )
        windows = RegionWindows(
            content,
            names.genome,
            alias=names.alias,
            window_bp=1,
            bin_bp=_UNBOUNDED_BP,  # a region has one bin
            stride_bp=1,
            label=opened.label,
        )
        windows.count()  # checks every line
        regions = merge_regions(_regions(windows, names.genome))
        yield RegionSnvs(names.genome, regions, _count(names.genome, regions)), opened


def _regions(windows: RegionWindows, genome: Genome) -> Numbers:
    """Return the regions `(n, 3)`, without the bases after the end of their contig."""
    rows = [(each.contig, each.start, each.end) for each in windows.regions()]
    regions = np.array(rows, dtype=np.int64).reshape(-1, 3)
    ends = np.array(list(genome.lengths.values()), dtype=np.int64)[regions[:, 0]]
    cut = int((regions[:, 2] > ends).sum())
    if cut:
        reach = "reaches" if cut == 1 else "reach"
        say(
            f"{windows.label}: {counted(cut, 'region')} {reach} past the end of the contig; the "
            "bases after it have no row"
        )
    regions[:, 2] = np.minimum(regions[:, 2], ends)
    return regions


def merge_regions(regions: Numbers) -> Numbers:
    """Return regions `(n, 3)` (contig, start, end) in order, joined where they overlap or touch."""
    regions = regions[np.lexsort((regions[:, 1], regions[:, 0]))]
    merged: list[list[int]] = []
    for contig, start, end in regions.tolist():
        if merged and merged[-1][0] == contig and start <= merged[-1][2]:
            merged[-1][2] = max(merged[-1][2], end)
        else:
            merged.append([contig, start, end])
    return np.array(merged, dtype=np.int64).reshape(-1, 3)


def _count(genome: Genome, regions: Numbers) -> int:
    """Return the number of alleles of merged regions."""
    alleles = 0
    bases = int((regions[:, 2] - regions[:, 1]).sum())
    with progress("count SNVs", bases, "bases") as advance:
        for contig, start, end in _pieces(genome, regions):
            unknown = _letters(genome, contig, start, end).count(_UNKNOWN)
            alleles += 3 * (end - start) - 2 * unknown
            advance(end - start)
    return alleles


def _pieces(genome: Genome, regions: Numbers) -> Iterator[tuple[str, int, int]]:
    """Yield (contig, start, end) of short pieces of merged regions, in order."""
    names = list(genome.lengths)
    for contig, start, end in regions.tolist():
        for first in range(start, end, _PIECE_BP):
            yield names[contig], first, min(first + _PIECE_BP, end)


def _letters(genome: Genome, contig: str, start: int, end: int) -> str:
    """Return the REF of each base: A, C, G, T or N."""
    codes = genome.read(contig, start, end)
    if not (codes == dna.UNKNOWN).any():
        return dna.decode(codes)
    return genome.letters(contig, start, end).translate(_FIRST_BASE)


def _alts(ref: str) -> str:
    """Return the ALTs of a REF; N for N."""
    return _UNKNOWN if ref == _UNKNOWN else dna.BASES.replace(ref, "")
