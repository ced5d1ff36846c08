"""Cross-validation: an ensemble of folds scored on all folds of its data set.

Each window is predicted by those members alone that leave its fold for testing, so each window is
in the test split of its prediction. Thresholds are chosen in the same way on the validation splits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bioq import metrics
from bioq.dataset import Dataset, Fold, Split
from bioq.dataset.folds import fold_folders
from bioq.dataset.leaks import count_leaks
from bioq.errors import BioqError
from bioq.evaluation.summary import VALID, FoldScores, Labels, Probability, as_constant
from bioq.runs.folder import RunConfig, read_members
from bioq.runs.trained_model import TrainedModel

_MEANS = ("macro", "micro")
_AREAS = {"roc_auc": "ROC AUC", "average_precision": "average precision"}


@dataclass(frozen=True)
class Members:
    """Which members of an ensemble predict which fold of a data set."""

    of_fold: tuple[tuple[int, ...], ...]
    """For each fold, in order, the numbers of the members that leave it for testing."""

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.of_fold)

    def pieces(self, model: TrainedModel, split: Split) -> list[tuple[nn.Module, slice]]:
        """Return the members that predict each fold, as a model, and the rows of the fold in a
        split of all folds."""
        return [
            (model.with_members(self.of_fold[number - 1]), rows)
            for number, rows in self.tested(split)
        ]

    def tested(self, split: Split) -> Iterator[tuple[int, slice]]:
        """Yield for each part of a split of all folds the number of the fold that its members leave
        for testing, and its rows. In `valid` it is the fold before."""
        numbers = {folder: number for number, folder in enumerate(fold_folders(self.folds), 1)}
        back = 1 if split.name == VALID else 0
        for folder, rows in split.rows_of_folders().items():
            yield (numbers[folder] - 1 - back) % self.folds + 1, rows

    def scores(self, labels: Labels, probability: Probability, split: Split) -> list[FoldScores]:
        """Return the scores of each fold, by the number of the fold that is left for testing."""
        scores: list[FoldScores] = []
        for number, rows in sorted(self.tested(split), key=lambda fold: fold[0]):
            areas = metrics.quick_scores(labels[rows], probability[rows])
            positives = labels[rows].sum(axis=0, dtype=np.int64)
            scores.append(
                {
                    "fold": str(Fold(number, self.folds)),
                    "windows": rows.stop - rows.start,
                    "macro_roc_auc": areas["macro_roc_auc"],
                    "micro_roc_auc": areas["micro_roc_auc"],
                    "macro_average_precision": areas["macro_average_precision"],
                    "micro_average_precision": areas["micro_average_precision"],
                    "constant": as_constant(positives, rows.stop - rows.start),
                }
            )
        return scores


def members_of_folds(run: Path, config: RunConfig, data: Dataset) -> Members | None:
    """Return which members of an ensemble predict which fold; None for a run, and for an ensemble
    whose members were all trained on one fold or on no fold of this data set.

    Raises BioqError if no member leaves a fold for testing.
    """
    if not data.folds or data.chosen is not None:
        return None
    here = [member.fold_in(data) for _, member in read_members(run, config)]
    if None in here or len(set(here)) < 2:
        return None
    folds = [str(Fold(number, data.folds)) for number in range(1, data.folds + 1)]
    of_fold = [
        tuple(number for number, tested in enumerate(here) if tested == fold) for fold in folds
    ]
    missing = [fold for fold, members in zip(folds, of_fold, strict=True) if not members]
    if missing:
        raise BioqError(
            f"{run}: no member leaves fold {missing[0]} for testing, so its windows cannot be "
            f"scored; make an ensemble of the runs of all {data.folds} folds"
        )
    return Members(tuple(of_fold))


def cross_validation_notes(data: Dataset) -> Iterator[str]:
    """Yield the notes about the scores of a data set with folds."""
    yield (
        "cross-validation: each window is predicted by the members that leave its fold for testing"
    )
    for leak in count_leaks(data):
        yield from leak.lines()


def folds_table(scores: Sequence[FoldScores]) -> list[list[str]]:
    """Return rows of text: the scores of each fold, the scores of a constant in brackets, the means
    of both, and the standard deviation of the scores. The first row is the heading."""
    kinds = [(area, mean) for area in ("roc_auc", "average_precision") for mean in _MEANS]
    rows = [["fold", "windows", *(f"{_AREAS[area]}, {mean}" for area, mean in kinds)]]
    rows += [
        [
            fold["fold"],
            f"{fold['windows']:,}",
            *(_with_constant(fold, area, mean) for area, mean in kinds),
        ]
        for fold in scores
    ]
    mean_row, deviation_row = ["mean", ""], ["standard deviation", ""]
    for area, mean in kinds:
        values = [fold[f"{mean}_{area}"] for fold in scores]  # type: ignore[literal-required]
        constants = [fold["constant"][mean][area] for fold in scores]  # type: ignore[literal-required]
        mean_row.append(f"{_over(np.mean, values)} ({_over(np.mean, constants)})")
        deviation_row.append(_over(_deviation, values))
    rows += [mean_row, deviation_row]
    return rows


def _over(function: Callable[[Sequence[float]], Any], values: Sequence[float | None]) -> str:
    """Return a function of the defined values, as text."""
    known = [value for value in values if value is not None and value == value]
    return metrics.number(float(function(known)) if known else None)


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _with_constant(fold: FoldScores, area: str, mean: str) -> str:
    value = fold[f"{mean}_{area}"]  # type: ignore[literal-required]
    constant = fold["constant"][mean][area]  # type: ignore[literal-required]
    return f"{metrics.number(value)} ({metrics.number(constant)})"
