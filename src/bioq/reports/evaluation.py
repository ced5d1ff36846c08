"""The report of a run: one HTML page that needs nothing but itself, and its figures as files."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from bioq.evaluation.files import FOLDER, read_evaluation
from bioq.evaluation.summary import Evaluation
from bioq.evaluation.table import number
from bioq.files import locked, new_file
from bioq.models.summary import summarise
from bioq.plots.evaluation import PUBLISHED_NAMES, SCORES
from bioq.plots.run import (
    figure_of_model,
    figures_of_published,
    figures_of_scores,
    figures_of_training,
    settings,
)
from bioq.plots.style import inline_svg, to_png, to_svg
from bioq.reports.page import page_template
from bioq.runs.folder import CONFIG, RunConfig, read_config
from bioq.runs.trained_model import load
from bioq.training.recipes import TrainConfig

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


def write_report(run: str | Path, *, extra_tables: Sequence[ExtraTable] = ()) -> Path:
    """Draw the figures of an evaluated run and write `RUN/evaluation/report.html`; return its path.

    Each figure is written beside it as PNG and SVG. Raises BioqError if the run has not been
    evaluated, or cannot be read.
    """
    with locked(Path(run) / FOLDER):  # another process may evaluate the same run
        return _write_report(Path(run), extra_tables)


def _write_report(run: Path, extra_tables: Sequence[ExtraTable]) -> Path:
    found = read_evaluation(run)
    is_run = (run / CONFIG).exists()  # else an evaluation of several, in a folder of its own
    config = read_config(run) if is_run else None
    drawn = list(figures_of_scores(found))
    if config is not None:
        drawn += figures_of_training(run, config)
    drawn += figures_of_published(found.per_target)
    if config is not None:
        drawn.append(figure_of_model(summarise(load(run, calibrated=False).network)))
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
        settings=settings(config) if config else [],
        commands=_commands(run, found.summary, config) if config else "",
    )
    _write(folder / REPORT, page.encode())
    return folder / REPORT


def _published(found: Evaluation) -> list[dict[str, Any]]:
    """Return the comparison with published models, their names as they write them."""
    rows = found.summary["published"]
    return [{**row, "model": PUBLISHED_NAMES.get(row["model"], row["model"])} for row in rows]


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
