"""The scores of a constant: for every window, each target's share of positives in these windows.

It is the best prediction that does not read the sequence, because it uses the labels that are
scored. Accuracy and F1 are those of the best answers that do not: always "yes" or always "no" for
each target.
"""

import math
from dataclasses import dataclass

import numpy as np

from bioq.metrics.pieces import Array, Floats
from bioq.metrics.points import (
    OperatingPoints,
    average_precision,
    points_of_constants,
    roc_auc,
)
from bioq.options import whole_number


@dataclass(frozen=True)
class ConstantScores:
    """The scores that a constant reaches; NaN where a score is undefined."""

    macro_roc_auc: float
    micro_roc_auc: float
    macro_average_precision: float
    micro_average_precision: float
    median_average_precision: float
    log_loss: float
    brier: float
    accuracy: float
    """Of all targets pooled."""
    f1: float
    """Of all targets pooled: "yes" for the targets with the most positives."""
    macro_f1: float
    """Of "yes" for every target."""


def constant_scores(positives: Array, windows: int) -> ConstantScores:
    """Return the scores of each target's share of positives, given for every window.

    Args:
        positives: Positive windows of each target, `(targets,)`.
        windows: Number of windows.

    Returns:
        What a model that has learned nothing but the rates reaches.

    Raises:
        BioqError: For a number that is not 0 to `windows`.
    """
    windows = whole_number("windows", windows, least=0)
    points = points_of_constants(positives, windows)
    counts = np.asarray(positives, dtype=np.int64)
    rate = counts / max(windows, 1)
    both = rate[(rate > 0) & (rate < 1)]  # the targets with a ROC AUC and an average precision
    return ConstantScores(
        macro_roc_auc=0.5 if len(both) else math.nan,
        micro_roc_auc=roc_auc(points),
        macro_average_precision=_mean(both),
        micro_average_precision=average_precision(points),
        median_average_precision=float(np.median(both)) if len(both) else math.nan,
        log_loss=_mean(_entropy(rate)),
        brier=_mean(rate * (1 - rate)),
        accuracy=_mean(np.maximum(rate, 1 - rate)),
        f1=_best_f1(points),
        macro_f1=_mean(f1_of_yes(rate[rate > 0])),
    )


def f1_of_yes(rate: Floats) -> Floats:
    """Compute the F1 of always "yes": 2 r / (1 + r).

    Args:
        rate: Share r of the labels that are positive, from 0 to 1, of any shape.

    Returns:
        F1, of the same shape.
    """
    f1: Floats = 2 * rate / (1 + rate)
    return f1


def _best_f1(points: OperatingPoints) -> float:
    """Return the highest F1 of "yes" from some threshold on; NaN without a positive."""
    if not points.positives:
        return math.nan
    yes = points.true_positives + points.false_positives
    return float((2 * points.true_positives / (yes + points.positives)).max())


def _entropy(rate: Floats) -> Floats:
    """Return the log loss of a share of positives, in nats: 0 for 0 and 1."""
    no = np.log1p(-rate, where=rate < 1, out=np.zeros_like(rate))
    yes = np.log(rate, where=rate > 0, out=np.zeros_like(rate))
    entropy: Floats = -(rate * yes + (1 - rate) * no)
    return entropy


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
