"""What is explained base by base: the sequences of a FASTA, regions, or a variant's two alleles."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError, UsageError
from bioq.genome import ContigNames, Genome, some
from bioq.genome.windows import read_windows
from bioq.inputs.files import input_file
from bioq.inputs.regions import RegionWindows
from bioq.inputs.sequences import SequenceWindows
from bioq.inputs.windows import N_SHARE

_REGION = re.compile(r"(?P<contig>[^:\s]+):(?P<start>[\d,]+)-(?P<end>[\d,]+)")
_VARIANT = re.compile(r"(?P<contig>[^:\s]+):(?P<position>[\d,]+):(?P<ref>[A-Za-z]+)>(?P<alt>\S+)")
_BASES = re.compile(r"[ACGTacgt]+")

Integers = npt.NDArray[np.int64]
Region = tuple[int, int, int, str, str]
"""(the genome's contig number, start, end, the contig's name, the region's name)"""


@dataclass(frozen=True)
class Place:
    """A window, and the bases of it that are explained: those from `start` on."""

    columns: Mapping[str, Any]
    """What the window is: names and places."""
    codes: dna.Bytes
    """uint8 `(window_bp,)`; see `dna`."""
    start: int
    """Index in the window of the first base that is explained."""
    position: Integers
    """Where each of these bases is in its sequence or contig, from 0: `(bases,)`."""
    inserted: Integers
    """0, or 1, 2, ... for the bases that an allele inserts behind `position`: `(bases,)`."""

    @property
    def end(self) -> int:
        return self.start + len(self.position)

    @property
    def bases(self) -> dna.Bytes:
        """The codes of the bases that are explained: `(bases,)`."""
        return self.codes[self.start : self.end]


@dataclass(frozen=True)
class Places:
    """Places that can be read any number of times."""

    label: str
    """What messages call the input."""
    columns: Mapping[str, Literal["text", "integer", "number"]]
    """The columns of every place."""
    count: int
    read: Callable[[], Iterator[Place]]
    has_insertions: bool = False
    """Whether `Place.inserted` is ever anything but 0."""


@contextlib.contextmanager
def open_places(
    source: str, genome: Genome | None, *, window_bp: int, span_bp: int, pad: bool
) -> Iterator[Places]:
    """Yield the windows whose middle `span_bp` are explained, after a check of the whole input.

    Without a genome `source` is a FASTA; with one it is a BED file, CONTIG:START-END or
    CONTIG:POSITION:REF>ALT, both counted from 1; `-` is a FASTA or BED on stdin. No base of a
    sequence or region comes twice. A region that is longer than the span is covered to its last
    base and no further; a shorter one has the span around its middle. A variant has two windows,
    with REF and with ALT. Raises UsageError for a place without a genome, and BioqError for a
    variant whose REF is not what the genome has.
    """
    region, variant = _REGION.fullmatch(source), _VARIANT.fullmatch(source)
    is_file = os.path.exists(source) or not (region or variant)
    if genome is None and not is_file:
        raise UsageError(f"{source}: is a place on a genome; give --genome")
    if genome is not None and pad:
        raise UsageError("--pad is for sequences; regions get the genome's own bases around them")
    columns = SequenceWindows.columns if genome is None else RegionWindows.columns
    if is_file:
        with input_file(Path(source)) as (path, label):
            if genome is None:
                sequences = SequenceWindows(
                    path, window_bp=window_bp, stride_bp=span_bp, pad=pad, label=label
                )
                yield Places(
                    label,
                    columns,
                    sequences.count(),
                    lambda: _of_sequences(sequences, window_bp, span_bp),
                )
            else:
                bed = RegionWindows(
                    path,
                    genome,
                    window_bp=window_bp,
                    bin_bp=span_bp,
                    stride_bp=span_bp,
                    label=label,
                )
                bed.count()  # checks every line
                yield _of_regions(label, genome, bed.regions, window_bp, span_bp)
    elif genome is not None and variant:
        alleles = list(_of_variant(source, variant, genome, window_bp, span_bp))
        yield Places(source, columns, 2, lambda: iter(alleles), has_insertions=True)
    elif genome is not None and region:
        contig, start, end = region["contig"], _number(region["start"]) - 1, _number(region["end"])
        number = _check_place(source, genome, contig, start, end)
        only = [(number, start, end, contig, "")]
        yield _of_regions(source, genome, lambda: only, window_bp, span_bp)


def _of_sequences(windows: SequenceWindows, window_bp: int, span_bp: int) -> Iterator[Place]:
    before = (window_bp - span_bp) // 2
    name, last_start, done = "", 0, 0
    for batch in windows.batches(1):
        columns = {column: values[0] for column, values in batch.columns.items()}
        start, end = int(columns["start"]), int(columns["end"])
        if start == end:
            raise BioqError(f"{windows.label}: sequence {columns['sequence']!r} has no bases")
        if columns["sequence"] != name or start <= last_start:
            name, done = columns["sequence"], 0  # two sequences may have one name
        last_start = start
        window_start = start - (window_bp - (end - start)) // 2  # below 0 where it was padded
        position = window_start + before + np.arange(span_bp)
        position = position[(position >= max(start, done)) & (position < end)]
        done = int(position[-1]) + 1
        first = int(position[0]) - window_start
        yield Place(columns, batch.codes[0], first, position, np.zeros_like(position))


def _of_regions(
    label: str,
    genome: Genome,
    regions: Callable[[], Iterable[Region]],
    window_bp: int,
    span_bp: int,
) -> Places:
    lengths = list(genome.lengths.values())
    before = (window_bp - span_bp) // 2

    def spans() -> Iterator[tuple[Region, int, int]]:
        for region in regions():
            number, start, end, _, _ = region
            if end - start <= span_bp:
                middle = max(start + (end - start - span_bp) // 2, 0)
                yield region, middle, min(middle + span_bp, lengths[number])
                continue
            end = min(end, lengths[number])
            for first in range(start, end, span_bp):
                yield region, first, min(first + span_bp, end)

    def read() -> Iterator[Place]:
        for (number, _, _, contig, name), start, end in spans():
            codes = _read_window(genome, number, start - before, window_bp)
            position = np.arange(start, end)
            columns = _columns(contig, position, name, codes)
            yield Place(columns, codes, before, position, np.zeros_like(position))

    return Places(label, RegionWindows.columns, sum(1 for _ in spans()), read)


def _of_variant(
    source: str, match: re.Match[str], genome: Genome, window_bp: int, span_bp: int
) -> Iterator[Place]:
    """Yield the window with REF and the window with ALT, which keeps what lies to its left.

    The first base of REF is where `bioq variants` puts it: one before the window's middle.
    """
    number, start, ref, alt = _parse_variant(source, match, genome)
    at, longest = window_bp // 2 - 1, max(len(ref), len(alt))
    if longest > min(span_bp, window_bp - at):
        raise UsageError(
            f"{source}: an allele is longer than the {span_bp} explained bases or than half a "
            "window; give --span-bp or a shorter allele"
        )
    first = min(max(at - (span_bp - longest) // 2, 0), window_bp - span_bp)
    length = list(genome.lengths.values())[number]
    read_bp = window_bp + max(len(ref) - len(alt), 0)
    codes = _read_window(genome, number, start - at, read_bp)
    position = start - at + np.arange(read_bp)
    for allele, bases in (("ref", ref), ("alt", alt)):
        order = np.arange(len(bases))
        inserted = np.maximum(order - (len(ref) - 1), 0)
        places = start + np.minimum(order, len(ref) - 1)
        zeros = np.zeros_like(position)
        edited, where, behind = (
            np.concatenate([whole[:at], part, whole[at + len(ref) :]])[:window_bp]
            for whole, part in (
                (codes, dna.encode(bases)),
                (position, places),
                (zeros, inserted),
            )
        )
        inside = np.flatnonzero((where >= 0) & (where < length))
        inside = inside[(inside >= first) & (inside < first + span_bp)]
        columns = _columns(match["contig"], where[inside], f"{allele} {bases}", edited)
        yield Place(columns, edited, int(inside[0]), where[inside], behind[inside])


def _read_window(genome: Genome, contig: int, start: int, window_bp: int) -> dna.Bytes:
    where = np.array([contig]), np.array([start])
    codes: dna.Bytes = read_windows(genome, *where, window_bp=window_bp)[0]
    return codes


def _columns(contig: str, position: Integers, name: str, codes: dna.Bytes) -> dict[str, Any]:
    return {
        "chrom": contig,
        "start": int(position[0]),
        "end": int(position[-1]) + 1,
        "name": name,
        N_SHARE: float((codes == dna.UNKNOWN).mean()),
    }


def _parse_variant(source: str, match: re.Match[str], genome: Genome) -> tuple[int, int, str, str]:
    """Return (contig number, 0-based start, REF, ALT)."""
    ref, alt = match["ref"].upper(), match["alt"].upper()
    if not (_BASES.fullmatch(ref) and _BASES.fullmatch(alt)):
        raise UsageError(
            f"{source}: alleles are written with A, C, G and T, a deletion as CA>C and an "
            "insertion as C>CA"
        )
    start = _number(match["position"]) - 1
    number = _check_place(source, genome, match["contig"], start, start + len(ref))
    found = dna.decode(genome.read(list(genome.lengths)[number], start, start + len(ref)))
    if found != ref:
        raise BioqError(
            f"{source}: {genome.path} has {found} there, not {ref}; is it the right genome, and "
            "is the position counted from 1?"
        )
    return number, start, ref, alt


def _check_place(source: str, genome: Genome, contig: str, start: int, end: int) -> int:
    """Return the genome's number of the contig."""
    number = ContigNames(genome).find(contig)
    if number is None:
        raise BioqError(
            f"{source}: {genome.path} has no contig {contig!r}; it has {some(genome.lengths)}"
        )
    length = list(genome.lengths.values())[number]
    if not 0 <= start < end <= length:
        raise BioqError(
            f"{source}: {contig} has the bases 1 to {length:,}; expected START <= END among them"
        )
    return number


def _number(text: str) -> int:
    return int(text.replace(",", "") or 0)
