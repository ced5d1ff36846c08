"""The scores of a split: per target, per group, macro and micro, with 95 % intervals."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import metrics
from bioq.evaluation.all_bins import Sample, score_all_bins
from bioq.evaluation.areas import Pool, macro_areas
from bioq.evaluation.published_scores import PublishedTest, compare
from bioq.evaluation.summary import (
    ALL,
    ALWAYS_NO,
    VALID,
    About,
    ConstantScores,
    EnoughMacro,
    Evaluation,
    GroupScores,
    Labels,
    Macro,
    Micro,
    Probability,
    SameEverywhere,
    SomeTargets,
    Summary,
    Thresholds,
    ThresholdScores,
    as_constant,
)
from bioq.progress import progress

_NAMED = 5
"""Targets that are named where a number of targets is given."""


def choose_thresholds(labels: Labels, probability: Probability) -> Thresholds:
    """Return the thresholds of best F1 of a split."""
    return Thresholds(
        metrics.best_thresholds(labels, probability),
        metrics.best_f1(metrics.operating_points(labels, probability)),
    )


def score(
    labels: Labels,
    probability: Probability,
    targets: pd.DataFrame,
    thresholds: Thresholds | None,
    about: About,
    blocks: npt.NDArray[np.int64],
    sample: Sample | None = None,
    published_test: PublishedTest | None = None,
) -> Evaluation:
    """Score probabilities `(windows, targets)` against labels of the same shape.

    `blocks`, `(windows,)`, are those of `Split.blocks`; `sample` is how the windows stand for all
    bins, if it is known; `published_test` is given if the windows are those of the published
    scores.
    """
    groups = _groups(targets)
    joined = metrics.joined_blocks(blocks)
    with progress("score", 4 + len(groups), "steps") as advance:
        each = metrics.score_targets(
            labels,
            probability,
            thresholds=None if thresholds is None else thresholds.per_target,
            blocks=joined,
        )
        advance(1)
        pooled = Pool.of(labels, probability, joined, None)
        advance(1)
        curves = [_curves(ALL, pooled.points)]
        by_group = {}
        for group, columns in groups.items():
            pool = Pool.of(labels, probability, joined, columns)
            curves.append(_curves(group, pool.points))
            by_group[group] = _group_scores(each, columns, pool)
            advance(1)
        reliability = metrics.reliability(labels, probability)
        micro = _micro(pooled, labels, probability, reliability)
        always_no = 1 - pooled.points.positives / max(labels.size, 1)
        at_thresholds = _at_thresholds(labels, probability, thresholds)
        at_thresholds.append({"chosen": ALWAYS_NO, "threshold": None, "accuracy": always_no})
        advance(1)
        of_all, more = score_all_bins(labels, probability, joined, thresholds, sample)
        advance(1)
    summary: Summary = {
        **about,
        "positive_rate": 1 - always_no,
        "blocks": int(blocks.max(initial=-1)) + 1,
        "macro": _macro(each),
        "enough": _enough(each),
        "micro": micro,
        "constant": _constant(each.table),
        "groups": by_group,
        "thresholds": at_thresholds,
        "same_everywhere": _same_everywhere(targets, each.table),
        "without_positive": _some_targets(targets, each.table["positive_rate"] == 0),
        "without_negative": _some_targets(targets, each.table["positive_rate"] == 1),
        "published": compare(targets, each, micro, published_test),
        "all_bins": of_all,
    }
    return Evaluation(
        _with_annotation(targets, pd.concat([each.table, more], axis=1)),
        _without_nan(summary),
        pd.concat([table for table in curves if len(table)] or curves[:1], ignore_index=True),
        _reliability_table(reliability),
    )


def _groups(targets: pd.DataFrame) -> dict[str, npt.NDArray[np.intp]]:
    """Return the numbers of the targets of every group, in the sheet's order."""
    if "group" not in targets:
        return {}
    names = [name for name in targets["group"].unique() if name and name != ALL]
    return {name: np.flatnonzero(targets["group"] == name) for name in names}


def _micro(
    pooled: Pool, labels: Labels, probability: Probability, reliability: metrics.Reliability
) -> Micro:
    return {
        **pooled.areas(),
        "brier": metrics.brier(labels, probability),
        "log_loss": metrics.log_loss(labels, probability),
        "calibration_error": reliability.expected_error,
    }


def _macro(each: metrics.TargetScores) -> Macro:
    scores = each.table
    areas = macro_areas(each, np.ones(len(scores), dtype=bool))
    result: Macro = {
        "roc_auc": areas["roc_auc"],
        "roc_auc_interval": areas["roc_auc_interval"],
        "average_precision": areas["average_precision"],
        "average_precision_interval": areas["average_precision_interval"],
        "undefined_roc_auc": int(scores["roc_auc"].isna().sum()),
        "median_roc_auc": float(scores["roc_auc"].median()),
        "undefined_average_precision": int(scores["average_precision"].isna().sum()),
        "median_average_precision": float(scores["average_precision"].median()),
        "brier": metrics.macro(scores["brier"])[0],
        "f1_at_0.5": metrics.macro(scores["f1_at_0.5"])[0],
    }
    if "f1_at_threshold" in scores:
        result["f1_at_threshold"] = metrics.macro(scores["f1_at_threshold"])[0]
    return result


def _enough(each: metrics.TargetScores) -> EnoughMacro:
    """Return the means over the targets with enough positives."""
    chosen = each.table["few_positives"].to_numpy() == 0
    return {
        "positives": metrics.FEW_POSITIVES,
        "targets": int(chosen.sum()),
        **macro_areas(each, chosen),
        "constant": _constant(each.table[chosen])["macro"],
    }


def _constant(scores: pd.DataFrame) -> ConstantScores:
    """Return the scores of each target's share of positives, given for every window."""
    windows = int(scores["windows"].max()) if len(scores) else 0
    return as_constant(scores["positives"].to_numpy(dtype=np.int64), windows)


def _same_everywhere(targets: pd.DataFrame, scores: pd.DataFrame) -> SameEverywhere:
    same = _some_targets(targets, scores["same_everywhere"] == 1)
    return {"targets": same["targets"], "names": same["names"]}


def _some_targets(targets: pd.DataFrame, chosen: pd.Series) -> SomeTargets:
    names = targets["name"].to_numpy()[chosen.to_numpy()]
    return {"targets": len(names), "names": [str(name) for name in names[:_NAMED]]}


def _group_scores(
    each: metrics.TargetScores, columns: npt.NDArray[np.intp], pool: Pool
) -> GroupScores:
    chosen = np.zeros(len(each.table), dtype=bool)
    chosen[columns] = True
    macro, micro = macro_areas(each, chosen), pool.areas()
    return {
        "targets": len(columns),
        "positives": pool.points.positives,
        "undefined": int(each.table["roc_auc"][chosen].isna().sum()),
        "macro_roc_auc": macro["roc_auc"],
        "macro_roc_auc_interval": macro["roc_auc_interval"],
        "micro_roc_auc": micro["roc_auc"],
        "micro_roc_auc_interval": micro["roc_auc_interval"],
        "macro_average_precision": macro["average_precision"],
        "macro_average_precision_interval": macro["average_precision_interval"],
        "micro_average_precision": micro["average_precision"],
        "micro_average_precision_interval": micro["average_precision_interval"],
        "constant": _constant(each.table[chosen]),
    }


def _at_thresholds(
    labels: Labels, probability: Probability, thresholds: Thresholds | None
) -> list[ThresholdScores]:
    """Return the rates of all targets pooled, at 0.5 and at the chosen threshold."""
    choices = [("fixed", metrics.HALF)]
    if thresholds is not None and not math.isnan(thresholds.pooled):
        choices.append((f"best F1 on {VALID}", thresholds.pooled))
    scores: list[ThresholdScores] = []
    for chosen, threshold in choices:
        counts = metrics.at_threshold(labels, probability, threshold)
        scores.append(
            {
                "chosen": chosen,
                "threshold": threshold,
                "accuracy": counts.accuracy,
                "f1": counts.f1,
                "precision": counts.precision,
                "recall": counts.recall,
            }
        )
    return scores


def _with_annotation(targets: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Put the sheet's columns before the scores; a column with a score's name becomes
    `sheet_NAME`."""
    clash = {name: f"sheet_{name}" for name in targets.columns if name in scores.columns}
    return pd.concat([targets.rename(columns=clash).reset_index(drop=True), scores], axis=1)


def _curves(group: str, points: metrics.OperatingPoints) -> pd.DataFrame:
    x, y = metrics.roc_curve(points, most=400)
    recall, precision, thresholds = metrics.precision_recall_curve(points, most=400)
    roc = pd.DataFrame({"curve": "roc", "x": x, "y": y, "threshold": np.nan})
    precision_recall = pd.DataFrame(
        {"curve": "precision_recall", "x": recall, "y": precision, "threshold": thresholds}
    )
    defined = [table for table in (roc.dropna(subset="x"), precision_recall) if len(table)]
    curves = pd.concat(defined or [roc[:0]], ignore_index=True)
    curves.insert(1, "group", group)
    return curves


def _reliability_table(reliability: metrics.Reliability) -> pd.DataFrame:
    edges = np.linspace(0, 1, len(reliability.count) + 1)
    return pd.DataFrame(
        {
            "start": edges[:-1],
            "end": edges[1:],
            "count": reliability.count,
            "mean_probability": reliability.mean_probability,
            "positive_rate": reliability.positive_rate,
        }
    )


def _without_nan(value: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
