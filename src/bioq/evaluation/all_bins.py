"""Scores at the genome's own rate of positives, of a split that stores a part of the bins.

A split made with background windows has every bin that is positive for a target, and a sample of
the bins that are positive for none. The genome has W = (bins - stored positive bins) / sampled bins
times as many of the latter, so each window of the sample counts as W windows, and each other window
as one: also where it is a negative of another target, because all of these bins are stored. These
sums estimate the numbers of false positives among all bins (Horvitz & Thompson 1952), and from them
follow precision, average precision and ROC AUC. Recall needs positives only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import metrics
from bioq.dataset import Dataset
from bioq.dataset.all_bins import all_bins_rates, has_every_positive
from bioq.evaluation.areas import Pool, macro_areas
from bioq.evaluation.summary import (
    AllBins,
    AllBinsScores,
    Labels,
    Probability,
    Thresholds,
    as_constant,
)

SUFFIX = "_all_bins"
"""Ends the names of the columns of `per_target.tsv` of scores at the genome's own rate; those of
intervals have `_low` and `_high` behind it."""
MOST_WEIGHT = 10
"""If a window stands for more bins there is no interval: of the intervals at 8 bins per window 95
to 100 % contained the average precision of all bins, at 32 bins 62 to 92 %, at 162 bins 29 to 54 %
(one human CTCF file, two networks, 200 samples each; 2026-11-29, docs/explanation/scores.md)."""


@dataclass(frozen=True)
class Sample:
    """How the windows of a split stand for all bins of its contigs."""

    bins: int
    """Bins that may be windows."""
    background: int
    """Windows that are positive for no target."""
    drawn: str
    """How these were chosen: "all", or the option `--background`; empty if it is not recorded."""
    weights: metrics.Floats | None
    """The number of bins that each window stands for, `(windows,)`; None if no score follows."""
    rates: metrics.Floats
    """Share of all bins that is positive for each target, `(targets,)`; NaN where not known."""
    genome_rate: float
    """The share of positive labels in all bins of the genome; NaN where not known."""

    @property
    def is_complete(self) -> bool:
        """Whether every bin is a window of the split."""
        return self.drawn == "all"


def sample_of(data: Dataset, split: str, labels: Labels) -> Sample | None:
    """Return how the windows of a split stand for all bins; None if the bins are not recorded."""
    bins = data[split].all_bins
    if not bins or bins < len(labels):
        return None
    is_background = ~labels.any(axis=1)
    background = int(is_background.sum())
    rates = all_bins_rates(data, split)
    options = data.description.options
    weights, drawn = None, str(options.get("background") or "")
    if len(labels) == bins:
        drawn = "all"
    elif background and has_every_positive(options.get("keep")):
        weight = (bins - len(labels) + background) / background
        weights = np.where(is_background, weight, 1.0)
    return Sample(bins, background, drawn, weights, rates, _genome_rate(data))


def _genome_rate(data: Dataset) -> float:
    """Return the share of positive labels in all bins of all splits; NaN if it is not known."""
    positive = bins = 0.0
    for name, split in data.items():
        positive += float((all_bins_rates(data, name) * (split.all_bins or 0)).sum())
        bins += (split.all_bins or 0) * split.targets
    return positive / bins if bins else float("nan")


def _named(column: str) -> str:
    """Return the name in `per_target.tsv` of a column of `metrics.weighted_areas`."""
    for end in ("_low", "_high"):
        if column.endswith(end):
            return f"{column.removesuffix(end)}{SUFFIX}{end}"
    return column + SUFFIX


def score_all_bins(
    labels: Labels,
    probability: Probability,
    blocks: npt.NDArray[np.intp],
    thresholds: Thresholds | None,
    sample: Sample | None,
) -> tuple[AllBins | None, pd.DataFrame]:
    """Return the entry of `metrics.json` and the columns of `per_target.tsv`.

    `blocks` are `joined_blocks`. Without a sample there is no entry. Of a split with every bin no
    score is repeated.
    """
    if sample is None:
        return None, pd.DataFrame(index=range(labels.shape[1]))
    entry: AllBins = {
        "bins": sample.bins,
        "background": sample.background,
        "drawn": sample.drawn,
        "positive_rate": float(sample.rates.mean()),
        "genome_rate": sample.genome_rate,
    }
    columns = pd.DataFrame({f"positive_rate{SUFFIX}": sample.rates})
    if sample.weights is None:
        return entry, columns.iloc[:, :0] if sample.is_complete else columns
    weight = float(sample.weights.max())
    each = metrics.weighted_areas(labels, probability, sample.weights, blocks=blocks)
    positives = each.table.pop("positives").to_numpy(dtype=np.int64)
    everything = np.ones(len(positives), dtype=bool)
    scores: AllBinsScores = {
        "weight": weight,
        "macro": macro_areas(each, everything),
        "micro": Pool.of(labels, probability, blocks, None, sample.weights).areas(),
        "constant": as_constant(positives, sample.bins),
        "thresholds": [],
    }
    choices = [metrics.HALF]
    if thresholds is not None and not np.isnan(thresholds.pooled):
        choices.append(thresholds.pooled)
    for threshold in choices:
        counts = metrics.at_threshold(labels, probability, threshold, weights=sample.weights)
        scores["thresholds"].append(
            {"threshold": threshold, "precision": counts.precision, "f1": counts.f1}
        )
    entry["scores"] = scores
    if weight > MOST_WEIGHT:
        for areas in (scores["macro"], scores["micro"]):
            areas["roc_auc_interval"] = areas["average_precision_interval"] = None
        each.table.loc[:, each.table.columns.str.endswith(("_low", "_high"))] = np.nan
    return entry, pd.concat([columns, each.table.rename(columns=_named)], axis=1)
