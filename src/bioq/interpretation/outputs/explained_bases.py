"""The contributions of all explained bases by position: each base once, the mean of its windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.genome import ContigNames
from bioq.inputs import Locus
from bioq.interpretation.explanation import Explanation, contributions


@dataclass(frozen=True)
class Stretch:
    """Adjacent bases that were explained."""

    contig: str
    """The genome's name of the contig, or the name of the sequence."""
    start: int
    codes: dna.Bytes
    """`(bases,)`."""
    contributions: npt.NDArray[np.float64]
    """`(bases, targets)`."""


class ExplainedBases:
    """Keeps the contributions of the windows in memory: 4 bytes per base and target."""

    def __init__(self, contigs: ContigNames | None) -> None:
        self._contigs = contigs
        self._names: list[str] = [] if contigs is None else list(contigs.contigs)
        self._windows: dict[int, list[tuple[int, dna.Bytes, npt.NDArray[np.float32]]]] = {}
        self._end = 0

    def write(self, explanation: Explanation) -> None:
        """Add the explained bases of a window of a sequence or region."""
        locus = explanation.locus
        values = contributions(locus.bases, explanation.values)
        start = int(locus.position[0])
        self._windows.setdefault(self._number(locus), []).append((start, locus.bases, values))
        self._end = start + len(values)

    def stretches(self) -> Iterator[Stretch]:
        """Yield the stretches in the order of the genome's contigs or of the sequences, by
        position."""
        for number in sorted(self._windows):
            group: list[tuple[int, dna.Bytes, npt.NDArray[np.float32]]] = []
            end = 0
            for window in sorted(self._windows[number], key=lambda window: window[0]):
                if group and window[0] > end:
                    yield _joined(self._names[number], group, end)
                    group = []
                end = max(end, window[0] + len(window[1])) if group else window[0] + len(window[1])
                group.append(window)
            yield _joined(self._names[number], group, end)

    def _number(self, locus: Locus) -> int:
        """Return the number of the contig, or of the sequence in its file, where two sequences may
        have the same name."""
        if self._contigs is not None:
            number = self._contigs.find(str(locus.columns["chrom"]))
            if number is None:
                raise BioqError(f"{locus.columns['chrom']}: is no contig of the genome")
            return number
        name = str(locus.columns["sequence"])
        if not self._names or self._names[-1] != name or locus.position[0] < self._end:
            self._names.append(name)
        return len(self._names) - 1


def _joined(
    contig: str, windows: list[tuple[int, dna.Bytes, npt.NDArray[np.float32]]], end: int
) -> Stretch:
    first = windows[0][0]
    codes = np.empty(end - first, dtype=np.uint8)
    total = np.zeros((end - first, windows[0][2].shape[1]))
    count = np.zeros((end - first, 1))
    for start, bases, values in windows:
        span = slice(start - first, start - first + len(bases))
        codes[span] = bases
        total[span] += values
        count[span] += 1
    return Stretch(contig, first, codes, total / count)
