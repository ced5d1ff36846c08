"""The figures of a run with their titles and captions, and its settings: what the report and the
page of `bioq serve` both show."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bioq.evaluation.summary import Evaluation, published_columns
from bioq.models.summary import Summary
from bioq.plots.evaluation import (
    PUBLISHED_NAMES,
    plot_calibration,
    plot_precision_recall,
    plot_published,
    plot_roc,
    plot_targets,
)
from bioq.plots.model import plot_architecture
from bioq.plots.training import plot_loss, plot_validation_scores
from bioq.runs.best_epoch import best_epoch
from bioq.runs.folder import RunConfig, read_history


@dataclass(frozen=True)
class Drawn:
    """A figure of a page."""

    name: str
    """The file name without its ending."""
    figure: Figure
    title: str
    caption: str
    on_white: bool = False
    """Whether its colours need a white ground."""


def figures_of_scores(found: Evaluation) -> Iterator[Drawn]:
    """Yield the figures of what an evaluation found."""
    split = found.summary["split"]
    yield Drawn(
        "roc",
        plot_roc(found.curves, found.summary),
        "ROC curves",
        f"How many positives are found (up) for how many false alarms (right), on {split}, when "
        "the threshold falls from 1 to 0. Each curve pools the windows of all its targets. The "
        "area under it is the chance that a positive scores higher than a negative.",
    )
    yield Drawn(
        "precision_recall",
        plot_precision_recall(found.curves, found.summary),
        "Precision and recall",
        f"How many of the “yes” answers are right (up) for how many positives are found (right), "
        f"on {split}. The dots are the thresholds of the table above. With few positives this "
        "curve says more than the ROC curve.",
    )
    yield Drawn(
        "targets",
        plot_targets(found.per_target),
        "Every target",
        "A dot is a target, the line the median of its group. Dots lie at random heights within "
        "their row. Targets without a positive are left out.",
    )
    yield Drawn(
        "calibration",
        plot_calibration(found.calibration),
        "Calibration",
        "Of the predictions near a probability, the share that is positive. On the dashed line "
        "a probability means what it says; below it the model is too sure. Bars: 95 % intervals "
        "as if windows were independent; hollow dots: fewer than 30 predictions. The lower panel "
        "counts predictions, logarithmically.",
    )


def figures_of_training(run: Path, config: RunConfig) -> Iterator[Drawn]:
    """Yield the figures of how a run was trained. Raises BioqError without a history."""
    history = read_history(run)
    select_by = config.training.get("resolved", {}).get("select_by", "valid_loss")
    rows: Any = history.to_dict("records")
    best = best_epoch(rows, select_by)
    yield Drawn(
        "loss",
        plot_loss(history, best_epoch=best),
        "Loss by epoch",
        "Falling validation loss: the model still learns something general. Rising again while "
        "the training loss falls: it learns its training windows by heart. The training loss is "
        "taken with dropout, the validation loss without.",
    )
    yield Drawn(
        "validation_scores",
        plot_validation_scores(history, best_epoch=best),
        "Validation scores by epoch",
        "Macro: the mean over targets. Micro: all targets pooled. The weights of the epoch marked "
        "as best are the ones evaluated here.",
    )


def figures_of_published(per_target: pd.DataFrame) -> Iterator[Drawn]:
    """Yield a figure for each published model whose scores the target table holds."""
    for model in dict.fromkeys(model for _, model, _ in published_columns(per_target)):
        yield Drawn(
            f"published_{model}",
            plot_published(per_target, model),
            f"Compared with {PUBLISHED_NAMES.get(model, model)}",
            "A dot is a target: above the line this run scores higher than the published model. "
            "Fair only on DeepSEA's own test windows (chromosomes 8 and 9).",
        )


def figure_of_model(summary: Summary) -> Drawn:
    """Return the figure of a network."""
    return Drawn(
        "model",
        plot_architecture(summary),
        "The model",
        "From the window to one output for each target, and the parameters of each layer.",
        on_white=True,
    )


def settings(config: RunConfig) -> list[tuple[str, str]]:
    """Return what the run was trained with, as rows of text."""
    resolved = config.training.get("resolved", {})
    rows = [("model", str(config.model["name"]))]
    rows += [(_words(name), str(value)) for name, value in config.model.get("sizes", {}).items()]
    rows += [(_words(name), str(value)) for name, value in resolved.items()]
    rows += [
        (_words(key), str(config.training[key]))
        for key in ("seed", "precision")
        if key in config.training
    ]
    if config.training.get("motifs"):
        rows.append(("motifs", str(config.training["motifs"])))
    rows += [(f"{name} version", str(value)) for name, value in config.versions.items()]
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ")
