"""ROC AUC and average precision of pooled windows and of means over targets, with intervals."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import metrics
from bioq.evaluation.summary import AreasAndIntervals, Interval, Labels, Probability
from bioq.metrics import BlockEffects


@dataclass(frozen=True)
class Pool:
    """Windows of several targets, pooled."""

    points: metrics.OperatingPoints
    effects: BlockEffects

    @classmethod
    def of(
        cls,
        labels: Labels,
        probability: Probability,
        blocks: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp] | None,
        weights: metrics.Floats | None = None,
    ) -> "Pool":
        """Pool the targets `columns`, or all; a negative counts as the weight of its window."""
        points = metrics.operating_points(labels, probability, columns=columns, weights=weights)
        effects = metrics.block_effects(
            points, labels, probability, blocks, columns=columns, weights=weights
        )
        return cls(points, effects)

    def areas(self) -> AreasAndIntervals:
        """Return ROC AUC and average precision with their intervals."""
        roc_auc = metrics.roc_auc(self.points)
        average_precision = metrics.average_precision(self.points)
        return with_intervals(roc_auc, average_precision, self.effects, self.effects)


def with_intervals(
    roc_auc: float,
    average_precision: float,
    of_roc_auc: BlockEffects | None,
    of_average_precision: BlockEffects | None,
) -> AreasAndIntervals:
    """Return scores with the intervals of their effects."""
    return {
        "roc_auc": roc_auc,
        "roc_auc_interval": (
            None if of_roc_auc is None else _ends(of_roc_auc.interval_of_roc_auc(roc_auc))
        ),
        "average_precision": average_precision,
        "average_precision_interval": (
            None
            if of_average_precision is None
            else _ends(of_average_precision.interval_of_average_precision(average_precision))
        ),
    }


def _ends(interval: tuple[float, float]) -> Interval:
    return None if math.isnan(interval[0]) else list(interval)


def macro_areas(each: metrics.TargetScores, chosen: npt.NDArray[np.bool_]) -> AreasAndIntervals:
    """Return the means over the targets of `chosen` that have a score, with their intervals."""

    def mean_of(name: str) -> tuple[float, BlockEffects | None]:
        scores = each.table[name].to_numpy(dtype=float)
        defined = chosen & ~np.isnan(scores)
        if each.effects is None or not defined.any():
            return math.nan, None
        return float(scores[defined].mean()), each.effects.mean(defined)

    roc_auc, of_roc_auc = mean_of("roc_auc")
    average_precision, of_average_precision = mean_of("average_precision")
    return with_intervals(roc_auc, average_precision, of_roc_auc, of_average_precision)
