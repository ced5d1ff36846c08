"""The content of an evaluation: its tables, and the types of `metrics.json`.

Macro: one score per target, then the mean over the targets that have one. Micro: all windows and
targets pooled into one curve. The DanQ and DeepSEA papers report macro averages, the BioQ paper
micro averages; they cannot be compared with each other.
"""

from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import metrics
from bioq.files.typed import Line, Name, Pair
from bioq.options import AtLeastOne, AtLeastZero, Range

VALID = "valid"
"""The split on which thresholds are chosen."""
ALL = "all"
"""The group of all targets, in `curves.csv`."""
ALWAYS_NO = "always no"
"""The choice of a threshold that no probability reaches."""

Labels = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


class DataName(TypedDict):
    """The data set that was scored."""

    name: Name
    fingerprint: Line
    fold: NotRequired[Line]
    """The fold that is tested, such as `2/5`, of a data set with folds; `all` in a
    cross-validation."""


class About(TypedDict):
    """What was scored, and how it was predicted."""

    run: Name
    data: DataName
    split: Line
    windows: AtLeastOne
    targets: AtLeastOne
    members: list[str]
    """The runs whose mean probability was scored."""
    calibrated: bool
    """Whether all of them are."""
    strands: str
    precision: str
    notes: list[str]
    """Warnings about the scores."""
    folds: NotRequired[list["FoldScores"]]
    """Of a cross-validation."""


def scored_windows(about: About) -> str:
    """Return which windows were scored, as text: the split, or all folds."""
    return "all folds" if "folds" in about else about["split"]


Interval = Annotated[list[float], Pair] | None
"""The ends of a 95 % interval over blocks of the genome; None where it is not given."""

Macro = TypedDict(
    "Macro",
    {
        "roc_auc": float | None,
        "roc_auc_interval": NotRequired[Interval],
        "undefined_roc_auc": AtLeastZero,
        "median_roc_auc": float | None,
        "average_precision": float | None,
        "average_precision_interval": NotRequired[Interval],
        "undefined_average_precision": AtLeastZero,
        "median_average_precision": float | None,
        "brier": float | None,
        "f1_at_0.5": float | None,
        "f1_at_threshold": NotRequired[float | None],
    },
)
"""Means over the targets, medians, and numbers of targets whose score is undefined."""


class EnoughMacro(TypedDict):
    """Means over the targets with at least `positives` positive windows."""

    positives: AtLeastZero
    targets: AtLeastZero
    roc_auc: float | None
    roc_auc_interval: Interval
    average_precision: float | None
    average_precision_interval: Interval
    constant: "Areas"


class Micro(TypedDict):
    """Scores of all targets pooled."""

    roc_auc: float | None
    roc_auc_interval: NotRequired[Interval]
    average_precision: float | None
    average_precision_interval: NotRequired[Interval]
    brier: float | None
    log_loss: NotRequired[float | None]
    calibration_error: float | None


class Areas(TypedDict):
    """A ROC AUC and an average precision."""

    roc_auc: float | None
    average_precision: float | None


class ConstantScores(TypedDict):
    """Scores of a constant: for every window, each target's share of positives in this split."""

    macro: Areas
    micro: Areas
    brier: float | None
    log_loss: float | None
    median_average_precision: NotRequired[float | None]
    accuracy: NotRequired[float | None]
    """Of the best of always "yes" and always "no" for each target; f1 alike."""
    f1: NotRequired[float | None]
    macro_f1: NotRequired[float | None]
    calibration_error: NotRequired[float | None]


def as_constant(positives: npt.NDArray[np.int64], windows: int) -> ConstantScores:
    """Return the scores of a constant for targets with so many positive ones of `windows`."""
    scores = metrics.constant_scores(positives, windows)
    return {
        "macro": {
            "roc_auc": scores.macro_roc_auc,
            "average_precision": scores.macro_average_precision,
        },
        "micro": {
            "roc_auc": scores.micro_roc_auc,
            "average_precision": scores.micro_average_precision,
        },
        "brier": scores.brier,
        "log_loss": scores.log_loss,
        "median_average_precision": scores.median_average_precision,
        "accuracy": scores.accuracy,
        "f1": scores.f1,
        "macro_f1": scores.macro_f1,
        "calibration_error": 0.0,  # each share of positives is the probability
    }


class SomeTargets(TypedDict):
    """Some of the targets."""

    targets: AtLeastZero
    names: list[str]
    """The first of them."""


class AreasAndIntervals(TypedDict):
    """A ROC AUC and an average precision, with their intervals."""

    roc_auc: float | None
    roc_auc_interval: Interval
    average_precision: float | None
    average_precision_interval: Interval


class AllBinsAtThreshold(TypedDict):
    """Rates at a threshold, of all targets pooled; the recall is that of `ThresholdScores`."""

    threshold: float
    precision: float | None
    f1: float | None


class AllBinsScores(TypedDict):
    """Scores of all bins, estimated from windows that are a sample of them."""

    weight: float
    """Bins that a window without a positive stands for."""
    macro: AreasAndIntervals
    micro: AreasAndIntervals
    constant: ConstantScores
    thresholds: list[AllBinsAtThreshold]


class AllBins(TypedDict):
    """The windows of the split beside all bins of its contigs that may be windows."""

    bins: AtLeastOne
    background: AtLeastZero
    """Windows that are positive for no target."""
    drawn: str
    """How they were chosen: "all", or the option --background; empty if it is not recorded."""
    positive_rate: Annotated[float, Range(least=0, most=1)] | None
    """Share of positive labels in all bins of the split's contigs; null if it is not known."""
    genome_rate: Annotated[float, Range(least=0, most=1)] | None
    """The same of all contigs of the data set."""
    scores: NotRequired[AllBinsScores]
    """Absent if every bin is a window, and if no window stands for the other bins."""


class SameEverywhere(TypedDict):
    """The targets that the network predicts the same for every window."""

    targets: AtLeastZero
    names: list[str]
    """The first of them."""
    advice: NotRequired[str]
    """The cause and what to try."""


class GroupScores(TypedDict):
    """Scores of the targets of one group."""

    targets: AtLeastZero
    positives: AtLeastZero
    undefined: AtLeastZero
    """Targets without a ROC AUC."""
    macro_roc_auc: float | None
    micro_roc_auc: float | None
    macro_average_precision: float | None
    micro_average_precision: float | None
    macro_roc_auc_interval: NotRequired[Interval]
    micro_roc_auc_interval: NotRequired[Interval]
    macro_average_precision_interval: NotRequired[Interval]
    micro_average_precision_interval: NotRequired[Interval]
    constant: NotRequired[ConstantScores]


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
    average: NotRequired[str]
    """macro: the mean of the targets' scores; micro: all targets pooled."""
    targets: AtLeastZero
    published_mean: float
    mean_here: float
    mean_here_interval: NotRequired[Interval]
    constant: NotRequired[float | None]
    """The same score of a constant on the same targets."""
    better_here: NotRequired[AtLeastZero]
    """Targets whose computed score is higher than the published score."""
    mean_difference: NotRequired[float]
    """Of the targets' published and computed scores, without sign."""
    largest_difference: NotRequired[float]
    largest_at: NotRequired[str]
    """The target with the largest difference."""
    with_interval: NotRequired[AtLeastZero]
    """Targets whose computed score has an interval."""
    in_interval: NotRequired[AtLeastZero]
    """Those of them whose published score is in it."""
    allowed_difference: NotRequired[float]
    """Of imported weights: the mean difference of a target up to which they agree."""
    agrees: NotRequired[bool | None]
    """Whether the scored model has its own published scores, on the windows that these are of; None
    without intervals; absent for any other model or windows."""


class FoldScores(TypedDict):
    """Scores of one fold of a cross-validation."""

    fold: Line
    """The fold that is left for testing, such as `2/5`."""
    windows: AtLeastZero
    macro_roc_auc: float | None
    micro_roc_auc: float | None
    macro_average_precision: float | None
    micro_average_precision: float | None
    constant: ConstantScores


class Summary(About):
    """The content of `metrics.json`; None where a score is undefined.

    Evaluations written before 2026-11-30 do not have all of the keys that are not required.
    """

    positive_rate: Annotated[float, Range(least=0, most=1)]
    macro: Macro
    micro: Micro
    groups: dict[str, GroupScores]
    thresholds: list[ThresholdScores]
    published: list[PublishedScores]
    blocks: NotRequired[AtLeastZero]
    """Blocks of the genome that the windows are in."""
    enough: NotRequired[EnoughMacro]
    constant: NotRequired[ConstantScores]
    same_everywhere: NotRequired[SameEverywhere]
    without_positive: NotRequired[SomeTargets]
    without_negative: NotRequired[SomeTargets]
    all_bins: NotRequired[AllBins | None]
    """None if the data set does not record its bins."""


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
