"""The scores of an evaluation: per target, per group, macro and micro.

Macro: one score per target, then the mean over the targets that have one. Micro: all windows and
targets pooled into one curve. The DanQ and DeepSEA papers report macro averages, the BioQ paper
micro averages; they cannot be compared with each other.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import metrics
from bioq.progress import progress

VALID = "valid"
"""The split on which thresholds are chosen."""
ALL = "all"
"""The group of all targets, in `curves.csv`."""
ALWAYS_NO = "always no"
"""The choice of a threshold that no probability reaches."""

Labels = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]

_PUBLISHED = {"_roc_auc": "roc_auc", "_pr_auc": "average_precision"}


class DataName(TypedDict):
    """The data set that was scored."""

    name: str
    fingerprint: str


class About(TypedDict):
    """What was scored, and how it was predicted."""

    run: str
    data: DataName
    split: str
    windows: int
    targets: int
    members: list[str]
    """The runs whose mean probability was scored."""
    calibrated: bool
    """Whether all of them are."""
    strands: str
    precision: str
    notes: list[str]
    """Warnings about the scores."""


Macro = TypedDict(
    "Macro",
    {
        "roc_auc": float | None,
        "undefined_roc_auc": int,
        "median_roc_auc": float | None,
        "average_precision": float | None,
        "undefined_average_precision": int,
        "median_average_precision": float | None,
        "brier": float | None,
        "f1_at_0.5": float | None,
        "f1_at_threshold": NotRequired[float | None],
    },
)
"""Means over the targets, medians, and numbers of targets whose score is undefined."""


class Micro(TypedDict):
    """Scores of all targets pooled."""

    roc_auc: float | None
    average_precision: float | None
    brier: float | None
    calibration_error: float | None


class GroupScores(TypedDict):
    """Scores of the targets of one group."""

    targets: int
    positives: int
    undefined: int
    """Targets without a ROC AUC."""
    macro_roc_auc: float | None
    micro_roc_auc: float | None
    macro_average_precision: float | None
    micro_average_precision: float | None


class ThresholdScores(TypedDict):
    """Rates of all targets pooled, at one threshold."""

    chosen: str
    """How it is chosen: "fixed", "best F1 on valid", or `ALWAYS_NO`, which has only an accuracy."""
    threshold: float | None
    accuracy: float | None
    f1: NotRequired[float | None]
    precision: NotRequired[float | None]
    recall: NotRequired[float | None]


class PublishedScores(TypedDict):
    """A published model compared with the scored model, on targets with both scores."""

    model: str
    score: str
    targets: int
    published_mean: float
    mean_here: float
    better_here: int
    """Targets whose computed score is higher than the published score."""


class Summary(About):
    """The content of `metrics.json`; None where a score is undefined."""

    positive_rate: float | None
    macro: Macro
    micro: Micro
    groups: dict[str, GroupScores]
    thresholds: list[ThresholdScores]
    published: list[PublishedScores]


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of best F1 on the validation split."""

    per_target: metrics.Floats
    """`(targets,)`; NaN without a positive."""
    pooled: float
    """For all targets pooled; NaN without a positive."""


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`, which `read_evaluation` reads back."""

    per_target: pd.DataFrame
    """One row per target: name, the sheet's annotation, then the scores; NaN where undefined."""
    summary: Summary
    curves: pd.DataFrame
    """Columns curve ("roc": x false, y true positive rate; "precision_recall": x recall,
    y precision), group ("all" or a group's name), x, y, threshold (NaN for roc)."""
    calibration: pd.DataFrame
    """Bins of equal width: start, end, count, mean_probability, positive_rate."""


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
) -> Evaluation:
    """Score probabilities `(windows, targets)` against labels of the same shape."""
    groups = _groups(targets)
    with progress("score", 3 + len(groups), "steps") as advance:
        per_target = metrics.per_target(
            labels, probability, thresholds=None if thresholds is None else thresholds.per_target
        )
        advance(1)
        pooled = metrics.operating_points(labels, probability)
        advance(1)
        curves = [_curves(ALL, pooled)]
        by_group = {}
        for group, columns in groups.items():
            points = metrics.operating_points(labels, probability, columns=columns)
            curves.append(_curves(group, points))
            by_group[group] = _group_scores(per_target.iloc[columns], points)
            advance(1)
        reliability = metrics.reliability(labels, probability)
        always_no = 1 - pooled.positives / max(labels.size, 1)
        at_thresholds = _at_thresholds(labels, probability, thresholds)
        at_thresholds.append({"chosen": ALWAYS_NO, "threshold": None, "accuracy": always_no})
        advance(1)
    summary: Summary = {
        **about,
        "positive_rate": 1 - always_no,
        "macro": _macro(per_target),
        "micro": {
            "roc_auc": metrics.roc_auc(pooled),
            "average_precision": metrics.average_precision(pooled),
            "brier": metrics.brier(labels, probability),
            "calibration_error": reliability.expected_error,
        },
        "groups": by_group,
        "thresholds": at_thresholds,
        "published": _published(targets, per_target),
    }
    return Evaluation(
        _with_annotation(targets, per_target),
        _without_nan(summary),
        pd.concat([table for table in curves if len(table)] or curves[:1], ignore_index=True),
        _reliability_table(reliability),
    )


def published_columns(targets: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield (column, model, score) of columns such as `danq_roc_auc` and `deepsea_pr_auc`."""
    for column in map(str, targets.columns):
        for ending, key in _PUBLISHED.items():
            if column.endswith(ending) and column != ending[1:]:
                yield column, column.removesuffix(ending), key


def _groups(targets: pd.DataFrame) -> dict[str, npt.NDArray[np.intp]]:
    """Return the numbers of the targets of every group, in the sheet's order."""
    if "group" not in targets:
        return {}
    names = [name for name in targets["group"].unique() if name and name != ALL]
    return {name: np.flatnonzero(targets["group"] == name) for name in names}


def _macro(scores: pd.DataFrame) -> Macro:
    roc_auc, undefined_roc_auc = metrics.macro(scores["roc_auc"])
    average_precision, undefined_average_precision = metrics.macro(scores["average_precision"])
    result: Macro = {
        "roc_auc": roc_auc,
        "undefined_roc_auc": undefined_roc_auc,
        "median_roc_auc": float(scores["roc_auc"].median()),
        "average_precision": average_precision,
        "undefined_average_precision": undefined_average_precision,
        "median_average_precision": float(scores["average_precision"].median()),
        "brier": metrics.macro(scores["brier"])[0],
        "f1_at_0.5": metrics.macro(scores["f1_at_0.5"])[0],
    }
    if "f1_at_threshold" in scores:
        result["f1_at_threshold"] = metrics.macro(scores["f1_at_threshold"])[0]
    return result


def _group_scores(scores: pd.DataFrame, points: metrics.OperatingPoints) -> GroupScores:
    macro_roc_auc, undefined = metrics.macro(scores["roc_auc"])
    return {
        "targets": len(scores),
        "positives": points.positives,
        "undefined": undefined,
        "macro_roc_auc": macro_roc_auc,
        "micro_roc_auc": metrics.roc_auc(points),
        "macro_average_precision": metrics.macro(scores["average_precision"])[0],
        "micro_average_precision": metrics.average_precision(points),
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


def _published(targets: pd.DataFrame, scores: pd.DataFrame) -> list[PublishedScores]:
    """Compare with the published scores of the sheet, on the targets where both are defined."""
    compared: list[PublishedScores] = []
    for column, model, key in published_columns(targets):
        published = pd.to_numeric(targets[column], errors="coerce").to_numpy(dtype=float)
        computed = scores[key].to_numpy()
        defined = np.isfinite(published) & np.isfinite(computed)
        if defined.any():
            compared.append(
                {
                    "model": model,
                    "score": key,
                    "targets": int(defined.sum()),
                    "published_mean": float(published[defined].mean()),
                    "mean_here": float(computed[defined].mean()),
                    "better_here": int((computed[defined] > published[defined]).sum()),
                }
            )
    return compared


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
