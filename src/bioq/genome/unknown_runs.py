"""Runs of unknown bases, for genomes whose packed bases have no code for them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna


@dataclass(frozen=True)
class UnknownRuns:
    """The stretches of a contig whose bases are unknown, ascending and apart."""

    starts: npt.NDArray[np.int64]
    """`(runs,)`, 0-based."""
    ends: npt.NDArray[np.int64]
    """`(runs,)`, not included."""

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.ends.nbytes

    def mark(self, codes: dna.Bytes, start: int) -> None:
        """Make the unknown bases unknown, in place, in codes `(n,)` that begin at `start`."""
        low = np.searchsorted(self.ends, start, side="right")
        high = np.searchsorted(self.starts, start + len(codes), side="left")
        for run in range(int(low), int(high)):
            first = max(int(self.starts[run]), start)
            codes[first - start : int(self.ends[run]) - start] = dna.UNKNOWN
