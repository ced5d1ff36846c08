"""The composition of every bin's window, in one pass over the genome.

The share of G and C, of repeats (lower case) and of unknown bases are counted in steps: windows of
one step of each are in one cell, and a window of the same cell matches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.genome import Genome
from bioq.genome.runs import Flags
from bioq.progress import progress

GC_STEPS, REPEAT_STEPS, UNKNOWN_STEPS = 100, 20, 10
"""Steps of a share from 0 to 1: of 1 % GC and 5 % repeats among the known bases, both rounded, and
of 10 % unknown bases, rounded up."""
CELLS = (GC_STEPS + 1) * (REPEAT_STEPS + 1) * (UNKNOWN_STEPS + 1)
_CHUNK_BP = 1 << 19
"""Bases at once: few enough to stay in the cache of the processor."""
_BYTE = 8

Cells = npt.NDArray[np.uint16]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Composition:
    """The composition of the window of every bin, in order of the bins."""

    is_known: Flags
    """`(bins,)` whether the window has a known base."""
    cell: Cells
    """`(bins,)` number of the window's cell, below CELLS; 0 if the window has no known base."""
    has_repeats: bool
    """Whether some, but not all, known bases of the genome are in lower case."""


def cell_of(gc: Counts, repeats: Counts, unknown: Counts, window_bp: int) -> Cells:
    """Return the cells of windows with these numbers of bases, each `(n,)`."""
    known = np.maximum(window_bp - unknown, 1)
    gc_step = (2 * GC_STEPS * gc + known) // (2 * known)
    repeat_step = (2 * REPEAT_STEPS * repeats + known) // (2 * known)
    unknown_step = -(-UNKNOWN_STEPS * unknown // window_bp)
    cell = (unknown_step * (REPEAT_STEPS + 1) + repeat_step) * (GC_STEPS + 1) + gc_step
    cells: Cells = np.where(unknown < window_bp, cell, 0).astype(np.uint16)
    return cells


def steps_of(cells: npt.NDArray[np.integer]) -> tuple[Counts, Counts, Counts]:
    """Return the steps of cells in GC, repeats and unknown bases, each `(n,)`."""
    rest, gc = np.divmod(cells.astype(np.int64), GC_STEPS + 1)
    unknown, repeats = np.divmod(rest, REPEAT_STEPS + 1)
    return gc, repeats, unknown


def window_composition(
    genome: Genome, *, bin_bp: int, flank_bp: int, cells: bool = True
) -> Composition:
    """Return the composition of the window of every bin of a genome, see `labels.tile`.

    Bases outside a contig are unknown. Without `cells`, only unknown bases are counted, and every
    cell is 0. Memory: 3 bytes per bin, and some MB.
    """
    bins = sum(length // bin_bp for length in genome.lengths.values())
    is_known = np.zeros(bins, dtype=bool)
    cell = np.zeros(bins, dtype=np.uint16)
    lower_bp = known_bp = first = 0
    window_bp = bin_bp + 2 * flank_bp
    with progress("count bases", sum(genome.lengths.values()), "bases") as advance:
        for chunk in _chunks(genome.lengths, bin_bp, window_bp):
            unknown, gc, repeats = _counts(genome, chunk, bin_bp, flank_bp, cells=cells)
            rows = slice(first, first + chunk.bins)
            is_known[rows] = unknown < window_bp
            if cells:
                cell[rows] = cell_of(gc, repeats, unknown, window_bp)
                lower_bp += int(repeats.sum())
                known_bp += int((window_bp - unknown).sum())
            first += chunk.bins
            advance(chunk.bins * bin_bp)
    return Composition(is_known, cell, has_repeats=0 < lower_bp < known_bp)


@dataclass(frozen=True)
class _Chunk:
    """Adjacent bins of a contig."""

    contig: str
    start: int
    """First base of the first bin."""
    bins: int


def _chunks(lengths: Mapping[str, int], bin_bp: int, window_bp: int) -> Iterator[_Chunk]:
    """Yield every bin of a genome, in chunks that are much longer than a window."""
    most = max(_CHUNK_BP, 4 * window_bp) // bin_bp
    for contig, length in lengths.items():
        bins = length // bin_bp
        for first in range(0, bins, most):
            yield _Chunk(contig, first * bin_bp, min(most, bins - first))


def _counts(
    genome: Genome, chunk: _Chunk, bin_bp: int, flank_bp: int, *, cells: bool
) -> tuple[Counts, Counts, Counts]:
    """Return the unknown bases, G and C, and known bases in lower case of each bin's window,
    each `(bins,)`; without `cells`, zeros for the last two."""
    start, end = chunk.start - flank_bp, chunk.start + chunk.bins * bin_bp + flank_bp
    first, last = max(start, 0), min(end, genome.lengths[chunk.contig])
    outside = first - start, end - last
    window_bp = bin_bp + 2 * flank_bp

    def per_window(flags: Flags, *, value: bool = False) -> Counts:
        if any(outside):
            flags = np.pad(flags, outside, constant_values=value)
        return window_sums(flags, chunk.bins, bin_bp=bin_bp, window_bp=window_bp)

    none = np.zeros(chunk.bins, dtype=np.int64)
    if not cells:
        codes = genome.read(chunk.contig, first, last)
        return per_window(codes == dna.UNKNOWN, value=True), none, none
    codes, is_lower = genome.read_masked(chunk.contig, first, last)
    is_unknown = codes == dna.UNKNOWN
    repeats = per_window(is_lower & ~is_unknown) if is_lower.any() else none
    # C and G are 1 and 2; A, which is 0, becomes 255.
    gc = per_window((codes - np.uint8(1)) < 2)
    return per_window(is_unknown, value=True), gc, repeats


def window_sums(flags: Flags, windows: int, *, bin_bp: int, window_bp: int) -> Counts:
    """Return the number of flags set in windows that begin at 0, bin_bp, 2 bin_bp, ...: `(n,)`.

    A difference of cumulative sums, of bytes of eight flags where windows begin and end at bytes.
    """
    unit = 1 if bin_bp % _BYTE or window_bp % _BYTE else _BYTE
    counts = flags.view(np.uint8) if unit == 1 else np.bitwise_count(np.packbits(flags))
    before = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, dtype=np.int64, out=before[1:])
    step = bin_bp // unit
    sums: Counts = before[window_bp // unit :: step][:windows] - before[::step][:windows]
    return sums
