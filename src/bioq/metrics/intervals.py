"""Intervals of ROC AUC and average precision over blocks of windows that are not independent.

A score is a function of the weights of the blocks, all 1. Its derivative by the weight of a block
is the effect of the block, and the sum of the squared effects is the variance of the score over
draws of blocks: the infinitesimal jackknife (Efron 1982, ch. 6). For ROC AUC it is the variance of
Obuchowski 1997 for clustered data, which is DeLong et al. 1988 if every block is one window. The
effects of a mean of scores are the means of the effects, so means over targets that share windows
have an interval too.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError, UsageError
from bioq.metrics.pieces import (
    Array,
    Floats,
    Indices,
    flat,
    in_threads,
    labels_and_scores,
    numbers_of,
)
from bioq.metrics.points import (
    OperatingPoints,
    average_precision,
    checked_columns,
    require_weights,
    roc_auc,
)
from bioq.options import found, of_type

MIN_BLOCKS = 5
"""With fewer blocks that have a positive, the spread between blocks is a guess: no interval."""
MOST_BLOCKS = 1000
"""More blocks are joined with their neighbours: memory grows with blocks times targets."""
LEVEL = 0.95

_BINS_LOG2 = 16
_CHUNK_VALUES = 1 << 20
_NONE = (float("nan"), float("nan"))


@dataclass(frozen=True)
class BlockEffects:
    """Effects of the blocks on a score; every array is `(blocks,)`, or `(blocks, targets)`."""

    roc_auc: Floats
    average_precision: Floats
    share: Floats
    """Each block's share of the positives, or of the negatives if these are fewer."""

    def mean(self, targets: Array) -> "BlockEffects":
        """Average over targets, which have a column each.

        Args:
            targets: Their numbers, or a mask `(targets,)`.

        Returns:
            The effects on the mean of their scores, `(blocks,)`.
        """
        return BlockEffects(
            self.roc_auc[:, targets].mean(axis=1),
            self.average_precision[:, targets].mean(axis=1),
            self.share[:, targets].mean(axis=1),
        )

    def interval_of_roc_auc(self, score: float) -> tuple[float, float]:
        """Return a 95 % interval.

        Args:
            score: The ROC AUC that has these effects.

        Returns:
            Low and high; NaN for a score of 0 or 1, and if fewer than `MIN_BLOCKS` blocks have a
            share.
        """
        return _interval(score, self.roc_auc, self.share)

    def interval_of_average_precision(self, score: float) -> tuple[float, float]:
        """Return a 95 % interval as `interval_of_roc_auc` does.

        Args:
            score: The average precision that has these effects.

        Returns:
            Low and high.
        """
        return _interval(score, self.average_precision, self.share)

    def interval_of_gain(self, gain: float, other: "BlockEffects") -> tuple[float, float]:
        """Return the 95 % interval of a difference of two average precisions.

        Args:
            gain: The average precision that has these effects, minus that of the other.
            other: Effects of the other, of the same rows and blocks.

        Returns:
            Low and high; NaN as of `interval_of_roc_auc`.
        """
        reach = _reach(self.average_precision - other.average_precision, self.share)
        return gain - reach, gain + reach


def stacked(effects: Sequence[BlockEffects]) -> BlockEffects:
    """Return the effects on the scores of several targets, `(blocks, targets)`."""
    return BlockEffects(
        np.stack([one.roc_auc for one in effects], axis=1),
        np.stack([one.average_precision for one in effects], axis=1),
        np.stack([one.share for one in effects], axis=1),
    )


def joined_blocks(blocks: Array) -> npt.NDArray[np.intp]:
    """Return block numbers below `MOST_BLOCKS`; neighbours are joined.

    Args:
        blocks: Whole numbers from 0, `(n,)`: the block of the genome in which a window lies.

    Returns:
        Block numbers, int64 `(n,)`.

    Raises:
        BioqError: For numbers that are not whole numbers from 0.
    """
    blocks = require_blocks(blocks)
    count = int(blocks.max(initial=-1)) + 1
    return (blocks * min(count, MOST_BLOCKS) // max(count, 1)).astype(np.intp)


def require_blocks(blocks: object, windows: int | None = None) -> npt.NDArray[np.int64]:
    """Return the number of the block of each window; raise BioqError for other numbers."""
    numbers = numbers_of("blocks", blocks, "iu", axes=1).astype(np.int64, copy=False)
    if windows is not None and len(numbers) != windows:
        raise BioqError(f"blocks {numbers.shape}; expected a number for each of {windows} windows")
    if numbers.min(initial=0) < 0:
        raise BioqError(f"blocks hold {numbers.min()}; expected numbers from 0")
    return numbers


def block_effects(
    points: OperatingPoints,
    labels: Array,
    scores: Array,
    blocks: Array,
    *,
    columns: Indices | None = None,
    weights: Array | None = None,
) -> BlockEffects:
    """Return the effects of blocks on the ROC AUC and the average precision of `points`.

    Scores that differ by less than about 0.02 % of themselves have the same effect here: a table of
    effects is 5 times as fast as a search among the thresholds.

    Args:
        points: `operating_points` of the arguments that follow.
        labels: 0 and 1, `(n,)` or `(windows, targets)`.
        scores: Of the shape of `labels`; fixed numbers here.
        blocks: Block of each window, `(n,)`, from `joined_blocks`.
        columns: As in `operating_points`.
        weights: As in `operating_points`.

    Returns:
        The effects, from which intervals are computed.

    Raises:
        BioqError: As `operating_points` does, and for blocks of other windows.
    """
    of_type("points", points, OperatingPoints, "the operating points of these labels and scores")
    labels, scores = labels_and_scores(labels, scores)
    columns, blocks = checked_columns(labels, columns), require_blocks(blocks, len(labels))
    weights = None if weights is None else require_weights(weights, len(labels))
    count = int(blocks.max(initial=-1)) + 1
    width = 1 if labels.ndim == 1 else labels.shape[1] if columns is None else len(columns)
    rows = max(_CHUNK_VALUES // max(width, 1), 1)
    bins = _Bins.of(points)
    table = _effects_by_bin(points, bins)
    total, positives = np.zeros(count, np.complex128), np.zeros(count)
    windows = np.bincount(blocks, minlength=count) * float(width)
    lock = threading.Lock()

    def add_up(piece: slice) -> None:
        label, scored = flat(labels, scores, columns, piece)
        part = blocks[piece]
        starts = np.flatnonzero(np.diff(part, prepend=-1))  # runs of rows of the same block
        which = bins.number(scored)
        which += label * np.int64(bins.count)
        each = table.take(which)
        if weights is not None:
            each = each * np.where(label, 1.0, np.repeat(weights[piece], width))
        effects = np.add.reduceat(each, starts * width)
        found = np.add.reduceat(label, starts * width, dtype=np.int64)
        with lock:
            np.add.at(total, part[starts], effects)
            np.add.at(positives, part[starts], found)

    if width and len(labels):
        in_threads(add_up, [slice(row, row + rows) for row in range(0, len(labels), rows)])
    fewer = positives if points.positives <= points.negatives else windows - positives
    share = fewer / max(float(fewer.sum()), 1.0)
    return BlockEffects(total.real.copy(), total.imag.copy(), share)


@dataclass(frozen=True)
class _Bins:
    """Bins of scores, from the lowest to the highest threshold, and one above and one below."""

    lowest: int
    shift: int
    count: int

    @classmethod
    def of(cls, points: OperatingPoints) -> "_Bins":
        if not points.positives:
            return cls(0, 0, 2)
        highest, lowest = _keys(points.thresholds[[0, -1]]).tolist()
        shift = max((highest - lowest).bit_length() - _BINS_LOG2, 0)
        return cls(lowest, shift, ((highest - lowest) >> shift) + 3)

    def number(self, scored: Array) -> npt.NDArray[np.int64]:
        numbers = _keys(scored).astype(np.int64)
        numbers -= self.lowest
        numbers >>= self.shift
        numbers += 1
        return np.clip(numbers, 0, self.count - 1, out=numbers)


def _keys(scored: Array) -> npt.NDArray[np.int32]:
    """Return whole numbers in the order of the scores as float32."""
    bits = (scored.astype(np.float32, copy=False) + np.float32(0)).view(np.int32)  # -0.0 is 0.0
    if bits.min(initial=0) >= 0:
        return bits
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def _effects_by_bin(points: OperatingPoints, bins: _Bins) -> npt.NDArray[np.complex64]:
    """Return the effect of a window on ROC AUC (real) and average precision (imaginary).

    `(2 * bins,)`: of the negatives in the order of their bins, then of the positives. NaN without
    a positive or a negative.
    """
    which = bins.number(points.thresholds)
    gained = np.diff(points.true_positives, prepend=0).astype(np.float64)
    true, false = points.true_positives, points.false_positives
    yes = (true + false).astype(np.float64)
    in_bin = np.bincount(which, gained, bins.count)

    def of_bin(values: Floats) -> Floats:
        """Return the mean over the positives of each bin."""
        return np.bincount(which, gained * values, bins.count) / np.maximum(in_bin, 1)

    def up_to(values: Floats) -> Floats:
        """Return the sum over the thresholds up to a bin, half of its own if it has several."""
        found = np.bincount(which, gained * values, bins.count)
        several = np.bincount(which, minlength=bins.count) > 1
        return found.cumsum() - np.where(several, found / 2, 0)

    with np.errstate(invalid="ignore", divide="ignore"):
        won = 1 - (false + points.false_positives_above) / (2 * points.negatives)
        lost = 1 - (in_bin.cumsum() - in_bin / 2) / points.positives
        gain = (gained * false / yes**2)[::-1].cumsum()[::-1]
        precision = of_bin(true / yes + gain) - average_precision(points)
        of_positive = (of_bin(won) - roc_auc(points) + 1j * precision) / points.positives
        loss = 1j * up_to(true / yes**2) / points.positives
        of_negative = (lost - roc_auc(points)) / points.negatives - loss
    return np.concatenate([of_negative, of_positive]).astype(np.complex64)


def _interval(score: float, effects: Floats, share: Floats) -> tuple[float, float]:
    """Return a 95 % interval: normal on the logit scale, so that it remains between 0 and 1."""
    reach = _reach(effects, share)
    if not 0 < score < 1 or np.isnan(reach):
        return _NONE
    reach /= score * (1 - score)
    middle = np.log(score / (1 - score))
    with np.errstate(over="ignore"):
        low, high = 1 / (1 + np.exp(-(middle + reach * np.array([-1.0, 1.0]))))
    return float(low), float(high)


def _reach(effects: Floats, share: Floats) -> float:
    """Return half the width of a 95 % interval; NaN with too few blocks or undefined effects.

    With t instead of the normal quantile: the degrees of freedom are the effective number of
    blocks, 1 / sum of squared shares (Carter, Schnepel & Steigerwald 2017), minus 1.
    """
    if (share > 0).sum() < MIN_BLOCKS or not np.isfinite(effects).all():
        return float("nan")
    blocks = len(effects)
    error = np.sqrt((effects**2).sum() * blocks / (blocks - 1))
    return float(t_quantile(1 / (share**2).sum() - 1) * error)


def t_quantile(freedom: float) -> float:
    """Return the two-sided quantile of Student's t for `LEVEL`.

    With t = sqrt(freedom) tan(angle), the density of the angle is cos(angle) ** (freedom - 1) up to
    a factor.

    Args:
        freedom: Degrees of freedom; below 1 it counts as 1.

    Returns:
        The quantile, in standard errors.

    Raises:
        UsageError: For NaN, and for what is not a number.
    """
    if not isinstance(freedom, int | float) or np.isnan(freedom):
        raise UsageError(f"freedom {found(freedom)}; expected a number")
    freedom = min(max(freedom, 1.0), 1e6)
    angle = np.linspace(0, min(np.pi / 2, 12 / np.sqrt(freedom)), 4001)
    density = np.cos(angle) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return float(np.sqrt(freedom) * np.tan(np.interp(LEVEL * below[-1], below, angle)))
