"""Folds: parts of a data set that are divided by contig, for cross-validation without copies.

A data set with K folds has the folders `fold-1` to `fold-K` instead of splits. Fold i of K is the
test split of one training, the next fold its validation split, and the others its training split.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError, UsageError, shown
from bioq.options import Range

LEAST_FOLDS, MOST_FOLDS = 3, 64
"""Of three folds one is for training, one for validation and one for testing. An ensemble has at
most 64 members."""
FoldCount = Annotated[int, Range(least=LEAST_FOLDS, most=MOST_FOLDS)]
ALL = "all"
"""Every fold in turn, instead of one."""

_NOTATION = re.compile(r"([0-9]{1,3})/([0-9]{1,3})")


@dataclass(frozen=True)
class Fold:
    """The fold that is tested, and the number of folds; written `2/5`."""

    number: int
    """From 1."""
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def folders(self) -> dict[str, list[str]]:
        """Return split -> its folders."""
        valid = self.number % self.of + 1
        train = [number for number in range(1, self.of + 1) if number not in (self.number, valid)]
        return {
            "train": [fold_folder(number) for number in train],
            "valid": [fold_folder(valid)],
            "test": [fold_folder(self.number)],
        }


def require_fold(fold: str | None) -> None:
    """Raise UsageError for a `--fold` that is neither a fold nor `all`; None is no fold."""
    if fold not in (None, ALL):
        parse_fold(fold)


def fold_folder(number: int) -> str:
    """Return the name of the folder of a fold; `number` is from 1."""
    return f"fold-{number}"


def fold_folders(count: int) -> tuple[str, ...]:
    """Return the names of the folders of the folds, in order."""
    return tuple(map(fold_folder, range(1, count + 1)))


def parse_fold(text: str) -> Fold:
    """Return the fold that `--fold` names, `2/5`. Raises UsageError for another text."""
    match = _NOTATION.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            f"--fold {shown(text)}; expected the fold to test and the number of folds, such as "
            f"2/5, or {ALL}"
        )
    return Fold(int(match[1]), int(match[2]))


def assign_folds(
    windows: npt.NDArray[np.int64],
    positives: npt.NDArray[np.int64],
    bins: npt.NDArray[np.int64],
    count: int,
) -> npt.NDArray[np.int64]:
    """Return the fold of each contig, `(contigs,)`, from 1; 0 for a contig without a bin.

    The arguments have one number per contig: windows, windows that are positive for any target,
    and bins. The contigs are taken in the order of their weight, the largest first; each is added
    to the fold with the least weight so far (Graham 1969). The weight of a contig is its share of
    the windows plus its share of the positives. Contigs without a window are then added in the same
    way, by their bins. Raises BioqError if fewer contigs than folds have a window.
    """
    with_window = int((windows > 0).sum())
    if with_window < count:
        advice = f"give --folds {with_window}, or --valid-chrom and --test-chrom"
        if with_window < LEAST_FOLDS:
            advice = f"folds are of contigs, and {LEAST_FOLDS} are the fewest; give --valid-chrom "
            advice += "and --test-chrom"
        raise BioqError(
            f"--folds {count}: {with_window:,} contig{'s have' if with_window != 1 else ' has'} "
            f"a window, and each fold needs one; {advice}"
        )
    weight = [
        int(own) * int(positives.sum()) + int(positive) * int(windows.sum())
        for own, positive in zip(windows, positives, strict=True)
    ]
    fold = np.zeros(len(windows), dtype=np.int64)
    _spread(weight, fold, count)
    _spread([int(own) if fold[i] == 0 else 0 for i, own in enumerate(bins)], fold, count)
    return fold


def _spread(weight: Sequence[int], fold: npt.NDArray[np.int64], count: int) -> None:
    """Set the fold of each contig that has a weight: the largest weight first, to the fold with the
    least weight so far, the first of several."""
    load = [0] * count
    for contig in sorted(range(len(weight)), key=lambda contig: -weight[contig]):
        if weight[contig]:
            least = load.index(min(load))
            fold[contig] = least + 1
            load[least] += weight[contig]
