"""Exact scores of probabilities against 0/1 labels, ties included, in bounded memory.

A score that is undefined (no positive, no negative, no "yes") is NaN.
"""

from bioq.metrics.constants import ConstantScores, constant_scores, f1_of_yes
from bioq.metrics.intervals import (
    MIN_BLOCKS,
    BlockEffects,
    block_effects,
    joined_blocks,
    t_quantile,
)
from bioq.metrics.pieces import Floats
from bioq.metrics.points import (
    OperatingPoints,
    average_precision,
    best_f1,
    operating_points,
    points_of_constants,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from bioq.metrics.scores import (
    FEW_POSITIVES,
    HALF,
    RATES,
    Confusion,
    Reliability,
    TargetScores,
    at_threshold,
    best_thresholds,
    brier,
    log_loss,
    macro,
    number,
    per_target,
    quick_scores,
    reliability,
    same_everywhere,
    score_targets,
    weighted_areas,
)

__all__ = [
    "FEW_POSITIVES",
    "HALF",
    "MIN_BLOCKS",
    "RATES",
    "BlockEffects",
    "Confusion",
    "ConstantScores",
    "Floats",
    "OperatingPoints",
    "Reliability",
    "TargetScores",
    "at_threshold",
    "average_precision",
    "best_f1",
    "best_thresholds",
    "block_effects",
    "brier",
    "constant_scores",
    "f1_of_yes",
    "joined_blocks",
    "log_loss",
    "macro",
    "number",
    "operating_points",
    "per_target",
    "points_of_constants",
    "precision_recall_curve",
    "quick_scores",
    "reliability",
    "roc_auc",
    "roc_curve",
    "same_everywhere",
    "score_targets",
    "t_quantile",
    "weighted_areas",
]
