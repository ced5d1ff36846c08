"""Figures of a run with titles and captions, and its settings: for reports and `bioq serve`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bioq.evaluation.summary import Evaluation, scored_windows
from bioq.metrics import FEW_POSITIVES
from bioq.models.summary import Summary
from bioq.plots.evaluation import (
    plot_calibration,
    plot_precision_recall,
    plot_published,
    plot_roc,
    plot_targets,
)
from bioq.plots.model import plot_architecture
from bioq.plots.training import plot_loss, plot_validation_scores
from bioq.published.scores import published_columns, title_of
from bioq.runs.best_epoch import best_epoch, best_epoch_text, chosen_by, deciding_score, score_name
from bioq.runs.folder import RunConfig, has_history, read_history

_IN_BRACKETS = " In brackets: the score of a constant, each target's share of positives."


@dataclass(frozen=True)
class Drawn:
    """A figure of a page."""

    name: str
    """File name without its ending."""
    figure: Figure
    title: str
    caption: str
    on_white: bool = False
    """Whether the figure needs a white background."""


def figures_of_scores(evaluation: Evaluation) -> Iterator[Drawn]:
    """Yield the figures of an evaluation."""
    split = scored_windows(evaluation.summary)
    in_brackets = _IN_BRACKETS if "constant" in evaluation.summary else ""
    yield Drawn(
        "roc",
        plot_roc(evaluation.curves, evaluation.summary),
        "ROC curves",
        f"Share of positives above a threshold (up) against the share of negatives above it "
        f"(right), on {split}, for every threshold. Each curve pools the windows of all its "
        "targets. The area under the curve is the chance that a positive scores higher than a "
        "negative." + in_brackets,
    )
    yield Drawn(
        "precision_recall",
        plot_precision_recall(evaluation.curves, evaluation.summary),
        "Precision and recall",
        f"Share of the “yes” answers that are right (up) against the share of positives that are "
        f"recovered (right), on {split}. The dots are the thresholds of the table above. Dashed: "
        "the precision of guessing, the share of positives, of each group in its colour. If few "
        "labels are positive, this curve is more informative than the ROC curve." + in_brackets,
    )
    yield Drawn(
        "targets",
        plot_targets(evaluation.per_target),
        "Every target",
        "A dot is a target; the line is the median of the group. The height of a dot within its "
        f"row has no meaning. Hollow: fewer than {FEW_POSITIVES} positive windows, so the score is "
        "uncertain. Dashed: guessing, 0.5 in ROC AUC and the share of positives, whose median is "
        "drawn, in average precision. Targets without a positive or a negative window are not "
        "shown.",
    )
    yield Drawn(
        "calibration",
        plot_calibration(evaluation.calibration),
        "Calibration",
        "Share of positives among the predictions near a probability. On the dashed line the "
        "probabilities are exact; below it they are too high. Bars: 95 % intervals, assuming "
        "independent windows; hollow dots: fewer than 30 predictions. Lower panel: number of "
        "predictions, on a logarithmic scale.",
    )


def figures_of_training(run: Path, config: RunConfig) -> Iterator[Drawn]:
    """Yield the figures of a run's training. Raises BioqError without a history."""
    history = read_history(run)
    rows: Any = history.to_dict("records")
    best, score = best_epoch(rows, config.select_by), deciding_score(rows, config.select_by)
    best_by = "" if score is None else score_name(score)
    dashed = (
        " Dashed: a constant, each target's share of positives for every window."
        if config.constants
        else ""
    )
    yield Drawn(
        "loss",
        plot_loss(history, best_epoch=best, best_by=best_by, constants=config.constants),
        "Loss by epoch",
        "While the validation loss falls, the model learns patterns that hold for new windows. If "
        "it rises while the training loss falls, the model memorises its training windows. The "
        "training loss is measured with dropout, the validation loss without." + dashed,
    )
    if history.filter(like="valid_").isna().all(axis=None):  # no validation split
        return
    yield Drawn(
        "validation_scores",
        plot_validation_scores(
            history, best_epoch=best, best_by=best_by, constants=config.constants
        ),
        "Validation scores by epoch",
        "Macro: the mean over targets. Micro: all targets pooled. The evaluation uses the weights "
        f"of the best epoch {chosen_by(rows, config.select_by)}".rstrip()
        + "."
        + dashed,
    )


def figures_of_published(per_target: pd.DataFrame) -> Iterator[Drawn]:
    """Yield a figure for each published model that has scores in the target table."""
    for model in dict.fromkeys(model for _, model, _ in published_columns(per_target)):
        yield Drawn(
            f"published_{model}",
            plot_published(per_target, model),
            f"Compared with {title_of(model)}",
            "A dot is a target; above the line this run scores higher than the published model. "
            "The comparison is fair only on DeepSEA's test windows (chromosomes 8 and 9).",
        )


def figure_of_model(summary: Summary) -> Drawn:
    """Return the figure of a network."""
    return Drawn(
        "model",
        plot_architecture(summary),
        "The model",
        "The layers from the window to one output per target, with their parameters.",
        on_white=True,
    )


def settings(run: Path, config: RunConfig) -> list[tuple[str, str]]:
    """Return the settings of the run's training, as (name, value) rows of text."""
    rows = [("model", config.model_name)]
    if config.members:
        rows.append(("members", ", ".join(entry["name"] for entry in config.members)))
    if has_history(run):
        history: Any = read_history(run).to_dict("records")
        rows.append(("best epoch", best_epoch_text(history, config.select_by)))
    rows += [(_words(name), str(value)) for name, value in config.model.get("sizes", {}).items()]
    rows += [(_words(name), str(value)) for name, value in config.recipe.items()]
    rows += [
        (_words(key), str(config.training[key]))
        for key in ("seed", "precision")
        if key in config.training
    ]
    if config.training.get("motifs"):
        rows.append(("motifs", str(config.training["motifs"])))
    published = {name: value for name, value in (config.published or {}).items() if value}
    rows += [(f"published {_words(name)}", str(value)) for name, value in published.items()]
    rows += [(f"{name} version", str(value)) for name, value in config.versions.items()]
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ")
