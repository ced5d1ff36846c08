"""The windows whose bases are explained: of the sequences of a FASTA, of regions, or of a variant's
two alleles."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError, UsageError
from bioq.genome import ContigNames, Genome
from bioq.genome.alleles import (
    SWAPPED,
    AlleleSite,
    WindowPositions,
    centre_index,
    read_allele_windows,
    window_positions,
)
from bioq.genome.notation import VariantText
from bioq.genome.windows import middle_start, read_padded, window_start
from bioq.inputs.places import open_source, sequence_file
from bioq.inputs.regions import Region, RegionWindows
from bioq.inputs.sequences import SequenceWindows
from bioq.inputs.typed_variant import allele_names, variant_site
from bioq.inputs.windows import N_SHARE

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Locus:
    """A window, and the bases of it that are explained: those from `start` on."""

    columns: Mapping[str, Any]
    """Names and positions of the window."""
    codes: dna.Bytes
    """uint8 `(window_bp,)`; see `dna`."""
    start: int
    """Index in the window of the first base that is explained."""
    position: Positions
    """The position of each of these bases in its sequence or contig, from 0: `(bases,)`."""
    inserted: Positions
    """0, or 1, 2, ... for the bases that an allele inserts after `position`: `(bases,)`."""
    is_reverse: bool = False
    """Whether the prediction of the reverse complement is explained; the codes, positions and
    letters of a locus are always those of the genome's forward strand."""
    allele: tuple[int, int] | None = None
    """The interval of a variant's allele among the explained bases, half-open."""
    unedited: dna.Bytes | None = None
    """Of a variant's two windows, the window of the genome that one of them is and from which the
    other is made: `(window_bp,)`. What both are compared with is made from it, so that their
    explanations differ by the allele only."""

    @property
    def end(self) -> int:
        return self.start + len(self.position)

    @property
    def bases(self) -> dna.Bytes:
        """The codes of the bases that are explained: `(bases,)`."""
        return self.codes[self.start : self.end]


@dataclass(frozen=True)
class Loci:
    """Loci that can be read any number of times."""

    label: str
    """The name of the input in messages."""
    columns: Mapping[str, Literal["text", "integer", "number"]]
    """The columns of every locus."""
    count: int
    read: Callable[[], Iterator[Locus]]
    has_insertions: bool = False
    """Whether `Locus.inserted` may differ from 0."""


@contextlib.contextmanager
def open_loci(
    source: str,
    names: ContigNames | None,
    *,
    window_bp: int,
    span_bp: int,
    pad: bool,
    stranded: bool = False,
) -> Iterator[Loci]:
    """Yield the windows whose middle `span_bp` are explained, after a check of the whole input.

    Without a genome `source` is a FASTA; with a genome it is a BED file, a region or a variant
    (see `places`); `-` is a FASTA or BED on standard input. No base of a sequence or region
    comes twice. A region that is longer than the span is covered to its last base and no further;
    a shorter region has the span around its middle. A variant has two windows, with REF and with
    ALT. With `stranded` a region of a BED file whose sixth column is `-` is explained on the
    opposite strand. Raises UsageError for a region or variant without a genome, and BioqError for a
    variant whose REF differs from the genome.
    """
    if names is not None and pad:
        raise UsageError("--pad is for sequences; regions get the genome's own bases around them")
    sizes = {"window_bp": window_bp, "span_bp": span_bp}
    with open_source(source, names) as opened:
        content = opened.content
        if names is None:
            file = sequence_file(opened)
            yield _loci_of_sequences(file, opened.label, pad=pad, **sizes)
        elif isinstance(content, VariantText):
            alleles = variant_loci(opened.text, content, names, **sizes)
            columns = RegionWindows.columns
            yield Loci(opened.label, columns, 2, lambda: iter(alleles), has_insertions=True)
        else:
            regions = RegionWindows(
                content,
                names.genome,
                alias=names.alias,
                window_bp=window_bp,
                bin_bp=span_bp,
                stride_bp=span_bp,
                stranded=stranded,
                label=opened.label,
            )
            regions.count()  # checks every line
            yield _loci_of_regions(opened.label, names.genome, regions.regions, **sizes)


def locus_in_window(
    columns: Mapping[str, Any],
    codes: dna.Bytes,
    *,
    window_start: int,
    span_bp: int,
    first: int,
    last: int,
) -> Locus | None:
    """Return the middle `span_bp` bases of a window, without those outside `first` to `last`.

    `window_start`, `first` and `last` are positions in the sequence or on the contig, 0-based and
    half-open; codes are `(window_bp,)`. Returns None if no base is left.
    """
    middle = middle_start(window_start, window_start + len(codes), span_bp)
    position = np.arange(max(middle, first), min(middle + span_bp, last))
    if not len(position):
        return None
    start = int(position[0]) - window_start
    return Locus(columns, codes, start, position, np.zeros_like(position))


def _loci_of_sequences(path: Path, label: str, *, window_bp: int, span_bp: int, pad: bool) -> Loci:
    windows = SequenceWindows(path, window_bp=window_bp, stride_bp=span_bp, pad=pad, label=label)

    def read() -> Iterator[Locus]:
        name, last_start, done = "", 0, 0
        for batch in windows.batches(1):
            columns = {column: values[0] for column, values in batch.columns.items()}
            start, end = int(columns["start"]), int(columns["end"])
            if start == end:
                raise BioqError(f"{label}: sequence {columns['sequence']!r} has no bases")
            if columns["sequence"] != name or start <= last_start:
                name, done = columns["sequence"], 0  # two sequences may have the same name
            last_start = start
            locus = locus_in_window(
                columns,
                batch.codes[0],
                window_start=window_start(start, end, window_bp),
                span_bp=span_bp,
                first=max(start, done),
                last=end,
            )
            if locus is not None:
                done = int(locus.position[-1]) + 1
                yield locus

    return Loci(label, SequenceWindows.columns, windows.count(), read)


def _loci_of_regions(
    label: str,
    genome: Genome,
    regions: Callable[[], Iterable[Region]],
    *,
    window_bp: int,
    span_bp: int,
) -> Loci:
    contigs, lengths = list(genome.lengths), list(genome.lengths.values())

    def spans() -> Iterator[tuple[Region, int, int]]:
        """Yield (region, first, last) of the bases that each window explains."""
        for region in regions():
            if region.end - region.start <= span_bp:
                middle = max(middle_start(region.start, region.end, span_bp), 0)
                yield region, middle, min(middle + span_bp, lengths[region.contig])
                continue
            end = min(region.end, lengths[region.contig])
            for first in range(region.start, end, span_bp):
                yield region, first, min(first + span_bp, end)

    def read() -> Iterator[Locus]:
        for region, first, last in spans():
            start = window_start(first, first + span_bp, window_bp)
            codes = read_padded(genome, contigs[region.contig], start, start + window_bp)
            columns = _columns(region.contig_name, first, last, region.name, codes)
            locus = locus_in_window(
                columns, codes, window_start=start, span_bp=span_bp, first=first, last=last
            )
            if locus is not None:
                yield replace(locus, is_reverse=region.is_reverse)

    return Loci(label, RegionWindows.columns, sum(1 for _ in spans()), read)


def variant_loci(
    source: str, variant: VariantText, names: ContigNames, *, window_bp: int, span_bp: int
) -> list[Locus]:
    """Return the window with REF and the window with ALT of a typed variant; `source` is its text,
    for messages.

    Raises BioqError if the genome does not have REF at POS, UsageError for alleles without bases or
    longer than the explained bases.
    """
    site = variant_site(source, variant, names)
    longest = max(len(variant.ref), len(variant.alt))
    room = window_bp - centre_index(window_bp)
    if longest > min(span_bp, room):
        raise UsageError(
            f"{source}: an allele has {longest:,} bases, more than the {span_bp:,} explained bases "
            f"or the {room:,} of the window from POS on; give --span-bp or a shorter allele"
        )
    return allele_loci(variant, site, names.genome, window_bp=window_bp, span_bp=span_bp)


def allele_loci(
    variant: VariantText, site: AlleleSite, genome: Genome, *, window_bp: int, span_bp: int
) -> list[Locus]:
    """Return the window with REF and the window with ALT; the edited one keeps the bases on its
    left. If the genome has ALT (`SWAPPED`), it is the window with REF that is edited.

    The first base of the allele is where `bioq variants` puts it (see `genome.alleles`), and the
    longer allele is in the middle of the explained bases, of which it has at most `span_bp`.
    """
    alleles = list(zip(allele_names(variant), (variant.ref, variant.alt), strict=True))
    if site.status == SWAPPED:
        alleles.reverse()
    centre = centre_index(window_bp)
    longest = max(len(variant.ref), len(variant.alt))
    first = min(max(window_start(centre, centre + longest, span_bp), 0), window_bp - span_bp)
    windows = read_allele_windows(genome, site, window_bp, "left")
    positions, edited = window_positions(site, window_bp, "left")

    def locus(name: str, allele: str, codes: dna.Bytes, bases: WindowPositions) -> Locus:
        is_inside = (bases.position >= 0) & (bases.position < genome.lengths[site.contig])
        span = np.flatnonzero(is_inside[first : first + span_bp]) + first
        position = bases.position[span]
        columns = _columns(variant.chrom, int(position[0]), int(position[-1]) + 1, name, codes)
        start = int(span[0])
        within = (centre - start, centre - start + len(allele))
        return Locus(
            columns,
            codes,
            start,
            position,
            bases.inserted[span],
            allele=within,
            unedited=windows.genome,
        )

    loci = [
        locus(*alleles[0], windows.genome, positions),
        locus(*alleles[1], windows.edited[0], edited[0]),
    ]
    return loci[::-1] if site.status == SWAPPED else loci


def _columns(contig: str, start: int, end: int, name: str, codes: dna.Bytes) -> dict[str, Any]:
    return {
        "chrom": contig,
        "start": start,
        "end": end,
        "name": name,
        N_SHARE: float((codes == dna.UNKNOWN).mean()),
    }
