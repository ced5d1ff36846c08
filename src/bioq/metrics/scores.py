"""Scores at thresholds, of each target and of all targets pooled, and calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.metrics.intervals import BlockEffects, block_effects, require_blocks, stacked
from bioq.metrics.pieces import (
    Array,
    Bools,
    Counts,
    Floats,
    chunks,
    each_target,
    flat,
    labels_and_scores,
    numbers_of,
    ratio,
    require_shares,
)
from bioq.metrics.points import (
    average_precision,
    best_f1,
    operating_points,
    require_weights,
    roc_auc,
)
from bioq.options import finite_number, text, whole_number

if TYPE_CHECKING:  # 0.4 s that finding a run does not need
    import pandas as pd

HALF = 0.5
"""The threshold of the papers unless they name another."""
RATES = ("accuracy", "f1", "precision", "recall")
"""The rates of a `Confusion`."""
_CHUNK_ROWS = 4096
_MOST_BINS = 1 << 24  # the floats between 0.5 and 1
_MOST_DIGITS = 99  # a float64 has 17


@dataclass(frozen=True)
class Confusion:
    """The counts at a threshold, and the rates computed from them."""

    true_positives: int
    false_positives: float
    positives: int
    negatives: float
    """Whole numbers, or with weights sums of the weights of the negatives."""

    @property
    def accuracy(self) -> float:
        """Share of answers that are right."""
        right = self.true_positives + self.negatives - self.false_positives
        return ratio(right, self.positives + self.negatives)

    @property
    def precision(self) -> float:
        """Share of the "yes" answers that are right; NaN without a "yes"."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the positives with the answer "yes"; NaN without a positive."""
        return ratio(self.true_positives, self.positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); NaN if no positive."""
        if not self.positives:
            return float("nan")
        predicted_plus_positive = self.true_positives + self.false_positives + self.positives
        return ratio(2 * self.true_positives, predicted_plus_positive)


@dataclass(frozen=True)
class Reliability:
    """Share of positives per bin of predicted probability; bins of equal width from 0 to 1.

    Each array is `(bins,)`; mean and rate of an empty bin are NaN.
    """

    count: Counts
    mean_probability: Floats
    positive_rate: Floats

    @property
    def expected_error(self) -> float:
        """Mean of |mean probability - positive rate|, each bin weighted with its count (ECE)."""
        filled = self.count > 0
        gap = np.abs(self.mean_probability - self.positive_rate)[filled]
        return ratio(float(gap @ self.count[filled]), int(self.count.sum()))


def at_threshold(
    labels: Array, scores: Array, threshold: float, *, weights: Array | None = None
) -> Confusion:
    """Count right and wrong answers where "yes" is a score of `threshold` or more.

    Args:
        labels: 0 and 1, `(n,)` or `(windows, targets)`, which are pooled.
        scores: Of the shape of `labels`; the higher, the more probable is 1.
        threshold: In the units of `scores`.
        weights: `(n,)`: a negative counts as the weight of its row, as in `operating_points`.

    Returns:
        The counts, and from them accuracy, F1, precision and recall.

    Raises:
        BioqError: As `operating_points` does, and for a threshold that is not finite.
    """
    labels, scores = labels_and_scores(labels, scores)
    threshold = finite_number("threshold", threshold)
    if weights is not None:
        return _weighted_at(labels, scores, threshold, require_weights(weights, len(labels)))
    true_positives = predicted_positives = positives = 0
    for label, scored in chunks(labels, scores):
        yes = scored >= np.asarray(threshold, dtype=np.float64)
        true_positives += int(np.count_nonzero(yes & label))
        predicted_positives += int(np.count_nonzero(yes))
        positives += int(np.count_nonzero(label))
    negatives = labels.size - positives
    return Confusion(true_positives, predicted_positives - true_positives, positives, negatives)


def _weighted_at(labels: Array, scores: Array, threshold: float, weights: Floats) -> Confusion:
    """Return the sum of the counts of the rows of each weight, times the weight."""
    true_positives = positives = 0
    false_positives = negatives = 0.0
    for weight in np.unique(weights):
        rows = weights == weight
        part = at_threshold(labels[rows], scores[rows], threshold)
        true_positives += part.true_positives
        positives += part.positives
        false_positives += float(weight) * part.false_positives
        negatives += float(weight) * part.negatives
    return Confusion(true_positives, false_positives, positives, negatives)


FEW_POSITIVES = 20
"""With fewer positives the scores of a target say little: the 95 % interval of a ROC AUC of 0.8 is
then about 0.2 wide or more (standard error 0.06 with 20 positives; Hanley & McNeil 1982)."""
SAME_WITHIN = 1e-4
"""Predictions of a target that differ less, relative to their distance from 0 and 1, are the same:
float32 arithmetic alone makes a difference of about 1e-6."""


@dataclass(frozen=True)
class TargetScores:
    """The scores of every target, and the effects of blocks on them."""

    table: "pd.DataFrame"
    """See `per_target`."""
    effects: BlockEffects | None
    """Arrays `(blocks, targets)`; None without blocks."""


def per_target(
    labels: Array, probability: Array, *, thresholds: Floats | None = None
) -> "pd.DataFrame":
    """Score every target.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.
        thresholds: Threshold of each target, `(targets,)`.

    Returns:
        One row per target, with positives, roc_auc, average_precision, windows, positive_rate
        (which is the average precision of a constant), few_positives (1 if fewer than
        `FEW_POSITIVES`), same_everywhere (1 if all predictions are the same), brier; accuracy, f1,
        precision and recall, each with the suffix `_at_0.5`; and, with `thresholds`, threshold and
        the four `_at_threshold`.

    Raises:
        BioqError: For labels that are not 0 or 1, probabilities that are not, and other shapes.
    """
    return score_targets(labels, probability, thresholds=thresholds).table


def score_targets(
    labels: Array,
    probability: Array,
    *,
    thresholds: Floats | None = None,
    blocks: Array | None = None,
) -> TargetScores:
    """Score every target as `per_target` does, and with `blocks` give 95 % intervals too.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.
        thresholds: Threshold of each target, `(targets,)`.
        blocks: Block of each window, `(windows,)`, from `joined_blocks`.

    Returns:
        The table of `per_target`; with `blocks`, also the columns roc_auc_low, roc_auc_high,
        average_precision_low and average_precision_high.

    Raises:
        BioqError: As `per_target` does.
    """
    labels, probability = labels_and_scores(labels, probability, axes=2)
    blocks = None if blocks is None else require_blocks(blocks, len(labels))
    if thresholds is not None:
        thresholds = numbers_of("thresholds", thresholds, "iuf", axes=1)
        if len(thresholds) != labels.shape[1]:
            raise BioqError(
                f"thresholds {thresholds.shape}; expected one for each of {labels.shape[1]} targets"
            )

    def score(target: int, label: Bools, scored: Array) -> _Row:
        row, effects = _areas(label, scored, blocks, None)
        row["windows"] = len(label)
        row["positive_rate"] = ratio(row["positives"], len(label))
        row["few_positives"] = int(row["positives"] < FEW_POSITIVES)
        row["same_everywhere"] = int(len(scored) > 1 and is_same(scored.min(), scored.max()))
        row["brier"] = brier(label, scored)
        row |= _rates(label, scored, HALF, "_at_0.5")
        if thresholds is not None:
            row["threshold"] = float(thresholds[target])
            row |= _rates(label, scored, row["threshold"], "_at_threshold")
        return row, effects

    return _joined(each_target(score, labels, probability))


_Row = tuple[dict[str, float], BlockEffects | None]


def weighted_areas(
    labels: Array, probability: Array, weights: Array, *, blocks: Array | None = None
) -> TargetScores:
    """Return ROC AUC and average precision of every target where a negative window counts as its
    weight: see `operating_points`.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.
        weights: Weight of each window, `(windows,)`.
        blocks: Block of each window, `(windows,)`, from `joined_blocks`.

    Returns:
        A table with the columns positives, roc_auc, average_precision and, with `blocks`, their
        intervals, as `score_targets` gives them.

    Raises:
        BioqError: As `operating_points` does.
    """
    labels, probability = labels_and_scores(labels, probability, axes=2)
    blocks = None if blocks is None else require_blocks(blocks, len(labels))
    each = require_weights(weights, len(labels))
    return _joined(
        each_target(
            lambda _, label, scored: _areas(label, scored, blocks, each), labels, probability
        )
    )


def _areas(label: Bools, scored: Array, blocks: Array | None, weights: Floats | None) -> _Row:
    """Return the positives and the areas of a target, with their intervals if there are blocks."""
    points = operating_points(label, scored, weights=weights)
    row: dict[str, float] = {"positives": points.positives}
    row["roc_auc"] = roc_auc(points)
    row["average_precision"] = average_precision(points)
    if blocks is None:
        return row, None
    effects = block_effects(points, label, scored, blocks, weights=weights)
    for name, of in (
        ("roc_auc", effects.interval_of_roc_auc),
        ("average_precision", effects.interval_of_average_precision),
    ):
        row[f"{name}_low"], row[f"{name}_high"] = of(row[name])
    return row, effects


def _joined(rows: Sequence[_Row]) -> TargetScores:
    import pandas as pd

    found = [effects for _, effects in rows if effects is not None]
    return TargetScores(pd.DataFrame([row for row, _ in rows]), stacked(found) if found else None)


def is_same(lowest: float, highest: float) -> bool:
    """Return whether predictions between these two are the same; see `SAME_WITHIN`."""
    return bool(highest - lowest <= SAME_WITHIN * min(highest, 1 - lowest))


def best_thresholds(labels: Array, probability: Array) -> Floats:
    """Return the threshold with the highest F1, of every target.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.

    Returns:
        Thresholds, `(targets,)`; NaN for a target without a positive.

    Raises:
        BioqError: As `operating_points` does.
    """
    labels, probability = labels_and_scores(labels, probability, axes=2)
    best = each_target(lambda _, *column: best_f1(operating_points(*column)), labels, probability)
    return np.array(best, dtype=np.float64)


def macro(values: "Array | pd.Series") -> tuple[float, int]:
    """Return the mean of a score over the targets that have it.

    Args:
        values: The score of each target, `(targets,)`; NaN where it is undefined.

    Returns:
        The mean, and the number of targets whose score is undefined.
    """
    scores = numbers_of("values", values, "biuf", axes=1).astype(np.float64)
    defined = scores[~np.isnan(scores)]
    mean = float(defined.mean()) if len(defined) else float("nan")
    return mean, len(scores) - len(defined)


def quick_scores(labels: Array, probability: Array) -> dict[str, float]:
    """Return macro and micro ROC AUC and average precision.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.

    Returns:
        Name of the score -> score.

    Raises:
        BioqError: As `operating_points` does.
    """
    labels, probability = labels_and_scores(labels, probability, axes=2)

    def areas(_: int, label: Bools, scored: Array) -> tuple[float, float]:
        points = operating_points(label, scored)
        return roc_auc(points), average_precision(points)

    each = np.array(each_target(areas, labels, probability), dtype=np.float64).reshape(-1, 2)
    pooled = operating_points(labels, probability)
    return {
        "macro_roc_auc": macro(each[:, 0])[0],
        "micro_roc_auc": roc_auc(pooled),
        "macro_average_precision": macro(each[:, 1])[0],
        "micro_average_precision": average_precision(pooled),
    }


def same_everywhere(probability: Array) -> npt.NDArray[np.bool_]:
    """Find the targets that get the same prediction for every window.

    Args:
        probability: Probabilities, `(windows, targets)`.

    Returns:
        Whether each target does, bool `(targets,)`; with fewer than two windows none does.

    Raises:
        BioqError: For what is not an array of numbers with two axes.
    """
    probability = numbers_of("probability", probability, "biuf", axes=2)
    if len(probability) < 2:
        return np.zeros(probability.shape[1], dtype=bool)
    ends = zip(probability.min(axis=0), probability.max(axis=0), strict=True)
    return np.array([is_same(*pair) for pair in ends], dtype=bool)


def number(value: float | None, digits: int = 4, *, missing: str = "–") -> str:
    """Write a score as text.

    Args:
        value: The score; NaN or None where it is undefined.
        digits: Digits after the point.
        missing: The text of an undefined score.

    Returns:
        The text, such as `0.8450`.

    Raises:
        UsageError: For a value that is not a number, and for digits out of range.
    """
    value = value if value is None or value != value else finite_number("value", value)
    text("missing", missing)
    digits = whole_number("digits", digits, least=0, most=_MOST_DIGITS)
    return missing if value is None or math.isnan(value) else f"{value:.{digits}f}"


def brier(labels: Array, probability: Array) -> float:
    """Return the mean squared difference between probability and label, over all values.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.

    Returns:
        The Brier score: 0 at best; p (1 - p) for a constant that is right about the rate p.

    Raises:
        BioqError: As `per_target` does.
    """
    labels, probability = labels_and_scores(labels, probability)
    total = 0.0
    for label, scored in chunks(labels, probability):
        require_shares(scored)
        gap = scored.astype(np.float64) - label
        total += float(gap @ gap)
    return ratio(total, labels.size)


def log_loss(labels: Array, probability: Array) -> float:
    """Return the mean binary cross-entropy over all values.

    Args:
        labels: 0 and 1, `(windows, targets)`.
        probability: Probabilities, `(windows, targets)`.

    Returns:
        The loss in nats. Probabilities are clipped to [1e-7, 1 - 1e-7]; 1e-7 is about the step of
        float32 below 1.

    Raises:
        BioqError: As `per_target` does.
    """
    labels, probability = labels_and_scores(labels, probability)
    total = 0.0
    for start in range(0, len(labels), _CHUNK_ROWS):
        answer, given = flat(labels, probability, None, slice(start, start + _CHUNK_ROWS))
        require_shares(given)
        given = given.astype(np.float64).clip(1e-7, 1 - 1e-7)
        total -= float(np.log(np.where(answer, given, 1 - given)).sum())
    return ratio(total, labels.size)


def reliability(labels: Array, probability: Array, *, bins: int = 20) -> Reliability:
    """Compare the probability with the share of positives, in bins of equal width.

    Args:
        labels: 0 and 1, of any shape.
        probability: Probabilities, of the same shape.
        bins: Bin b covers [b / bins, (b + 1) / bins); the last bin includes 1.

    Returns:
        Count, mean probability and share of positives of each bin.

    Raises:
        BioqError: As `per_target`.
    """
    labels, probability = labels_and_scores(labels, probability)
    bins = whole_number("bins", bins, least=1, most=_MOST_BINS)
    count, positives = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    total = np.zeros(bins)
    for label, scored in chunks(labels, probability):
        require_shares(scored)
        which = np.clip(scored.astype(np.float64) * bins, 0, bins - 1).astype(np.intp)
        count += np.bincount(which, minlength=bins)
        positives += np.bincount(which[label], minlength=bins)
        total += np.bincount(which, weights=scored, minlength=bins)
    divisor = np.where(count > 0, count, np.nan)
    return Reliability(count, total / divisor, positives / divisor)


def _rates(label: Array, scored: Array, threshold: float, suffix: str) -> dict[str, float]:
    """Return the rates at a threshold; NaN if the threshold is NaN."""
    if np.isnan(threshold):
        return {name + suffix: float("nan") for name in RATES}
    confusion = at_threshold(label, scored, threshold)
    return {name + suffix: float(getattr(confusion, name)) for name in RATES}
