"""The scores of an evaluation as a table of text: the command line and the pages print it."""

from collections.abc import Iterator
from typing import Literal

from bioq.dataset import BLOCK_BP
from bioq.errors import counted
from bioq.evaluation.published_scores import published_remarks
from bioq.evaluation.rate_remarks import one_kind_remarks, rate_remarks
from bioq.evaluation.summary import (
    ALWAYS_NO,
    ConstantScores,
    EnoughMacro,
    Interval,
    Summary,
    ThresholdScores,
    scored_windows,
)
from bioq.metrics import MIN_BLOCKS, number

Row = tuple[str, ...]

UNDEFINED = "–: no positive or no negative window of the target in this split"
"""The explanation of a dash in a table of scores."""


def evaluation_table(summary: Summary) -> list[Row]:
    """Return rows of text: score, macro, micro, constant; the first row is the heading. For one
    target, whose macro and micro scores are equal: score, value, constant.

    Evaluations written before 2026-11-29 have no intervals and few constants.
    """
    macro, micro = summary["macro"], summary["micro"]
    constant = summary.get("constant")
    enough = summary.get("enough")
    rows: list[Row] = [
        ("score", "macro (mean of targets)", "micro (all pooled)", "constant (macro, micro)"),
        (
            "ROC AUC",
            score_text(macro["roc_auc"], macro.get("roc_auc_interval")),
            score_text(micro["roc_auc"], micro.get("roc_auc_interval")),
            _constants(constant, "roc_auc"),
        ),
        (
            "average precision",
            score_text(macro["average_precision"], macro.get("average_precision_interval")),
            score_text(micro["average_precision"], micro.get("average_precision_interval")),
            _constants(constant, "average_precision"),
        ),
    ]
    if enough is not None and 0 < enough["targets"] < summary["targets"]:
        rows += _enough_rows(enough)
    rows += _group_rows(summary)
    rows += _threshold_rows(summary)
    rows += _all_bins_rows(summary)
    rows.append(
        (
            "Brier score",
            number(macro["brier"]),
            number(micro["brier"]),
            number(constant["brier"] if constant else None, missing=""),
        )
    )
    if "log_loss" in micro:
        loss = number(constant["log_loss"] if constant else None, missing="")
        rows.append(("log loss", "", number(micro["log_loss"]), loss))
    perfect = number(constant.get("calibration_error") if constant else None, missing="")
    rows.append(("calibration error", "", number(micro["calibration_error"]), perfect))
    if summary["targets"] == 1:
        values = [(name, mean or pooled, of) for name, mean, pooled, of in rows[1:]]
        return [("score", "value", "constant"), *values]
    return rows


def evaluation_remarks(summary: Summary) -> list[str]:
    """Return sentences that explain the table, with the rate of positives first."""
    remarks = [*rate_remarks(summary), *_interval_remarks(summary)]
    remarks += _constant_remarks(summary)
    undefined = summary["macro"]["undefined_roc_auc"]
    if undefined and "without_positive" not in summary:  # written before 2026-11-30
        remarks.append(
            f"{UNDEFINED}: {undefined:,} of {counted(summary['targets'], 'target')}, not in the "
            "macro mean"
        )
    remarks += one_kind_remarks(summary)
    remarks += _few_remarks(summary)
    remarks += published_remarks(summary)
    return remarks


def _interval_remarks(summary: Summary) -> Iterator[str]:
    """Yield what the intervals are, or why there are none."""
    blocks = summary.get("blocks")
    if blocks is None:
        return
    length = f"{BLOCK_BP // 1000} kb"
    trained = "these trained networks" if len(summary["members"]) > 1 else "this trained network"
    if blocks < MIN_BLOCKS:
        yield (
            f"no intervals: the split is in {counted(blocks, 'block')} of "
            f"{length} of the genome, an interval needs {MIN_BLOCKS}"
        )
        return
    yield (
        f"in brackets: 95 % intervals, from {blocks:,} blocks of {length} of the genome, for "
        f"{trained}; how much another seed of the training changes a score is not in them. No "
        f"interval: positives in fewer than {MIN_BLOCKS} blocks, or a score of 0 or 1"
    )


def _constant_remarks(summary: Summary) -> Iterator[str]:
    """Yield what the constant is, and which scores are not better than its scores."""
    constant, micro, macro = summary.get("constant"), summary["micro"], summary["macro"]
    if constant is None:
        return
    yield (
        "constant: the score of a prediction that does not read the sequence, which is each "
        "target's share of positives for every window; for accuracy and F1 the better of always "
        "“yes” and always “no”"
    )
    of_macro, of_micro = constant["macro"], constant["micro"]
    pairs = [
        ("macro ROC AUC", macro["roc_auc"], of_macro["roc_auc"]),
        ("macro average precision", macro["average_precision"], of_macro["average_precision"]),
        ("micro ROC AUC", micro["roc_auc"], of_micro["roc_auc"]),
        ("micro average precision", micro["average_precision"], of_micro["average_precision"]),
    ]
    for at in summary["thresholds"]:
        if at["chosen"] != ALWAYS_NO:
            name = _threshold_name(at)
            pairs.append((f"accuracy {name}", at["accuracy"], constant.get("accuracy")))
            pairs.append((f"F1 {name}", at["f1"], constant.get("f1")))
    # The signs of losses are changed, so that higher is better.
    pairs += [
        (name, None if here is None else -here, None if there is None else -there)
        for name, here, there in (
            ("Brier score", micro["brier"], constant["brier"]),
            ("log loss", micro.get("log_loss"), constant["log_loss"]),
        )
    ]
    worse = [
        name
        for name, here, there in pairs
        if here is not None and there is not None and here <= there
    ]
    if worse:
        yield f"not better than the constant: {', '.join(worse)}"


def _few_remarks(summary: Summary) -> Iterator[str]:
    """Yield how many targets have too few positives for a score of their own."""
    enough = summary.get("enough")
    if enough is None or enough["targets"] == summary["targets"]:
        return
    few = summary["targets"] - enough["targets"]
    yield (
        f"{few:,} of {counted(summary['targets'], 'target')} ({few / summary['targets']:.0%}) "
        f"{'has' if few == 1 else 'have'} fewer than {enough['positives']} positive windows in "
        f"{scored_windows(summary)}: their scores are uncertain (few_positives in per_target.tsv)"
    )


def same_remarks(summary: Summary) -> Iterator[str]:
    """Yield which targets the network predicts the same for every window, and what to try."""
    same = summary.get("same_everywhere")
    if same is None or not same["targets"]:
        return
    advice = f": {same['advice']}" if same.get("advice") else ""
    if same["targets"] == summary["targets"]:
        yield f"the network predicts the same for every window{advice}"
        return
    more = ", ..." if same["targets"] > len(same["names"]) else ""
    yield (
        f"{same['targets']:,} of {counted(summary['targets'], 'target')} get the same prediction "
        f"for every window ({', '.join(same['names'])}{more}){advice}"
    )


def _enough_rows(enough: EnoughMacro) -> Iterator[Row]:
    label = f"{counted(enough['targets'], 'target')} with {enough['positives']}+ positives"
    of = enough["constant"]
    yield (
        f"ROC AUC, {label}",
        score_text(enough["roc_auc"], enough["roc_auc_interval"]),
        "",
        number(of["roc_auc"]),
    )
    yield (
        f"average precision, {label}",
        score_text(enough["average_precision"], enough["average_precision_interval"]),
        "",
        number(of["average_precision"]),
    )


def _group_rows(summary: Summary) -> Iterator[Row]:
    for group, scores in summary["groups"].items():
        label = f"{group} ({counted(scores['targets'], 'target')})"
        yield (
            f"ROC AUC, {label}",
            score_text(scores["macro_roc_auc"], scores.get("macro_roc_auc_interval")),
            score_text(scores["micro_roc_auc"], scores.get("micro_roc_auc_interval")),
            _constants(scores.get("constant"), "roc_auc"),
        )
        yield (
            f"average precision, {label}",
            score_text(
                scores["macro_average_precision"], scores.get("macro_average_precision_interval")
            ),
            score_text(
                scores["micro_average_precision"], scores.get("micro_average_precision_interval")
            ),
            _constants(scores.get("constant"), "average_precision"),
        )


def _threshold_rows(summary: Summary) -> Iterator[Row]:
    rate, constant = summary["positive_rate"], summary.get("constant")
    never: float | None = 1 - rate
    always: float | None = 2 * rate / (1 + rate)
    if constant is not None and "accuracy" in constant:  # else written before 2026-11-30
        never, always = constant["accuracy"], constant.get("f1")
    for scores in summary["thresholds"]:
        if scores["chosen"] == ALWAYS_NO:
            continue
        at = _threshold_name(scores)
        yield f"accuracy {at}", "", number(scores["accuracy"]), number(never)
        yield f"F1 {at}", "", number(scores["f1"]), number(always)


def _all_bins_rows(summary: Summary) -> Iterator[Row]:
    """Yield the scores that are estimated for all bins."""
    known = summary.get("all_bins")
    if known is None or "scores" not in known:
        return
    scores = known["scores"]
    macro, micro, constant = scores["macro"], scores["micro"], scores["constant"]
    yield (
        "ROC AUC, all bins",
        score_text(macro["roc_auc"], macro["roc_auc_interval"]),
        score_text(micro["roc_auc"], micro["roc_auc_interval"]),
        _constants(constant, "roc_auc"),
    )
    yield (
        "average precision, all bins",
        score_text(macro["average_precision"], macro["average_precision_interval"]),
        score_text(micro["average_precision"], micro["average_precision_interval"]),
        _constants(constant, "average_precision"),
    )
    for at in scores["thresholds"]:
        name = f"at {at['threshold']:.3g}, all bins"
        yield f"precision {name}", "", number(at["precision"]), number(known["positive_rate"])
        yield f"F1 {name}", "", number(at["f1"]), number(constant.get("f1"))


def _threshold_name(scores: ThresholdScores) -> str:
    """Return the name of a threshold in a table: "at 0.5", "at 0.215 (best F1 on valid)"."""
    at = f"at {scores['threshold']:.3g}"
    return at if scores["chosen"] == "fixed" else f"{at} ({scores['chosen']})"


def score_text(value: float | None, interval: Interval = None) -> str:
    """Return a score as text, with its interval in brackets if it has one: 0.7858 [0.742, 0.824]"""
    text = number(value)
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _constants(
    constant: ConstantScores | None, score: Literal["roc_auc", "average_precision"]
) -> str:
    if constant is None:
        return ""
    macro, micro = number(constant["macro"][score]), number(constant["micro"][score])
    return macro if macro == micro else f"{macro}, {micro}"
