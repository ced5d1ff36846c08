"""The positions of DeepSEA's windows: `allTFs.pos.bed`, with lines in the order of the .mat rows.

Training windows are its first lines, validation windows the next lines, test windows its lines on
chr8 and chr9 (README of the DeepSEA training bundle v0.9; Zhou & Troyanskaya, Nature Methods 2015).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.builders import BIN_BP
from bioq.errors import BioqError
from bioq.genome import read_bed
from bioq.published.data import TEST_CONTIGS

TRAIN_LINES = 2_200_000
"""Lines of the training windows in the shipped bundle: 4,400,000 rows on two strands."""

BinArray = npt.NDArray[np.int32]
"""`(n, 2)`: contig number, start."""


@dataclass(frozen=True)
class BinTable:
    """The bins of a BED file, in file order."""

    path: Path
    contigs: tuple[str, ...]
    bins: BinArray
    """`(lines, 2)`: number of the contig in `contigs`, start (0-based)."""

    def of_split(self, split: str, windows: int, train_windows: int | None) -> BinArray:
        """Return the bins `(windows, 2)` of a split; `train_windows` is None without a train file.

        Raises BioqError if the file has too few or too many lines for this split, or lines on a
        contig of another split.
        """
        on_test = np.isin(self.bins[:, 0], [self.contigs.index(name) for name in self._test()])
        if split == "test":
            bins = self.bins[on_test]
            if len(bins) != windows:
                raise BioqError(
                    f"{self.path}: has {len(bins):,} lines on {' and '.join(TEST_CONTIGS)}, but "
                    f"the test file has {windows:,} windows; {_USE_RIGHT_BED}"
                )
            return bins
        known = TRAIN_LINES if train_windows is None else train_windows
        start = 0 if split == "train" else known
        end = start + windows
        if end > len(self.bins) or on_test[start:end].any():
            before = len(self.bins) if not on_test.any() else int(np.argmax(on_test))
            hint = _GIVE_TRAIN if split == "valid" and train_windows is None else _USE_RIGHT_BED
            raise BioqError(
                f"{self.path}: the {windows:,} {split} windows should be its lines "
                f"{start + 1:,} .. {end:,}, but it has {before:,} lines before those of "
                f"{' and '.join(TEST_CONTIGS)}; {hint}"
            )
        return self.bins[start:end]

    def _test(self) -> list[str]:
        plain = [name.removeprefix("chr") for name in TEST_CONTIGS]
        return [name for name in self.contigs if name.removeprefix("chr") in plain]


_USE_RIGHT_BED = "give the allTFs.pos.bed that came with these .mat files, or leave the BED out"
_GIVE_TRAIN = "give the train file too, because its size is needed, or leave the BED out"


def read_bins(path: Path) -> BinTable:
    """Read the bins of a BED file, each 200 bp wide.

    Raises BioqError, with the line, for a line that is not an interval of 200 bp.
    """
    bed = read_bed(path)
    wrong = np.flatnonzero((bed.end - bed.start != BIN_BP) | (bed.start < 0) | (bed.end >= 2**31))
    if len(wrong):
        start, end = int(bed.start[wrong[0]]), int(bed.end[wrong[0]])
        raise BioqError(
            f"{path}:{bed.line(int(wrong[0]))}: found {start:,} .. {end:,}, {end - start:,} bp; "
            f"expected a bin of {BIN_BP} bp, as in allTFs.pos.bed"
        )
    bins = np.empty((len(bed), 2), dtype=np.int32)
    bins[:, 0] = bed.contig
    bins[:, 1] = bed.start
    return BinTable(Path(path), bed.contigs, bins)
