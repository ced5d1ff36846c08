"""The report of a run: one HTML page that needs nothing but itself, and its figures as files."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from bioq.files import new_file
from bioq.models.summary import summarise
from bioq.plots.evaluation import (
    PUBLISHED_NAMES,
    SCORES,
    plot_calibration,
    plot_precision_recall,
    plot_published,
    plot_roc,
    plot_targets,
)
from bioq.plots.model import plot_architecture
from bioq.plots.page import page_template
from bioq.plots.style import inline_svg, to_png, to_svg
from bioq.plots.training import plot_loss, plot_validation_scores
from bioq.recipes import TrainConfig
from bioq.results import FOLDER, Evaluation, number, published_columns, read_evaluation
from bioq.runs import RunConfig, load, read_config, read_history

REPORT = "report.html"

_COLUMNS = {
    "name": "target",
    "group": "group",
    "positives": "positives",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "threshold": "threshold",
    "f1_at_threshold": "F1",
    "precision_at_threshold": "precision",
    "recall_at_threshold": "recall",
    "brier": "Brier",
}
"""The columns of `per_target.tsv` that the page shows, and their headings."""


@dataclass(frozen=True)
class ExtraTable:
    """A table that a report shows after its headline."""

    title: str
    table: pd.DataFrame
    note: str = ""
    """How to read it, in a sentence or two."""


@dataclass(frozen=True)
class _Drawn:
    """A figure of the page."""

    name: str
    """The file name without its ending."""
    figure: Figure
    title: str
    caption: str
    on_white: bool = False
    """Whether its colours need a white ground."""


def write_report(run: str | Path, *, extra_tables: Sequence[ExtraTable] = ()) -> Path:
    """Draw the figures of an evaluated run and write `RUN/evaluation/report.html`; return its path.

    Each figure is written beside it as PNG and SVG. Raises BioqError if the run has not been
    evaluated, or cannot be read.
    """
    run = Path(run)
    found = read_evaluation(run)
    config = read_config(run)
    drawn = [*_figures_of_scores(found), *_figures_of_training(run, config)]
    drawn += _figures_of_published(found.per_target)
    drawn.append(_figure_of_model(run))
    folder = run / FOLDER
    shown = []
    for figure in drawn:
        svg = to_svg(figure.figure)
        _write(folder / f"{figure.name}.svg", svg.encode())
        figure.figure.set_layout_engine("none")  # it is laid out: the next drawing is faster
        _write(folder / f"{figure.name}.png", to_png(figure.figure))
        element = inline_svg(svg, name=figure.name, title=figure.title)
        shown.append({"drawn": figure, "svg": Markup(element)})
    page = page_template("report.html.j2", {"cell": _cell, "text_columns": _text_columns}).render(
        summary=found.summary,
        config=config,
        figures=shown,
        extra_tables=extra_tables,
        scores=SCORES,
        published=_published(found),
        targets=_target_rows(found.per_target),
        settings=_settings(config),
        commands=_commands(run, found.summary, config),
    )
    _write(folder / REPORT, page.encode())
    return folder / REPORT


def _figures_of_scores(found: Evaluation) -> Iterator[_Drawn]:
    split = found.summary["split"]
    yield _Drawn(
        "roc",
        plot_roc(found.curves, found.summary),
        "ROC curves",
        f"How many positives are found (up) for how many false alarms (right), on {split}, when "
        "the threshold falls from 1 to 0. Each curve pools the windows of all its targets. The "
        "area under it is the chance that a positive scores higher than a negative.",
    )
    yield _Drawn(
        "precision_recall",
        plot_precision_recall(found.curves, found.summary),
        "Precision and recall",
        f"How many of the “yes” answers are right (up) for how many positives are found (right), "
        f"on {split}. The dots are the thresholds of the table above. With few positives this "
        "curve says more than the ROC curve.",
    )
    yield _Drawn(
        "targets",
        plot_targets(found.per_target),
        "Every target",
        "A dot is a target, the line the median of its group. Dots lie at random heights within "
        "their row. Targets without a positive are left out.",
    )
    yield _Drawn(
        "calibration",
        plot_calibration(found.calibration),
        "Calibration",
        "Of the predictions near a probability, the share that is positive. On the dashed line "
        "a probability means what it says; below it the model is too sure. Bars: 95 % intervals "
        "as if windows were independent; hollow dots: fewer than 30 predictions. The lower panel "
        "counts predictions, logarithmically.",
    )


def _figures_of_training(run: Path, config: RunConfig) -> Iterator[_Drawn]:
    history = read_history(run)
    best = _best_epoch(history, config)
    yield _Drawn(
        "loss",
        plot_loss(history, best_epoch=best),
        "Loss by epoch",
        "Falling validation loss: the model still learns something general. Rising again while "
        "the training loss falls: it learns its training windows by heart. The training loss is "
        "taken with dropout, the validation loss without.",
    )
    yield _Drawn(
        "validation_scores",
        plot_validation_scores(history, best_epoch=best),
        "Validation scores by epoch",
        "Macro: the mean over targets. Micro: all targets pooled. The weights of the epoch marked "
        "as best are the ones evaluated here.",
    )


def _figures_of_published(per_target: pd.DataFrame) -> Iterator[_Drawn]:
    for model in dict.fromkeys(model for _, model, _ in published_columns(per_target)):
        yield _Drawn(
            f"published_{model}",
            plot_published(per_target, model),
            f"Compared with {PUBLISHED_NAMES.get(model, model)}",
            "A dot is a target: above the line this run scores higher than the published model. "
            "Fair only on DeepSEA's own test windows (chromosomes 8 and 9).",
        )


def _figure_of_model(run: Path) -> _Drawn:
    return _Drawn(
        "model",
        plot_architecture(summarise(load(run))),
        "The model",
        "From the window to one output for each target, and the parameters of each layer.",
        on_white=True,
    )


def _best_epoch(history: pd.DataFrame, config: RunConfig) -> int | None:
    """Return the epoch whose weights are kept; None where nothing was validated."""
    name = config.training.get("resolved", {}).get("select_by", "valid_loss")
    if name not in history or not history[name].notna().any():
        name = "valid_loss"
    if name not in history or not history[name].notna().any():
        return None
    scores = history[name]
    return int(history["epoch"][scores.idxmin() if name == "valid_loss" else scores.idxmax()])


def _published(found: Evaluation) -> list[dict[str, Any]]:
    """Return the comparison with published models, their names as they write them."""
    rows: list[dict[str, Any]] = found.summary["published"]
    return [row | {"model": PUBLISHED_NAMES.get(row["model"], row["model"])} for row in rows]


def _target_rows(per_target: pd.DataFrame) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Return headings, and rows of (text, what to sort by)."""
    columns = [column for column in _COLUMNS if column in per_target]
    rows = []
    for values in per_target[columns].itertuples(index=False):
        row = []
        for column, value in zip(columns, values, strict=True):
            if isinstance(value, str):
                row.append((value, value))
            elif column == "positives":
                row.append((f"{value:,}", str(value)))
            else:
                row.append((number(value), "" if pd.isna(value) else repr(float(value))))
        rows.append(row)
    return [_COLUMNS[column] for column in columns], rows


def _settings(config: RunConfig) -> list[tuple[str, str]]:
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


def _commands(run: Path, summary: Mapping[str, Any], config: RunConfig) -> str:
    """Return the commands that train and evaluate this run again."""
    data = summary["data"]["name"]
    train = ["bioq", "train", data, "--out", run.name, "--model", str(config.model["name"])]
    asked = dict(config.training)
    flags = dict(asked.get("sizes") or {}) | (
        {"motifs": asked["motifs"]} if asked.get("motifs") else {}
    )
    defaults = asdict(TrainConfig())
    flags |= {
        name: asked[name]
        for name, default in defaults.items()
        if name in asked and asked[name] != default
    }
    for name, value in flags.items():
        flag = name.replace("_", "-")
        if value is True or value is False:
            train.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            train += [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
    evaluate = ["bioq", "evaluate", run.name, data, "--split", summary["split"]]
    for name, default in (("strands", "both"), ("precision", "32")):
        if summary[name] != default:
            evaluate += [f"--{name}", summary[name]]
    return f"{shlex.join(train)}\n{shlex.join(evaluate)}\n"


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]


def _cell(value: Any) -> str:
    """Return a cell of an extra table as text: floats rounded, what is undefined a dash."""
    if isinstance(value, float):
        return number(value)
    return "–" if value is None else str(value)


def _write(file: Path, content: bytes) -> None:
    with new_file(file) as partial:
        partial.write_bytes(content)
