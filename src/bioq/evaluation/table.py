"""The scores of an evaluation as a table of text: the command line and the pages print it."""

import math
from collections.abc import Iterator

from bioq.evaluation.summary import ALWAYS_NO, Summary, ThresholdScores


def evaluation_table(summary: Summary) -> list[tuple[str, str, str]]:
    """Return rows of text: score, macro, micro; the first row is the heading."""
    macro, micro = summary["macro"], summary["micro"]

    def mean(score: float | None, undefined: int) -> str:
        of = f" ({summary['targets'] - undefined} of {summary['targets']} targets)"
        return number(score) + (of if undefined else "")

    return [
        ("score", "macro (mean of targets)", "micro (all pooled)"),
        ("ROC AUC", mean(macro["roc_auc"], macro["undefined_roc_auc"]), number(micro["roc_auc"])),
        (
            "average precision",
            mean(macro["average_precision"], macro["undefined_average_precision"]),
            number(micro["average_precision"]),
        ),
        *_group_rows(summary),
        *_threshold_rows(summary),
        ("Brier score", number(macro["brier"]), number(micro["brier"])),
        ("calibration error", "", number(micro["calibration_error"])),
    ]


def _group_rows(summary: Summary) -> Iterator[tuple[str, str, str]]:
    for group, scores in summary["groups"].items():
        noun = "target" if scores["targets"] == 1 else "targets"
        label = f"{group} ({scores['targets']} {noun})"
        yield (
            f"ROC AUC, {label}",
            number(scores["macro_roc_auc"]),
            number(scores["micro_roc_auc"]),
        )
        yield (
            f"average precision, {label}",
            number(scores["macro_average_precision"]),
            number(scores["micro_average_precision"]),
        )


def _threshold_rows(summary: Summary) -> Iterator[tuple[str, str, str]]:
    for scores in summary["thresholds"]:
        at = threshold_name(scores)
        yield f"accuracy {at}", "", number(scores["accuracy"])
        if scores["chosen"] != ALWAYS_NO:
            yield f"F1 {at}", "", number(scores["f1"])


def threshold_name(scores: ThresholdScores) -> str:
    """Return the name of a threshold in a table: "at 0.5", "at 0.215 (best F1 on valid)"."""
    if scores["threshold"] is None:
        return 'of always answering "no"'
    at = f"at {scores['threshold']:.3g}"
    return at if scores["chosen"] == "fixed" else f"{at} ({scores['chosen']})"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as text, a dash where it is undefined."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"
