"""The bins of a genome that are positive for a target, from its peaks.

Positions here are global: the contigs are laid end to end, in file order. Every bin and every peak
is within a contig, so none of them overlaps across two contigs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.genome.bed import NO_SUMMIT, Bed
from bioq.genome.located import Located

Label = Literal["half", "midpoint", "any"]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bins:
    """Bins of one width, in ascending global position."""

    start: Positions
    """`(bins,)` global."""
    bin_bp: int
    offsets: Positions
    """`(contigs + 1,)` global position of the first base of each contig, then the genome's
    length."""

    def __len__(self) -> int:
        return len(self.start)

    def local(self, numbers: npt.NDArray[np.integer[Any]]) -> tuple[Positions, Positions]:
        """Return (contig number, start on the contig) of bins."""
        start = self.start[numbers]
        contig = np.searchsorted(self.offsets, start, side="right") - 1
        return contig, start - self.offsets[contig]


def contig_offsets(lengths: Mapping[str, int]) -> Positions:
    """Return the global position of the first base of every contig, then the genome's length."""
    return np.concatenate([[0], np.cumsum(list(lengths.values()), dtype=np.int64)])


def tile(lengths: Mapping[str, int], bin_bp: int) -> Bins:
    """Lay bins end to end from base 0 of every contig.

    Bases at its end that do not fill a bin have no bin.
    """
    offsets = contig_offsets(lengths)
    starts = [
        np.arange(offset, offset + length - bin_bp + 1, bin_bp, dtype=np.int64)
        for offset, length in zip(offsets, lengths.values(), strict=False)
    ]
    return Bins(np.concatenate([np.empty(0, dtype=np.int64), *starts]), bin_bp, offsets)


def positive_bins(
    bins: Bins, bed: Bed, located: Located, label: Label
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the numbers of the bins that are positive for a target, and of those that have a base
    of a peak, both ascending.

    `half`: the peaks, merged if they overlap, cover at least half of the bin; `any`: they cover a
    base of the bin; `midpoint`: the bin has the summit of a peak (start + column 10) or, if the
    file has no summit inside the peak, its middle base, (start + end) // 2. Peaks are those of
    `Located`: clipped to their contig.
    """
    offset = bins.offsets[located.contig]
    start, end = located.start, located.end
    touched, covered = bins_touched(bins, start + offset, end + offset)
    if label == "midpoint":
        summit, in_peak = summits_in_peaks(bed, located)
        point = np.where(in_peak, summit, (start + end) // 2) + offset
        return bins_touched(bins, point, point + 1)[0], touched
    return touched[covered >= needed_bp(bins.bin_bp, label)], touched


def needed_bp(bin_bp: int, label: Label) -> int:
    """Return how many bases of a bin the peaks of a target must cover to make it positive."""
    return -(-bin_bp // 2) if label == "half" else 1


def summits_in_peaks(bed: Bed, located: Located) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """Return the position on the contig of each peak's summit, and whether it is in the peak."""
    summit = bed.start[located.rows] + bed.summit[located.rows]
    given = bed.summit[located.rows] > NO_SUMMIT
    return summit, given & (summit >= located.start) & (summit < located.end)


def bins_touched(
    bins: Bins, start: Positions, end: Positions
) -> tuple[npt.NDArray[np.int32], Positions]:
    """Return the numbers of the bins with a covered base, ascending, and their covered bases."""
    start, end = merge(start, end)
    first = np.searchsorted(bins.start, start - bins.bin_bp, side="right")
    last = np.searchsorted(bins.start, end, side="left")
    # One entry per (interval, bin) that touch: the bins first .. last - 1 of each interval.
    touched = last - first
    interval = np.repeat(np.arange(len(start)), touched)
    number = np.arange(len(interval)) - np.repeat(np.cumsum(touched) - touched - first, touched)
    bin_start = bins.start[number]
    covered = np.minimum(end[interval], bin_start + bins.bin_bp)
    covered -= np.maximum(start[interval], bin_start)
    if len(number) and (number[1:] < number[:-1]).any():  # only if bins overlap each other
        order = np.argsort(number, kind="stable")
        number, covered = number[order], covered[order]
    is_first = np.concatenate([[True], number[1:] != number[:-1]])[: len(number)]
    sums = np.add.reduceat(covered, np.flatnonzero(is_first)) if len(number) else covered
    return number[is_first].astype(np.int32), sums


def merge(start: Positions, end: Positions) -> tuple[Positions, Positions]:
    """Merge intervals that overlap or touch; return them ascending and apart."""
    if not len(start):
        return start, end
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    begins = np.concatenate([[True], start[1:] > reach[:-1]])
    return start[begins], reach[np.concatenate([begins[1:], [True]])]


class SparseLabels:
    """The positive (bin, target) pairs, eight targets per byte, without the bytes that are zero."""

    def __init__(self, bins: int, targets: int):
        self._scratch = np.zeros(bins, dtype=np.uint8)
        self._bytes: list[tuple[npt.NDArray[np.int32], dna.Bytes]] = []
        self.targets = targets
        self._added = 0

    def add(self, positive: npt.NDArray[np.int32]) -> None:
        """Add the positive bins of the next target."""
        self._scratch[positive] |= np.uint8(1 << (self._added % 8))
        self._added += 1
        if self._added % 8 == 0 or self._added == self.targets:
            bins = np.flatnonzero(self._scratch).astype(np.int32)
            self._bytes.append((bins, self._scratch[bins]))
            self._scratch[bins] = 0

    def any_of(self, targets: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return whether each bin is positive for any of the chosen targets: `(bins,)`."""
        is_positive = np.zeros(len(self._scratch), dtype=bool)
        chosen = np.packbits(targets, bitorder="little")
        for (bins, bits), choice in zip(self._bytes, chosen, strict=True):
            is_positive[bins[(bits & choice) != 0]] = True
        return is_positive

    def positives(self, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return how many of the bins that are kept are positive for each target: `(targets,)`."""
        counts = [
            np.unpackbits(bits[kept[bins], None], axis=1, bitorder="little").sum(axis=0)
            for bins, bits in self._bytes
        ]
        return np.concatenate(counts)[: self.targets].astype(np.int64)

    def packed(self, rows: npt.NDArray[np.int32]) -> dna.Bytes:
        """Return the packed labels of the bins `rows`: uint8 `(n, ceil(targets / 8))`."""
        row_of_bin = np.full(len(self._scratch), -1, dtype=np.int32)
        row_of_bin[rows] = np.arange(len(rows), dtype=np.int32)
        packed = np.zeros((len(rows), len(self._bytes)), dtype=np.uint8)
        for column, (bins, bits) in enumerate(self._bytes):
            row = row_of_bin[bins]
            kept = row >= 0
            packed[row[kept], column] = bits[kept]
        return packed
