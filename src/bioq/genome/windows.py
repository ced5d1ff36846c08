"""The bases of windows, read from a genome; bases outside a contig are unknown."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.genome.fasta import Genome

_Base = TypeVar("_Base", int, npt.NDArray[np.int64])
_MOST_SKIPPED_WINDOWS = 4
"""Windows further apart than this many window lengths are read separately."""


def middle_start(start: _Base, end: _Base, span_bp: int) -> _Base:
    """Return the first of the `span_bp` bases in the middle of `start` to `end`.

    If the two flanks cannot be equal, the right flank is one base longer. A span longer than
    `start` to `end` begins before `start`.
    """
    return start + (end - start - span_bp) // 2


def window_start(start: _Base, end: _Base, window_bp: int) -> _Base:
    """Return the first base of the window that has `start` to `end` in its middle.

    It is negative for a window that is padded. If the two flanks cannot be equal, the right flank
    is one base longer.
    """
    return start - (window_bp - (end - start)) // 2


def read_padded(genome: Genome, contig: str, start: int, end: int) -> dna.Bytes:
    """Return the codes of the bases `start` to `end`, uint8 `(end - start,)`.

    `start` may be negative and `end` past the end of the contig: the bases there are unknown.
    """
    first, last = max(start, 0), min(end, genome.lengths[contig])
    if (first, last) == (start, end):
        return genome.read(contig, start, end)
    codes = np.full(end - start, dna.UNKNOWN, dtype=np.uint8)
    if first < last:
        codes[first - start : last - start] = genome.read(contig, first, last)
    return codes


def read_windows(
    genome: Genome,
    contig: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    *,
    window_bp: int,
) -> dna.Bytes:
    """Return the codes of windows in any order, uint8 `(n, window_bp)`, in few large reads.

    `contig` `(n,)` are numbers into `genome.lengths`; `start` `(n,)` may be negative, and windows
    may reach past the end of their contig: the bases there are unknown.
    """
    names = list(genome.lengths)
    codes = np.empty((len(start), window_bp), dtype=np.uint8)
    order = np.lexsort((start, contig))
    apart = np.diff(contig[order]) != 0
    apart |= np.diff(start[order]) > _MOST_SKIPPED_WINDOWS * window_bp
    for rows in np.split(order, np.flatnonzero(apart) + 1):
        if len(rows):
            first, last = int(start[rows[0]]), int(start[rows[-1]])
            stretch = read_padded(genome, names[contig[rows[0]]], first, last + window_bp)
            windows = np.lib.stride_tricks.sliding_window_view(stretch, window_bp)
            codes[rows] = windows[start[rows] - first]
    return codes
