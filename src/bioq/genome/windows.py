"""The sequence of windows, read from a genome in few large pieces."""

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.genome import Genome

_MOST_SKIPPED_WINDOWS = 4
"""Windows further apart than this many window lengths are read on their own."""


def read_windows(
    genome: Genome,
    contig: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    *,
    window_bp: int,
) -> dna.Bytes:
    """Return the codes of windows in any order: uint8 `(n, window_bp)`.

    `contig` `(n,)` are numbers into `genome.lengths`; `start` `(n,)` may be negative, and windows
    may reach past their contig's end: bases that do not exist are unknown.
    """
    names = list(genome.lengths)
    codes = np.empty((len(start), window_bp), dtype=np.uint8)
    order = np.lexsort((start, contig))
    apart = np.diff(contig[order]) != 0
    apart |= np.diff(start[order]) > _MOST_SKIPPED_WINDOWS * window_bp
    for rows in np.split(order, np.flatnonzero(apart) + 1):
        if len(rows):
            first, last = int(start[rows[0]]), int(start[rows[-1]])
            stretch = _read_padded(genome, names[contig[rows[0]]], first, last + window_bp)
            windows = np.lib.stride_tricks.sliding_window_view(stretch, window_bp)
            codes[rows] = windows[start[rows] - first]
    return codes


def _read_padded(genome: Genome, contig: str, start: int, end: int) -> dna.Bytes:
    """Return codes `(end - start,)`, unknown where the contig has no bases."""
    inside_start, inside_end = max(start, 0), min(end, genome.lengths[contig])
    codes = np.full(end - start, dna.UNKNOWN, dtype=np.uint8)
    if inside_start < inside_end:
        known = genome.read(contig, inside_start, inside_end)
        codes[inside_start - start : inside_end - start] = known
    return codes
