"""Runs of bases of one kind, for genomes whose packed bases have no code for that kind."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Runs:
    """Stretches of a contig, ascending and apart: its unknown bases, or its lower case."""

    starts: Positions
    """`(runs,)`, 0-based."""
    ends: Positions
    """`(runs,)`, not included."""

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.ends.nbytes

    def mark_unknown(self, codes: dna.Bytes, start: int) -> None:
        """Make the bases of the runs unknown, in place, in codes `(n,)` that begin at `start`."""
        low, high = self._touched(start, start + len(codes))
        for run in range(low, high):
            first = max(int(self.starts[run]), start)
            codes[first - start : int(self.ends[run]) - start] = dna.UNKNOWN

    def flags(self, start: int, end: int) -> Flags:
        """Return whether each of the bases `start` to `end` is in a run: bool `(end - start,)`."""
        low, high = self._touched(start, end)
        edges = np.zeros(2 * (high - low) + 2, dtype=np.int64)
        edges[1:-1:2], edges[2:-1:2] = self.starts[low:high], self.ends[low:high]
        edges[1:-1] -= start
        edges[-1] = end - start
        # Runs of a damaged file may be in any order: no length is negative.
        lengths = np.diff(np.maximum.accumulate(edges.clip(0, end - start)))
        return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)

    def _touched(self, start: int, end: int) -> tuple[int, int]:
        """Return the first run that ends past `start`, and the one after the last before `end`."""
        low = int(np.searchsorted(self.ends, start, side="right"))
        return low, max(low, int(np.searchsorted(self.starts, end, side="left")))


def joined_runs(pieces: list[Positions]) -> Runs:
    """Join ascending pieces `(n, 2)` of starts and ends; those that touch are one run."""
    runs = np.concatenate([np.empty((0, 2), dtype=np.int64), *pieces])
    touching = runs[1:, 0] == runs[:-1, 1]
    starts = runs[np.r_[True, ~touching][: len(runs)], 0]
    return Runs(starts, runs[np.r_[~touching, True][: len(runs)], 1])


def edges_of(is_inside: Flags, first: int) -> Positions:
    """Return the starts and ends `(runs, 2)` of the runs in flags `(n,)` that begin at `first`."""
    edges = np.flatnonzero(np.diff(is_inside, prepend=False, append=False))
    return edges.reshape(-1, 2) + first
