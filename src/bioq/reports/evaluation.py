"""The report of a run: one self-contained HTML page, and its figures as files."""

import json
import shlex
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from bioq.evaluation.files import REPORT, TEST, evaluation_folder, read_evaluation
from bioq.evaluation.summary import Evaluation, scored_windows
from bioq.evaluation.table import evaluation_remarks, evaluation_table, same_remarks
from bioq.files import locked, new_file
from bioq.metrics import FEW_POSITIVES, f1_of_yes, number
from bioq.models.summary import summarise
from bioq.plots.evaluation import SCORES
from bioq.plots.run import (
    figure_of_model,
    figures_of_published,
    figures_of_scores,
    figures_of_training,
    settings,
)
from bioq.plots.style import inline_svg, to_png, to_svg
from bioq.published.scores import published_columns, title_of
from bioq.reports.page import page_template
from bioq.runs.folder import CONFIG, RunConfig, read_config
from bioq.runs.trained_model import load
from bioq.training.recipes import TrainConfig

_COLUMNS = {
    "name": "target",
    "group": "group",
    "positives": "positives",
    "roc_auc": "ROC AUC, constant 0.5",
    "roc_auc_low": "95 % interval",
    "average_precision": "average precision",
    "average_precision_low": "95 % interval",
    "positive_rate": "constant",
    "average_precision_all_bins": "average precision, all bins",
    "average_precision_all_bins_low": "95 % interval",
    "positive_rate_all_bins": "constant",
    "threshold": "threshold",
    "f1_at_threshold": "F1",
    "f1_of_yes": "F1 of “yes”",
    "precision_at_threshold": "precision",
    "recall_at_threshold": "recall",
    "brier": "Brier",
    "brier_of_constant": "Brier of a constant",
}
"""Columns of `per_target.tsv` on the page -> their headings."""


@dataclass(frozen=True)
class ExtraTable:
    """A table that a report shows after its main scores."""

    title: str
    table: pd.DataFrame
    note: str = ""
    """One or two sentences that explain the table."""


def write_report(
    run: str | Path, split: str = TEST, *, extra_tables: Sequence[ExtraTable] = ()
) -> Path:
    """Draw the figures of an evaluated run and write `RUN/evaluation/report.html`; return its path.

    The report of another split than test is in `RUN/evaluation-SPLIT/`. Each figure is also written
    into this folder as PNG and SVG. Raises BioqError if the run has not been evaluated, or cannot
    be read.
    """
    with locked(evaluation_folder(run, split)):  # another process may evaluate the same run
        return _write_report(Path(run), split, extra_tables)


def _write_report(run: Path, split: str, extra_tables: Sequence[ExtraTable]) -> Path:
    evaluation = read_evaluation(run, split)
    config = _one_network(run)
    drawn = list(figures_of_scores(evaluation))
    if config is not None and config.imported is None:
        drawn += figures_of_training(run, config)
    drawn += figures_of_published(evaluation.per_target)
    if config is not None:
        drawn.append(figure_of_model(summarise(load(run, calibrated=False).network)))
    folder = evaluation_folder(run, split)
    shown = []
    for figure in drawn:
        svg = to_svg(figure.figure)
        _write(folder / f"{figure.name}.svg", svg.encode())
        figure.figure.set_layout_engine(
            "none"
        )  # keeps the layout of the SVG: drawing again is faster
        _write(folder / f"{figure.name}.png", to_png(figure.figure))
        element = inline_svg(svg, name=figure.name, title=figure.title)
        shown.append({"drawn": figure, "svg": Markup(element)})
    filters: dict[str, Callable[..., Any]] = {
        "cell": _cell,
        "text_columns": _text_columns,
        "f1_of_yes": f1_of_yes,
    }
    page = page_template("report.html.j2", filters).render(
        summary=evaluation.summary,
        scored=scored_windows(evaluation.summary),
        config=config,
        figures=shown,
        extra_tables=extra_tables,
        scores=SCORES,
        score_table=evaluation_table(evaluation.summary),
        published=_published(evaluation),
        targets=_target_rows(evaluation),
        settings=settings(run, config) if config else [],
        remarks=evaluation_remarks(evaluation.summary),
        chosen_on_valid=any(
            choice["threshold"] is not None and choice["chosen"] != "fixed"
            for choice in evaluation.summary["thresholds"]
        ),
        warnings=[*same_remarks(evaluation.summary), *evaluation.summary["notes"]],
        commands=_commands(run, evaluation.summary, config) if config else "",
    )
    _write(folder / REPORT, page.encode())
    return folder / REPORT


def _one_network(run: Path) -> RunConfig | None:
    """Return the configuration of a run with one network; None for an ensemble, and for a folder
    that has the evaluation of a run elsewhere."""
    config = read_config(run) if (run / CONFIG).exists() else None
    return None if config is None or config.members else config


def _published(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the comparison with published models, with the names that their papers use."""
    rows = evaluation.summary["published"]
    return [{**row, "model": title_of(row["model"])} for row in rows]


def _target_rows(evaluation: Evaluation) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Return the headings, and rows of cells (text, sort key)."""
    per_target, headings = evaluation.per_target, _headings(evaluation)
    rate = per_target["positive_rate"]
    table = per_target.assign(brier_of_constant=rate * (1 - rate))
    for column in headings.keys() - _COLUMNS.keys():
        table[column] = pd.to_numeric(table[column], errors="coerce")
    if "f1_at_threshold" in table:
        table["f1_of_yes"] = f1_of_yes(rate.where(rate > 0).to_numpy())
    if "average_precision_all_bins" not in table:
        table = table.drop(columns="positive_rate_all_bins", errors="ignore")
    columns = [column for column in headings if column in table and not table[column].isna().all()]
    rows = []
    for values in table.to_dict("records"):
        rows.append([_target_cell(column, values) for column in columns])
    return [headings[column] for column in columns], rows


def _headings(evaluation: Evaluation) -> dict[str, str]:
    """Return the columns of the table of targets, and their headings: the scores that were
    published for this model are behind the interval of those here."""
    judged = {row["model"] for row in evaluation.summary["published"] if "agrees" in row}
    published = {
        f"{score}_low": (column, f"{title_of(model)}, published")
        for column, model, score in published_columns(evaluation.per_target)
        if model in judged
    }
    headings: dict[str, str] = {}
    for column, heading in _COLUMNS.items():
        headings[column] = heading
        headings |= dict([published[column]]) if column in published else {}
    return headings


def _target_cell(column: str, values: Mapping[Hashable, Any]) -> tuple[str, str]:
    """Return the text and the sort key of a cell; that of an interval is its width."""
    value = values[column]
    if isinstance(value, str):
        return value, value
    if column == "positives":
        few = " (few)" if values["positives"] < FEW_POSITIVES else ""
        return f"{value:,}{few}", str(value)
    if pd.isna(value):
        return number(value), ""
    if column.endswith("_low"):
        high = values[column.replace("_low", "_high")]
        return f"{value:.3f} to {high:.3f}", repr(float(high - value))
    return number(value), repr(float(value))


def _commands(run: Path, summary: Mapping[str, Any], config: RunConfig) -> str:
    """Return the commands that train, or import, and evaluate this run again."""
    evaluate = ["bioq", "evaluate", run.name, summary["data"]["name"], "--split", summary["split"]]
    for name, default in (("strands", "both"), ("precision", "32")):
        if summary[name] != default:
            evaluate += [f"--{name}", summary[name]]
    if config.imported is None:
        made = _train_command(run, summary, config)
    else:
        made = ["bioq", "import", config.imported["file"], "--out", run.name]
        if config.imported["second_lstm"] == "forward":
            made += ["--second-lstm", "forward"]
    return f"{shlex.join(made)}\n{shlex.join(evaluate)}\n"


def _train_command(run: Path, summary: Mapping[str, Any], config: RunConfig) -> list[str]:
    """Return the words of the command that trains this run again."""
    data = summary["data"]["name"]
    train = ["bioq", "train", data, "--out", run.name, "--model", str(config.model["name"])]
    if config.fold is not None:
        train += ["--fold", config.fold]
    options = dict(config.training)
    flags = dict(options.get("sizes") or {}) | (
        {"motifs": options["motifs"]} if options.get("motifs") else {}
    )
    defaults = asdict(TrainConfig())
    flags |= {
        name: options[name]
        for name, default in defaults.items()
        if name in options and options[name] != default
    }
    for name, value in flags.items():
        flag = name.replace("_", "-")
        if value is True or value is False:
            train.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            train += [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
    return train


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]


def _cell(value: Any) -> str:
    """Return a cell of an extra table as text: floats rounded, a missing value as a dash."""
    if isinstance(value, float):
        return number(value)
    return "–" if value is None else str(value)


def _write(file: Path, content: bytes) -> None:
    with new_file(file) as partial:
        partial.write_bytes(content)
