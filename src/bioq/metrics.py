"""Exact scores of probabilities against 0/1 labels, ties included, in bounded memory.

Everything is counted at the distinct scores of the positives: only there do curves gain recall.
So memory grows with the positives, not with all the windows times all the targets. A score counts
as a "yes" at a threshold when it is equal to it or larger. What is undefined (no positive, no
negative, no "yes") is NaN.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import BioqError

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]

HALF = 0.5
"""The threshold that the papers use where they name none."""
RATES = ("accuracy", "f1", "precision", "recall")
"""The rates of a `Confusion`."""

_CHUNK_VALUES = 1 << 24  # 64 MiB of float32 for each thread
_MOST_THREADS = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class OperatingPoints:
    """Counts at every distinct score of a positive, the highest first; arrays are `(points,)`."""

    thresholds: Floats
    true_positives: Counts
    """Positives that score the threshold or more."""
    false_positives: Counts
    """Negatives that score the threshold or more."""
    false_positives_above: Counts
    """Negatives that score strictly more; fewer than `false_positives` where there are ties."""
    positives: int
    negatives: int


@dataclass(frozen=True)
class Confusion:
    """The four counts at one threshold, and the rates made of them."""

    true_positives: int
    false_positives: int
    positives: int
    negatives: int

    @property
    def accuracy(self) -> float:
        """Share of answers that are right."""
        right = self.true_positives + self.negatives - self.false_positives
        return _ratio(right, self.positives + self.negatives)

    @property
    def precision(self) -> float:
        """Share of the "yes" answers that are right; NaN without one."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the positives that are found; NaN without a positive."""
        return _ratio(self.true_positives, self.positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); NaN if no positive."""
        if not self.positives:
            return float("nan")
        said_or_is_yes = self.true_positives + self.false_positives + self.positives
        return _ratio(2 * self.true_positives, said_or_is_yes)


@dataclass(frozen=True)
class Calibration:
    """How often a probability came true, in bins of equal width from 0 to 1.

    Each array is `(bins,)`; in an empty bin mean and rate are NaN.
    """

    count: Counts
    mean_probability: Floats
    positive_rate: Floats

    @property
    def expected_error(self) -> float:
        """Mean of |mean probability - positive rate|, each bin weighted with its count (ECE)."""
        filled = self.count > 0
        gap = np.abs(self.mean_probability - self.positive_rate)[filled]
        return _ratio(float(gap @ self.count[filled]), int(self.count.sum()))


def operating_points(
    labels: Array, scores: Array, *, columns: Indices | None = None
) -> OperatingPoints:
    """Count true and false positives at every distinct score of a positive.

    `labels` (0/1) and `scores` have the same shape: `(n,)` for one target, `(n, targets)` to pool
    all targets (the micro average), or those numbered in `columns`. Memory: about 40 bytes for
    each positive and 200 MB for each thread.
    Raises BioqError if a score is NaN or infinite.
    """
    pieces = _pieces(labels, scores, columns)

    def positives_of(piece: slice) -> Array:
        label, scored = _flat(labels, scores, columns, piece)
        return scored[label]

    thresholds, counts = np.unique(
        np.concatenate(_in_threads(positives_of, pieces)), return_counts=True
    )
    below, equal = np.zeros(len(thresholds), np.int64), np.zeros(len(thresholds), np.int64)
    negatives = 0
    lock = threading.Lock()

    def count_negatives_of(piece: slice) -> None:
        nonlocal negatives
        label, scored = _flat(labels, scores, columns, piece)
        others = np.sort(scored[~label])
        left, ties, tied = _rank(others, thresholds)
        with lock:
            negatives += len(others)
            below[:] += left
            equal[ties] += tied

    _in_threads(count_negatives_of, pieces)
    return OperatingPoints(
        thresholds=thresholds[::-1].astype(np.float64),
        true_positives=counts[::-1].cumsum(),
        false_positives=(negatives - below)[::-1],
        false_positives_above=(negatives - below - equal)[::-1],
        positives=int(counts.sum()),
        negatives=negatives,
    )


def roc_auc(points: OperatingPoints) -> float:
    """Return the area under the ROC curve: how often a positive outscores a negative, ties half."""
    gained = np.diff(points.true_positives, prepend=0)
    lost_twice = points.false_positives + points.false_positives_above
    won_twice = int(gained @ (2 * points.negatives - lost_twice))
    return _ratio(won_twice, 2 * points.positives * points.negatives)


def average_precision(points: OperatingPoints) -> float:
    """Return the area under the precision-recall curve as steps, sum of (R_k - R_k-1) P_k.

    The same definition as scikit-learn's `average_precision_score`.
    """
    gained = np.diff(points.true_positives, prepend=0)
    precision = points.true_positives / (points.true_positives + points.false_positives)
    return _ratio(float(gained @ precision), points.positives)


def best_f1(points: OperatingPoints) -> float:
    """Return the threshold with the highest F1, the highest such; NaN without a positive."""
    if not points.positives:
        return float("nan")
    said_or_is_yes = points.true_positives + points.false_positives + points.positives
    return float(points.thresholds[np.argmax(2 * points.true_positives / said_or_is_yes)])


def roc_curve(points: OperatingPoints, *, most: int = 1000) -> tuple[Floats, Floats]:
    """Return (false positive rate, true positive rate) from (0, 0) to (1, 1), joined by lines.

    Of more than `2 * most` points, about that many are kept, evenly spread along the curve.
    """
    if not points.positives or not points.negatives:
        return np.full(2, np.nan), np.full(2, np.nan)
    keep = _spread(points.false_positives / points.negatives, points, most)
    before = np.concatenate([[0], points.true_positives[:-1]])[keep]
    x = np.stack([points.false_positives_above[keep], points.false_positives[keep]], axis=1)
    y = np.stack([before, points.true_positives[keep]], axis=1)
    return (
        np.concatenate([[0.0], x.ravel() / points.negatives, [1.0]]),
        np.concatenate([[0.0], y.ravel() / points.positives, [1.0]]),
    )


def precision_recall_curve(
    points: OperatingPoints, *, most: int = 1000
) -> tuple[Floats, Floats, Floats]:
    """Return (recall, precision, threshold) at about `most` of the points, recall rising."""
    if not points.positives:
        return np.empty(0), np.empty(0), np.empty(0)
    said_yes = points.true_positives + points.false_positives
    keep = _spread(points.true_positives / said_yes, points, most)
    return (
        points.true_positives[keep] / points.positives,
        points.true_positives[keep] / said_yes[keep],
        points.thresholds[keep],
    )


def at_threshold(labels: Array, scores: Array, threshold: float) -> Confusion:
    """Count right and wrong answers where "yes" is a score of `threshold` or more."""
    true_positives = said_yes = positives = 0
    for label, scored in _chunks(labels, scores):
        yes = scored >= np.asarray(threshold, dtype=np.float64)
        true_positives += int(np.count_nonzero(yes & label))
        said_yes += int(np.count_nonzero(yes))
        positives += int(np.count_nonzero(label))
    negatives = labels.size - positives
    return Confusion(true_positives, said_yes - true_positives, positives, negatives)


def per_target(
    labels: Array, probability: Array, *, thresholds: Floats | None = None
) -> pd.DataFrame:
    """Score every target on its own; one row a target.

    `labels` and `probability` are `(windows, targets)`, `thresholds` `(targets,)`. Columns:
    positives, roc_auc, average_precision, windows, brier; accuracy, f1, precision and recall, each
    with the suffix `_at_0.5`; and, with `thresholds`, threshold and the four `_at_threshold`.
    """

    def score(target: int, label: Bools, scored: Array) -> dict[str, float]:
        points = operating_points(label, scored)
        row: dict[str, float] = {"positives": points.positives}
        row["roc_auc"] = roc_auc(points)
        row["average_precision"] = average_precision(points)
        row["windows"] = len(label)
        row["brier"] = brier(label, scored)
        row |= _rates(label, scored, HALF, "_at_0.5")
        if thresholds is not None:
            row["threshold"] = float(thresholds[target])
            row |= _rates(label, scored, row["threshold"], "_at_threshold")
        return row

    return pd.DataFrame(_each_target(score, labels, probability))


def best_thresholds(labels: Array, probability: Array) -> Floats:
    """Return the best-F1 threshold of every target, `(targets,)`; NaN without a positive."""
    found = _each_target(lambda _, *column: best_f1(operating_points(*column)), labels, probability)
    return np.array(found, dtype=np.float64)


def macro(values: Array | pd.Series) -> tuple[float, int]:
    """Return the mean over the targets where a score is defined, and how many are undefined."""
    scores = np.asarray(values, dtype=np.float64)
    defined = scores[~np.isnan(scores)]
    mean = float(defined.mean()) if len(defined) else float("nan")
    return mean, len(scores) - len(defined)


def quick_scores(labels: Array, probability: Array) -> dict[str, float]:
    """Return macro and micro ROC AUC and average precision of `(windows, targets)` arrays."""

    def areas(_: int, label: Bools, scored: Array) -> tuple[float, float]:
        points = operating_points(label, scored)
        return roc_auc(points), average_precision(points)

    each = np.array(_each_target(areas, labels, probability), dtype=np.float64).reshape(-1, 2)
    pooled = operating_points(labels, probability)
    return {
        "macro_roc_auc": macro(each[:, 0])[0],
        "micro_roc_auc": roc_auc(pooled),
        "macro_average_precision": macro(each[:, 1])[0],
        "micro_average_precision": average_precision(pooled),
    }


def brier(labels: Array, probability: Array) -> float:
    """Return the mean squared difference of probability and label, over all values."""
    total = 0.0
    for label, scored in _chunks(labels, probability):
        gap = scored.astype(np.float64) - label
        total += float(gap @ gap)
    return _ratio(total, labels.size)


def calibration(labels: Array, probability: Array, *, bins: int = 20) -> Calibration:
    """Compare probability with the share of positives, in `bins` bins of equal width.

    Bin b holds probabilities in [b / bins, (b + 1) / bins), the last one 1 too.
    """
    count, positives = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    total = np.zeros(bins)
    for label, scored in _chunks(labels, probability):
        which = np.clip(scored.astype(np.float64) * bins, 0, bins - 1).astype(np.intp)
        count += np.bincount(which, minlength=bins)
        positives += np.bincount(which[label], minlength=bins)
        total += np.bincount(which, weights=scored, minlength=bins)
    divisor = np.where(count > 0, count, np.nan)
    return Calibration(count, total / divisor, positives / divisor)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _rates(label: Array, scored: Array, threshold: float, suffix: str) -> dict[str, float]:
    """Return the rates at a threshold; NaN without one."""
    if np.isnan(threshold):
        return {name + suffix: float("nan") for name in RATES}
    confusion = at_threshold(label, scored, threshold)
    return {name + suffix: float(getattr(confusion, name)) for name in RATES}


def _rank(negatives: Array, thresholds: Array) -> tuple[Counts, Indices, Counts]:
    """Return, of sorted negatives, how many are below each threshold; and the numbers of the
    thresholds that negatives tie with, and how many negatives tie with each of those."""
    left = np.searchsorted(negatives, thresholds, side="left")
    if not len(negatives):
        return left, np.empty(0, np.intp), np.empty(0, np.int64)
    ties = np.flatnonzero(negatives[np.minimum(left, len(negatives) - 1)] == thresholds)
    right = np.searchsorted(negatives, thresholds[ties], side="right")
    return left, ties, right - left[ties]


def _spread(precision_or_rate: Floats, points: OperatingPoints, most: int) -> Indices:
    """Choose about `most` points, evenly spread along recall plus the other axis of a curve."""
    if len(points.thresholds) <= most:
        return np.arange(len(points.thresholds))
    steps = np.abs(np.diff(precision_or_rate)) + np.diff(points.true_positives) / points.positives
    along = np.concatenate([[0.0], np.cumsum(steps)])
    chosen = np.searchsorted(along, np.linspace(0, along[-1], most))
    return np.unique(np.minimum(chosen, len(along) - 1))


def _pieces(labels: Array, scores: Array, columns: Indices | None = None) -> list[slice]:
    """Cut the rows into slices of at most `_CHUNK_VALUES` values; at least one slice."""
    if labels.shape != scores.shape or labels.ndim not in (1, 2):
        raise ValueError(
            f"labels {labels.shape} and scores {scores.shape}: "
            "expected the same shape, (windows,) or (windows, targets)"
        )
    width = 1 if labels.ndim == 1 else labels.shape[1] if columns is None else len(columns)
    rows = max(_CHUNK_VALUES // max(width, 1), 1)
    return [slice(start, start + rows) for start in range(0, max(len(labels), 1), rows)]


def _flat(
    labels: Array, scores: Array, columns: Indices | None, piece: slice
) -> tuple[Bools, Array]:
    """Return (labels as bool, finite scores) of some rows, both flat."""
    label, scored = labels[piece], np.asarray(scores[piece])
    if columns is not None:
        label, scored = label[:, columns], scored[:, columns]
    _check_finite(scored, piece.start)
    return label.astype(bool, copy=False).ravel(), scored.ravel()


def _chunks(labels: Array, scores: Array) -> Iterator[tuple[Bools, Array]]:
    for piece in _pieces(labels, scores):
        yield _flat(labels, scores, None, piece)


def _check_finite(scored: Array, first_row: int, first_target: int = 0) -> None:
    finite = np.isfinite(scored)
    if finite.all():
        return
    where = np.argwhere(~finite)[0]
    target = f", target {where[1] + first_target}" if len(where) > 1 else ""
    raise BioqError(
        f"window {where[0] + first_row}{target} (counted from 0): the score is "
        f"{scored[tuple(where)]}, expected a finite number; the model has diverged, train it "
        "again with a lower learning rate"
    )


def _each_target(
    score: Callable[[int, Bools, Array], _Result], labels: Array, scores: Array
) -> list[_Result]:
    """Call `score(target, labels, scores)` with each target's column, contiguous, in threads."""
    windows, targets = labels.shape
    width = max(_CHUNK_VALUES // max(windows, 1), 1)
    results: list[_Result] = []
    for start in range(0, targets, width):
        # One sweep over the rows for many columns: the arrays may be larger than memory.
        block = slice(start, start + width)
        _check_finite(scores[:, block], 0, start)
        label = np.ascontiguousarray(labels[:, block].T).astype(bool, copy=False)
        scored = np.ascontiguousarray(scores[:, block].T)
        numbered = [(start + row, label[row], scored[row]) for row in range(len(label))]
        results.extend(_in_threads(lambda column: score(*column), numbered))
    return results


def _in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Call `function` with each item, in threads if many (NumPy sorts without Python's lock)."""
    threads = min(os.cpu_count() or 1, _MOST_THREADS, len(items))
    if threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
