"""Published scores beside those here, and whether they agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import metrics
from bioq.errors import counted
from bioq.evaluation.areas import macro_areas
from bioq.evaluation.summary import Interval, Micro, PublishedScores, Summary, as_constant
from bioq.metrics import MIN_BLOCKS, number
from bioq.published.scores import MODELS, TEST_WINDOWS, published_columns, title_of

SHARE_OF_TARGETS = 0.9
"""Share of the targets whose published score must be in the 95 % interval of the score here. Of two
trainings on the same windows more are; a target with few positives may be outside by chance."""
IMPORT_DIFFERENCE = 1e-3
"""Mean difference of a target's ROC AUC that an imported network may have: the same weights on the
same windows differ by rounding. The intervals cannot tell a network with a wrong detail."""
_SCORES = {"roc_auc": "ROC AUC", "average_precision": "average precision"}


@dataclass(frozen=True)
class PublishedTest:
    """The windows that are scored are those of the published scores."""

    own: str | None
    """The name in `published.scores.MODELS` of the model that is scored; None for a model without
    published scores."""
    is_import: bool = False
    """Whether its weights are the published file's, and not of another training."""


def compare(
    targets: pd.DataFrame,
    each: metrics.TargetScores,
    micro: Micro,
    test: PublishedTest | None,
) -> list[PublishedScores]:
    """Return each published model beside the scored model, on the targets where both have a score.

    `test` is None for other windows than those of the published scores: then nothing is said about
    agreement, and scores of all targets pooled are left out.
    """
    compared = [
        row
        for column, model, score in published_columns(targets)
        if (row := _macro(targets, column, model, score, each)) is not None
    ]
    for model, published in MODELS.items() if test is not None else ():
        for score, value in published.micro.items():
            row = _micro(model, score, value, micro, each)
            compared += [] if row is None else [row]
    for row in compared:
        if test is not None and row["model"] == test.own:
            if test.is_import and row["score"] == "roc_auc":
                row["allowed_difference"] = IMPORT_DIFFERENCE
            row["agrees"] = _agrees(row)
    return compared


def _macro(
    targets: pd.DataFrame,
    column: str,
    model: str,
    score: str,
    each: metrics.TargetScores,
) -> PublishedScores | None:
    """Return the comparison of the scores of each target, and of their means."""
    table = each.table
    published = pd.to_numeric(targets[column], errors="coerce").to_numpy(dtype=float)
    here = table[score].to_numpy(dtype=float)
    defined = np.isfinite(published) & np.isfinite(here)
    if not defined.any():
        return None
    areas: Any = macro_areas(each, defined)
    with_interval, in_interval = _in_intervals(table, score, published, defined)
    difference = np.where(defined, np.abs(here - published), -1)
    constant = 0.5 if score == "roc_auc" else float(table["positive_rate"][defined].mean())
    row: PublishedScores = {
        "model": model,
        "score": score,
        "average": "macro",
        "targets": int(defined.sum()),
        "published_mean": float(published[defined].mean()),
        "mean_here": float(here[defined].mean()),
        "mean_here_interval": areas[f"{score}_interval"],
        "constant": constant,
        "better_here": int((here[defined] > published[defined]).sum()),
        "mean_difference": float(difference[defined].mean()),
        "largest_difference": float(difference.max()),
        "largest_at": str(targets["name"].to_numpy()[int(difference.argmax())]),
        "with_interval": with_interval,
        "in_interval": in_interval,
    }
    return row


def _in_intervals(
    table: pd.DataFrame, score: str, published: metrics.Floats, defined: npt.NDArray[np.bool_]
) -> tuple[int, int]:
    """Return how many targets have an interval, and for how many the published score is in it."""
    if f"{score}_low" not in table:
        return 0, 0
    low, high = (table[f"{score}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
    known = defined & np.isfinite(low)
    return int(known.sum()), int((known & (low <= published) & (published <= high)).sum())


def _micro(
    model: str,
    score: str,
    value: float,
    micro: Any,
    each: metrics.TargetScores,
) -> PublishedScores | None:
    """Return the comparison of a score of all targets pooled."""
    if micro[score] is None:
        return None
    positives = each.table["positives"].to_numpy(dtype=np.int64)
    constant: Any = as_constant(positives, int(each.table["windows"].max()))["micro"]
    row: PublishedScores = {
        "model": model,
        "score": score,
        "average": "micro",
        "targets": len(positives),
        "published_mean": value,
        "mean_here": micro[score],
        "mean_here_interval": micro[f"{score}_interval"],
        "constant": constant[score],
    }
    return row


def _agrees(row: PublishedScores) -> bool | None:
    """Return whether the published mean is in the interval of the mean here, and so for enough
    targets, and whether an imported network differs by rounding alone; None without an interval."""
    interval = row.get("mean_here_interval")
    if interval is None:
        return None
    is_inside = interval[0] <= row["published_mean"] <= interval[1]
    difference = row.get("mean_difference", abs(row["mean_here"] - row["published_mean"]))
    if difference > row.get("allowed_difference", float("inf")):
        return False
    if row.get("average") == "micro":
        return is_inside
    return is_inside and row["in_interval"] >= SHARE_OF_TARGETS * row["with_interval"]


def published_table(summary: Summary) -> list[tuple[str, ...]]:
    """Return rows of text, published beside here; the first row is the heading. Empty without a
    published model."""
    heads = ("published scores", "published", "here", "difference", "targets better here")
    rows = [
        (
            f"{title_of(row['model'])}, {_name(row)}",
            number(row["published_mean"]),
            _with_interval(row["mean_here"], row.get("mean_here_interval")),
            f"{row['mean_here'] - row['published_mean']:+.4f}",
            f"{row['better_here']:,} of {row['targets']:,}" if "better_here" in row else "",
        )
        for row in summary["published"]
    ]
    return [heads, *rows] if rows else []


def published_remarks(summary: Summary) -> Iterator[str]:
    """Yield whether the scores here are those that were published for this model."""
    judged = [row for row in summary["published"] if "agrees" in row]
    for row in judged:
        yield _verdict(row)
    known = any(row["model"] in MODELS for row in summary["published"])
    if known and not judged and not _on_test_windows(summary):
        yield (
            f"published scores: of DeepSEA's test split ({TEST_WINDOWS:,} windows of chromosomes 8 "
            "and 9). The windows scored here are others, so the scores cannot be compared"
        )


def _on_test_windows(summary: Summary) -> bool:
    """Return whether the split has the windows of the published scores: scores of all targets
    pooled are compared there alone."""
    return any(row.get("average") == "micro" for row in summary["published"])


def _verdict(row: PublishedScores) -> str:
    """Return whether a score agrees with the published score, and by which rule."""
    name, model = _name(row), title_of(row["model"])
    if row["agrees"] is None:
        return (
            f"{name} cannot be compared with the published {model}: an interval needs "
            f"{MIN_BLOCKS} blocks of the genome"
        )
    verdict = f"{name} {'agrees' if row['agrees'] else 'does not agree'} with the published {model}"
    is_micro, allowed = row.get("average") == "micro", row.get("allowed_difference")
    exact = ""
    if allowed is not None:
        what, mean = ("it", "") if is_micro else ("a target", " on average")
        exact = f"; of imported weights {what} differs by at most {allowed:g}{mean}"
    if is_micro:
        return f"{verdict}: the rule is that the published value is in the 95 % interval{exact}"
    return (
        f"{verdict}: the published score is in the 95 % interval of the score here for "
        f"{row['in_interval']:,} of {counted(row['with_interval'], 'target')}; a target differs by "
        f"{number(row['mean_difference'])} on average, at most by "
        f"{number(row['largest_difference'])} ({row['largest_at']}). The rule: the published mean "
        f"is in its interval, and so are the scores of {SHARE_OF_TARGETS:.0%} of the targets{exact}"
    )


def _name(row: PublishedScores) -> str:
    return f"{row.get('average', 'macro')} {_SCORES[row['score']]}"


def _with_interval(value: float, interval: Interval) -> str:
    text = number(value)
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"
