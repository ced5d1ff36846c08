"""What is mutated: the windows of a FASTA, a BED, a place chr1:1,001-1,200 or a variant."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from bioq import dna
from bioq.errors import BioqError, UsageError
from bioq.genome import ContigNames, Genome, some
from bioq.inputs import RegionWindows, SequenceWindows, WindowBatch, Windows

_REGION = re.compile(r"(?P<contig>[^:\s]+):(?P<start>[\d,]+)-(?P<end>[\d,]+)")
_VARIANT = re.compile(r"(?P<contig>[^:\s]+):(?P<position>[\d,]+):(?P<ref>[A-Za-z]+)>(?P<alt>\S+)")
_BASES = re.compile(r"[ACGTacgt]+")


@contextlib.contextmanager
def open_places(
    source: str, genome: Genome | None, *, window_bp: int, span_bp: int, pad: bool
) -> Iterator[Windows]:
    """Yield the windows whose middle `span_bp` are to be mutated.

    Without a genome `source` is a FASTA; with one it is a BED file, CONTIG:START-END or
    CONTIG:POSITION:REF>ALT, both counted from 1. Regions are covered with spans. A variant has
    two windows, with REF and with ALT. Raises UsageError for a place without a genome, and
    BioqError for a variant whose REF is not what the genome has.
    """
    region, variant = _REGION.fullmatch(source), _VARIANT.fullmatch(source)
    is_file = Path(source).exists() or not (region or variant)
    if genome is None:
        if not is_file:
            raise UsageError(f"{source}: is a place on a genome; give --genome")
        yield SequenceWindows(Path(source), window_bp=window_bp, stride_bp=span_bp, pad=pad)
        return
    if pad:
        raise UsageError("--pad is for sequences; regions get the genome's own bases around them")
    cover = partial(RegionWindows, window_bp=window_bp, bin_bp=span_bp, stride_bp=span_bp)
    if is_file:
        yield cover(Path(source), genome)
        return
    if variant:
        parsed = _parse_variant(source, variant, genome)
        if len(parsed.ref) > span_bp:
            raise UsageError(
                f"{source}: is longer than the {span_bp} mutated bases; give --span-bp"
            )
        interval = parsed.contig, parsed.start, parsed.start + len(parsed.ref)
    elif region:
        interval = region["contig"], _number(region["start"]) - 1, _number(region["end"])
        _check_place(source, genome, *interval)
    with tempfile.NamedTemporaryFile("w", prefix="bioq-", suffix=".bed") as bed:
        bed.write("\t".join(map(str, interval)) + "\n")
        bed.flush()
        windows = cover(Path(bed.name), genome, label=source)
        if variant:
            yield _AlleleWindows(windows, parsed, window_bp)
        else:
            yield windows


@dataclass(frozen=True)
class _Variant:
    contig: str
    start: int
    ref: str
    alt: str


class _AlleleWindows:
    """The window around a substitution, once with each allele; the column `name` says which."""

    columns: ClassVar[dict[str, Literal["text", "integer", "number"]]] = RegionWindows.columns

    def __init__(self, windows: RegionWindows, variant: _Variant, window_bp: int):
        self._windows = windows
        self._variant = variant
        self._window_bp = window_bp

    def count(self) -> int:
        return 2 * self._windows.count()

    def batches(self, size: int) -> Iterator[WindowBatch]:
        variant = self._variant
        for batch in self._windows.batches(size):
            for allele, bases in (("ref", variant.ref), ("alt", variant.alt)):
                codes = batch.codes.copy()
                start, end = (int(batch.columns[name][0]) for name in ("start", "end"))
                first = variant.start - start + (self._window_bp - (end - start)) // 2
                codes[:, first : first + len(bases)] = dna.encode(bases)
                names = np.full(len(codes), f"{allele} {bases.upper()}", dtype=object)
                yield WindowBatch({**batch.columns, "name": names}, codes)


def _parse_variant(source: str, match: re.Match[str], genome: Genome) -> _Variant:
    ref, alt = match["ref"], match["alt"]
    if not (_BASES.fullmatch(ref) and _BASES.fullmatch(alt)):
        raise UsageError(f"{source}: alleles are written with A, C, G and T")
    if len(ref) != len(alt):
        raise UsageError(
            f"{source}: is no substitution; for an insertion or deletion give the sequence of "
            "each allele as FASTA"
        )
    start = _number(match["position"]) - 1
    contig = _check_place(source, genome, match["contig"], start, start + len(ref))
    found = dna.decode(genome.read(contig, start, start + len(ref)))
    if found != ref.upper():
        raise BioqError(
            f"{source}: {genome.path} has {found} there, not {ref}; is it the right genome, and "
            "is the position counted from 1?"
        )
    return _Variant(match["contig"], start, ref, alt)


def _check_place(source: str, genome: Genome, contig: str, start: int, end: int) -> str:
    """Return the genome's name of the contig."""
    number = ContigNames(genome).find(contig)
    if number is None:
        raise BioqError(
            f"{source}: {genome.path} has no contig {contig!r}; it has {some(genome.lengths)}"
        )
    name = list(genome.lengths)[number]
    if not 0 <= start < end <= genome.lengths[name]:
        raise BioqError(
            f"{source}: {contig} has the bases 1 to {genome.lengths[name]:,}; "
            "expected START <= END among them"
        )
    return name


def _number(text: str) -> int:
    return int(text.replace(",", "") or 0)
