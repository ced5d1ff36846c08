"""Counts of right and wrong answers at every score of a positive, and the scores made from them.

Recall changes only at the scores of positives, so only these distinct scores are thresholds, and
memory grows with the positives instead of with windows times targets. A score is a "yes" if it is
equal to the threshold or larger.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bioq.errors import BioqError
from bioq.metrics.pieces import (
    Array,
    Bools,
    Counts,
    Floats,
    Indices,
    flat,
    in_threads,
    labels_and_scores,
    numbers_of,
    pieces_of,
    ratio,
)
from bioq.options import of_type, whole_number

_MOST_BINS_LOG2 = 18  # counts of 2^18 bins (2 MiB) stay in a core's cache


@dataclass(frozen=True)
class OperatingPoints:
    """Counts at every distinct score of a positive, the highest first; arrays are `(points,)`."""

    thresholds: Floats
    true_positives: Counts
    """Positives that score the threshold or more."""
    false_positives: Counts | Floats
    """Negatives that score the threshold or more; with weights, the sum of their weights."""
    false_positives_above: Counts | Floats
    """Negatives that score more than the threshold: `false_positives` without ties."""
    positives: int
    negatives: float
    """A whole number, or with weights the sum of the weights of the negatives."""


def operating_points(
    labels: Array,
    scores: Array,
    *,
    columns: Indices | None = None,
    weights: Array | None = None,
) -> OperatingPoints:
    """Count true and false positives at every distinct score of a positive.

    Memory: about 40 bytes per positive and 200 MB per thread.

    Args:
        labels: 0 and 1: `(n,)` for one target, or `(n, targets)` to pool targets (the micro
            average).
        scores: The scores, of the same shape.
        columns: Numbers of the targets that are pooled; by default all.
        weights: Weight of each row `(n,)`: a negative counts as the number of windows that it
            represents, a positive counts once. Few distinct weights are fast.

    Returns:
        The counts, from which `roc_auc`, `average_precision` and the curves are computed.

    Raises:
        BioqError: For labels that are not 0 or 1, a score that is NaN or infinite, other shapes, a
            column that is not there, and a weight below 0.
    """
    labels, scores = labels_and_scores(labels, scores)
    columns = checked_columns(labels, columns)
    weights = None if weights is None else require_weights(weights, len(labels))
    pieces = pieces_of(labels, columns)

    def positives_of(piece: slice) -> Array:
        label, scored = flat(labels, scores, columns, piece)
        return scored[label]

    thresholds, counts = np.unique(
        np.concatenate(in_threads(positives_of, pieces)), return_counts=True
    )
    kind = np.int64 if weights is None else np.float64
    below: Array = np.zeros(len(thresholds), kind)
    equal: Array = np.zeros(len(thresholds), kind)
    negatives: float = 0
    lock = threading.Lock()

    def count_negatives_of(piece: slice) -> None:
        nonlocal negatives
        label, scored = flat(labels, scores, columns, piece)
        for weight, negative in _by_weight(label, scored, weights, piece):
            left, ties, tied = _rank(negative, thresholds)
            with lock:
                negatives += weight * len(negative)
                below[:] += weight * left
                equal[ties] += weight * tied

    in_threads(count_negatives_of, pieces)
    return OperatingPoints(
        thresholds=thresholds[::-1].astype(np.float64),
        true_positives=counts[::-1].cumsum(),
        false_positives=(negatives - below)[::-1],
        false_positives_above=(negatives - below - equal)[::-1],
        positives=int(counts.sum()),
        negatives=negatives,
    )


def _by_weight(
    label: Bools, scored: Array, weights: Floats | None, piece: slice
) -> Iterator[tuple[float, Array]]:
    """Yield each weight and the scores of the negatives of this weight, of the rows `piece`."""
    if weights is None:
        yield 1, scored[~label]
        return
    of_rows = weights[piece]
    of_values = np.repeat(of_rows, len(scored) // max(len(of_rows), 1))
    for weight in np.unique(of_rows):
        yield float(weight), scored[~label & (of_values == weight)]


def require_weights(weights: object, windows: int) -> Floats:
    """Return the weight of each window as float64; raise BioqError for other numbers."""
    numbers = numbers_of("weights", weights, "iuf", axes=1).astype(np.float64)
    if len(numbers) != windows:
        raise BioqError(f"weights {numbers.shape}; expected one for each of {windows} windows")
    wrong = ~np.isfinite(numbers) | (numbers < 0)
    if wrong.any():
        raise BioqError(f"weights hold {numbers[wrong][0]:g}; expected finite numbers from 0")
    return numbers


def checked_columns(labels: Array, columns: object) -> Indices | None:
    """Return numbers of columns of labels `(windows, targets)`; raise BioqError for others."""
    if columns is None:
        return None
    numbers = numbers_of("columns", columns, "iu", axes=1).astype(np.intp)
    count = labels.shape[1] if labels.ndim == 2 else 0
    wrong = (numbers < 0) | (numbers >= count)
    if wrong.any():
        raise BioqError(f"columns hold {numbers[wrong][0]}; expected 0 to {count - 1}")
    return numbers


def points_of_constants(positives: Array, windows: int) -> OperatingPoints:
    """Return the points of all targets pooled if each target's score is its share of positives.

    What a pooled score gains above them, it gains within targets.

    Args:
        positives: Positive windows of each target, `(targets,)`.
        windows: Number of windows.

    Returns:
        The points, as those of `operating_points`.

    Raises:
        BioqError: For a number of positives that is not 0 to `windows`.
    """
    windows = whole_number("windows", windows, least=0)
    positives = numbers_of("positives", positives, "iuf", axes=1)
    counts = positives.astype(np.int64) if np.isfinite(positives).all() else np.array([-1])
    if not np.array_equal(counts, positives) or ((counts < 0) | (counts > windows)).any():
        raise BioqError(f"positives are not whole numbers from 0 to {windows}, the windows")
    rates, target = np.unique(counts, return_inverse=True)
    gained = np.bincount(target, positives, len(rates)).astype(np.int64)
    lost = np.bincount(target, minlength=len(rates)) * windows - gained
    used = rates > 0  # thresholds are the scores of positives
    false = lost[::-1].cumsum()[::-1]
    return OperatingPoints(
        thresholds=rates[used][::-1] / max(windows, 1),
        true_positives=gained[used][::-1].cumsum(),
        false_positives=false[used][::-1],
        false_positives_above=(false - lost)[used][::-1],
        positives=int(gained.sum()),
        negatives=int(lost.sum()),
    )


def roc_auc(points: OperatingPoints) -> float:
    """Compute the area under the ROC curve: P(a positive scores more than a negative), ties half.

    Args:
        points: Of one target, or of targets pooled.

    Returns:
        The area from 0 to 1.

    Raises:
        UsageError: For what `operating_points` has not returned.
    """
    _require_points(points)
    gained = np.diff(points.true_positives, prepend=0)
    lost_twice = points.false_positives + points.false_positives_above
    won_twice = (gained @ (2 * points.negatives - lost_twice)).item()
    return ratio(won_twice, 2 * points.positives * points.negatives)


def average_precision(points: OperatingPoints) -> float:
    """Compute the area under the precision-recall curve as steps, sum of (R_k - R_k-1) P_k.

    Args:
        points: Of one target, or of targets pooled.

    Returns:
        The area from 0 to 1, as scikit-learn's `average_precision_score` defines it; but NaN
        without a negative, where every prediction would score 1.

    Raises:
        UsageError: For what `operating_points` has not returned.
    """
    _require_points(points)
    if not points.negatives:
        return float("nan")
    gained = np.diff(points.true_positives, prepend=0)
    precision = points.true_positives / (points.true_positives + points.false_positives)
    return ratio(float(gained @ precision), points.positives)


def best_f1(points: OperatingPoints) -> float:
    """Choose the threshold of a target.

    Args:
        points: Of one target, or of targets pooled.

    Returns:
        The threshold with the highest F1, in the units of the scores; of equal ones the highest.
        NaN without a positive or a negative.

    Raises:
        UsageError: For what `operating_points` has not returned.
    """
    _require_points(points)
    if not points.positives or not points.negatives:
        return float("nan")
    predicted_plus_positive = points.true_positives + points.false_positives + points.positives
    return float(points.thresholds[np.argmax(2 * points.true_positives / predicted_plus_positive)])


def roc_curve(points: OperatingPoints, *, most: int = 1000) -> tuple[Floats, Floats]:
    """Return the ROC curve from (0, 0) to (1, 1), whose points are joined by lines.

    Args:
        points: Of one target, or of targets pooled.
        most: Returns at most about twice as many points, evenly spread along the curve.

    Returns:
        The false positive rates and the true positive rates, both `(points,)`.
    """
    _require_points(points)
    most = whole_number("most", most, least=1)
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
    """Return the precision-recall curve, recall rising.

    Args:
        points: Of one target, or of targets pooled.
        most: About the number of points.

    Returns:
        Recall, precision and threshold, each `(points,)`.
    """
    _require_points(points)
    most = whole_number("most", most, least=1)
    if not points.positives:
        return np.empty(0), np.empty(0), np.empty(0)
    predicted_positives = points.true_positives + points.false_positives
    keep = _spread(points.true_positives / predicted_positives, points, most)
    return (
        points.true_positives[keep] / points.positives,
        points.true_positives[keep] / predicted_positives[keep],
        points.thresholds[keep],
    )


def _require_points(points: object) -> None:
    of_type("points", points, OperatingPoints, "the operating points of `operating_points`")


def _rank(negatives: Array, thresholds: Array) -> tuple[Counts, Indices, Counts]:
    """Return (below, ties, tied) for ascending thresholds.

    `below` is the number of negatives below each threshold, `ties` are the indices of the
    thresholds that equal a negative, and `tied` is the number of negatives that equal each of
    those. Changes the order of `negatives`.
    """
    near, far_below = _near(negatives, thresholds)
    near.sort()
    left = np.searchsorted(near, thresholds, side="left")
    if not len(near):
        return left + far_below, np.empty(0, np.intp), np.empty(0, np.int64)
    ties = np.flatnonzero(near.take(left, mode="clip") == thresholds)
    right = np.searchsorted(near, thresholds[ties], side="right")
    return left + far_below, ties, right - left[ties]


def _near(negatives: Array, thresholds: Array) -> tuple[Array, Counts | int]:
    """Return the negatives in bins with a threshold, and how many more are below each threshold.

    Only negatives in a bin with a threshold have to be sorted; the others are counted per bin,
    which is faster. Bins have equal width in the bits of float32, which increase with the value
    from 0.0 on, so bins are narrow for small probabilities. Returns all negatives if the values
    are not non-negative float32, or if there are many thresholds.
    """
    bins_log2 = min(
        (len(negatives) // 2).bit_length(), _MOST_BINS_LOG2
    )  # one or two values per bin
    many = len(thresholds) > (1 << bins_log2) // 4
    if negatives.dtype != np.float32 or not len(thresholds) or many:
        return negatives, 0
    bits, marks = negatives.view(np.int32), thresholds.view(np.int32)
    lowest = min(int(bits.min()), int(marks.min()))
    if lowest < 0:  # sign bit: the bits of negative numbers decrease, and -0.0 differs from 0.0
        return negatives, 0
    span = max(int(bits.max()), int(marks[-1])) - lowest
    shift = max(span.bit_length() - bins_log2, 0)
    bins, marks = (bits - lowest) >> shift, (marks - lowest) >> shift
    counts = np.bincount(bins, minlength=int(marks[-1]) + 1)
    has_threshold = np.zeros(len(counts), np.bool_)
    has_threshold[marks] = True
    counts[has_threshold] = 0
    return negatives[has_threshold[bins]], counts.cumsum()[marks]


def _spread(precision_or_rate: Floats, points: OperatingPoints, most: int) -> Indices:
    """Choose about `most` points, evenly spread along a curve (recall plus the second axis)."""
    if len(points.thresholds) <= most:
        return np.arange(len(points.thresholds))
    steps = np.abs(np.diff(precision_or_rate)) + np.diff(points.true_positives) / points.positives
    along = np.concatenate([[0.0], np.cumsum(steps)])
    chosen = np.searchsorted(along, np.linspace(0, along[-1], most))
    return np.unique(np.minimum(chosen, len(along) - 1))
