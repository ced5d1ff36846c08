"""Exact scores of probabilities against 0/1 labels, ties included, in bounded memory.

A score that is undefined (no positive, no negative, no "yes") is NaN.
"""

from bioq.metrics.pieces import Floats
from bioq.metrics.points import (
    OperatingPoints,
    average_precision,
    best_f1,
    operating_points,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from bioq.metrics.scores import (
    HALF,
    RATES,
    Confusion,
    Reliability,
    at_threshold,
    best_thresholds,
    brier,
    log_loss,
    macro,
    per_target,
    quick_scores,
    reliability,
)

__all__ = [
    "HALF",
    "RATES",
    "Confusion",
    "Floats",
    "OperatingPoints",
    "Reliability",
    "at_threshold",
    "average_precision",
    "best_f1",
    "best_thresholds",
    "brier",
    "log_loss",
    "macro",
    "operating_points",
    "per_target",
    "precision_recall_curve",
    "quick_scores",
    "reliability",
    "roc_auc",
    "roc_curve",
]
