"""The page of the model: what it is, what it predicts, how it was trained, how good it is."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from bioq.dataset.targets import NAME
from bioq.evaluation.files import (
    FOLDER,
    SUMMARY,
    Evaluation,
    evaluation_table,
    number,
    read_evaluation,
)
from bioq.models.summary import Summary, summarise
from bioq.plots.run import (
    Drawn,
    figure_of_model,
    figures_of_published,
    figures_of_scores,
    figures_of_training,
    settings,
)
from bioq.plots.style import inline_svg, to_svg
from bioq.runs.folder import HISTORY, load, read_config
from bioq.web.pages.annotation import annotation_of
from bioq.web.pages.render import DRAWING, render
from bioq.web.request import service_of

_SCORES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "positives": "positives",
}

router = APIRouter()


@dataclass(frozen=True)
class _Shown:
    """A figure as the page shows it."""

    drawn: Drawn
    svg: Markup


@router.get("/model")
def show(request: Request) -> Response:
    """Show the model."""
    service = service_of(request)
    summary_file = service.folder / FOLDER / SUMMARY
    found = read_evaluation(service.folder) if summary_file.is_file() else None
    with DRAWING:
        making = _making_figures(service.folder)
        quality = _quality_figures(service.folder, summary_file.stat().st_mtime_ns) if found else []
    targets, scores = _target_table(service.targets, found)
    return render(
        request,
        "model.html.j2",
        layers=_summary(service.folder).table(),
        settings=settings(service.config),
        windows=service.config.data.get("windows", {}),
        evaluation=found.summary if found else None,
        scores=evaluation_table(found.summary) if found else [],
        quality=quality,
        making=making,
        targets=targets,
        score_names=scores,
        annotation=annotation_of(service.targets),
        number=number,
    )


@lru_cache(maxsize=4)
def _summary(folder: Path) -> Summary:
    """Return the network's layers, from weights of their own: the desk's model is in use."""
    return summarise(load(folder))


@lru_cache(maxsize=4)
def _quality_figures(folder: Path, stamp: int) -> list[_Shown]:
    """Draw what an evaluation found, once for each (`stamp`: when it was written)."""
    found = read_evaluation(folder)
    return _shown([*figures_of_scores(found), *figures_of_published(found.per_target)])


@lru_cache(maxsize=4)
def _making_figures(folder: Path) -> list[_Shown]:
    """Draw a run's training, where it kept a history, and its network."""
    drawn: list[Drawn] = []
    if (folder / HISTORY).is_file():
        drawn += figures_of_training(folder, read_config(folder))
    return _shown([*drawn, figure_of_model(_summary(folder))])


def _shown(figures: list[Drawn]) -> list[_Shown]:
    return [
        _Shown(one, Markup(inline_svg(to_svg(one.figure), name=one.name, title=one.title)))
        for one in figures
    ]


def _target_table(
    targets: pd.DataFrame, found: Evaluation | None
) -> tuple[list[dict[str, object]], list[tuple[str, str]]]:
    """Return a row a target, with its scores where it was evaluated, and the scores' headings."""
    shown = targets
    columns: list[tuple[str, str]] = []
    if found is not None and list(found.per_target[NAME]) == list(targets[NAME]):
        columns = [(name, text) for name, text in _SCORES.items() if name in found.per_target]
        scores = found.per_target[[name for name, _ in columns]].add_prefix("score_")
        shown = pd.concat([targets, scores], axis=1)
    return [
        {str(name): value for name, value in row.items()} for row in shown.to_dict("records")
    ], columns
