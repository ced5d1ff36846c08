"""Windows of one split that are also in another: a model that learned from them scores too well.

Two windows share bases if their bins are nearer than a window on one contig. Without coordinates,
and for repeats of the genome, two windows are the same if their sequences are equal on either
strand. A window of which more than half is unknown is compared by its coordinates only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.progress import Advance, progress

if TYPE_CHECKING:
    from bioq.dataset.reading import Dataset
    from bioq.dataset.split import Split

_FEW = 0.01
"""Below this share of its windows a split's scores hardly change. Repeats of a genome are far below
it: in yeast and in human chromosomes 1 and 22 no test window equals a training window."""
_ROWS_AT_ONCE = 1 << 16
FOLD = "fold"
"""The name of both sides of a leak between the folds of a data set."""
_KINDS = {"train": "training ", "valid": "validation ", "test": "test ", FOLD: ""}

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leak:
    """The windows of a split that are also in the split `other`."""

    split: str
    other: str
    windows: int
    """Windows of `split`."""
    overlapping: int | None
    """Windows that share bases with a window of `other`; None if coordinates are not known."""
    equal: int
    """Windows that share no base, and have the sequence of a window of `other` on a strand."""

    def lines(self) -> Iterator[str]:
        """Yield one line per kind of leak that occurs."""
        kind = f"a {_KINDS[self.other]}window" + " of another fold" * (self.other == FOLD)
        if self.overlapping:
            yield self._line(self.overlapping, "shares", "share", f"bases with {kind}")
        if self.equal and self.overlapping is None:
            what = f"the sequence of {kind}, on the same or the other strand"
            yield self._line(self.equal, "has", "have", what)
        elif self.equal:
            where = f"the sequence of {kind} elsewhere in the genome (repeats)"
            yield self._line(self.equal, "has", "have", where)

    def _line(self, count: int, one: str, many: str, what: str) -> str:
        share = count / self.windows
        percent = f"{share:.1%}" if share >= 0.0005 else "less than 0.1%"
        effect = "scores are too high"
        if self.other == "valid":
            effect = "thresholds and calibration fit them too well"
        if share < _FEW:
            effect = "too few to change the scores much"
        return (
            f"{count:,} of {self.windows:,} {_KINDS[self.split]}windows ({percent}) "
            f"{one if count == 1 else many} {what}: {effect}"
        )


def count_leaks(data: Dataset) -> list[Leak]:
    """Compare every two splits of a data set, each later one with those before it; or each fold
    with the other folds."""
    if data.folds and data.chosen is None:
        return [_fold_leak(data)]
    splits = [split for split in data.values() if len(split)]
    return [leak_of(later, earlier) for earlier, later in combinations(splits, 2)]


def leak_of(split: Split, other: Split) -> Leak:
    """Count the windows of `split` that are also in `other`, which may be of another data set.

    Coordinates are compared if both splits have them for the same contigs. Every window of both is
    read once.
    """
    with progress("compare windows", len(split) + len(other), "windows") as advance:
        is_equal = _equal(split, other, advance)
    has_coordinates = split.has_coordinates and other.has_coordinates
    if not has_coordinates or split.contigs != other.contigs:
        return Leak(split.name, other.name, len(split), None, int(is_equal.sum()))
    is_near = _near(split, other)
    equal = int((is_equal & ~is_near).sum())
    return Leak(split.name, other.name, len(split), int(is_near.sum()), equal)


def _fold_leak(data: Dataset) -> Leak:
    """Count the windows that have, on either strand, the sequence of a window of another fold.

    Windows of two folds are on different contigs, so they share no bases.
    """
    windows = sum(map(len, data.values()))
    with progress("compare windows", windows, "windows") as advance:
        hashes, folds = [], []
        for number, split in enumerate(data.values()):
            either_strand = _hashes(split, advance, both_strands=True).min(axis=0)
            hashes.append(either_strand[~_is_unknown(split)])
            folds.append(np.full(len(hashes[-1]), number))
    _, sequence, count = np.unique(np.concatenate(hashes), return_inverse=True, return_counts=True)
    fold = np.concatenate(folds)[np.argsort(sequence, kind="stable")]
    first = np.cumsum(count) - count
    if not len(first):
        return Leak(FOLD, FOLD, windows, 0, 0)
    several = np.minimum.reduceat(fold, first) < np.maximum.reduceat(fold, first)
    return Leak(FOLD, FOLD, windows, 0, int(count[several].sum()))


def _near(split: Split, other: Split) -> Flags:
    """Return whether each window of `split` shares a base with a window of `other`."""
    place, others = _places(split), np.sort(_places(other))
    reach = (split.window_bp + other.window_bp) // 2
    first = np.searchsorted(others, place - reach, side="right")
    near: Flags = first < np.searchsorted(others, place + reach, side="left")
    return near


def _places(split: Split) -> npt.NDArray[np.int64]:
    """Return one number for each bin; bins of different contigs are far apart."""
    contig, start = split.bin_starts().astype(np.int64).T
    place: npt.NDArray[np.int64] = (contig << 33) + start
    return place


def _equal(split: Split, other: Split, advance: Advance) -> Flags:
    """Return whether each window of `split` is, on one of its strands, a window of `other`."""
    hashes = _hashes(split, advance, both_strands=True)
    others = _hashes(other, advance, both_strands=False)[0][~_is_unknown(other)]
    wanted, place = np.unique(hashes, return_inverse=True)
    where = np.searchsorted(wanted, others).clip(max=len(wanted) - 1)
    is_found = np.zeros(len(wanted), dtype=bool)
    is_found[where[wanted[where] == others]] = True
    equal: Flags = is_found[place.reshape(hashes.shape)].any(axis=0) & ~_is_unknown(split)
    return equal


def _hashes(split: Split, advance: Advance, *, both_strands: bool) -> npt.NDArray[np.int64]:
    """Return a hash of each window's packed bases, int64 `(1, windows)`; with `both_strands`
    `(2, windows)`, of the window and of its reverse complement."""
    hashes = np.empty((1 + both_strands, len(split)), dtype=np.int64)
    for first in range(0, len(split), _ROWS_AT_ONCE):
        rows = slice(first, min(first + _ROWS_AT_ONCE, len(split)))
        packed = split.read_packed(rows)
        strands = [packed.sequence]
        if both_strands:
            codes = dna.unpack(packed.sequence, split.window_bp, packed.mask)
            strands.append(dna.pack(dna.reverse_complement(codes))[0])
        for strand, bases in enumerate(strands):
            each = np.ascontiguousarray(bases).view(f"V{bases.shape[1]}").ravel().tolist()
            hashes[strand, rows] = np.fromiter(map(hash, each), dtype=np.int64, count=len(each))
        advance(rows.stop - rows.start)
    return hashes


def _is_unknown(split: Split) -> Flags:
    """Return whether more than half of each window is unknown."""
    rows, mask = split.masks()
    unknown = np.zeros(len(split), dtype=bool)
    unknown[rows] = 2 * np.bitwise_count(mask).sum(axis=1, dtype=np.int64) > split.window_bp
    return unknown
