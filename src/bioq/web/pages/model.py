"""The page of the model: its network, targets, training and scores."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from bioq.dataset.targets import NAME
from bioq.evaluation.rate_remarks import rate_remarks
from bioq.evaluation.summary import Evaluation
from bioq.evaluation.table import evaluation_remarks, evaluation_table, same_remarks
from bioq.metrics import number
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
from bioq.runs.folder import has_history, read_config
from bioq.runs.trained_model import load
from bioq.web.evaluated import evaluation_in, evaluation_of
from bioq.web.pages.annotation import annotation_of
from bioq.web.pages.render import DRAWING, render
from bioq.web.request import service_of

_SCORES = {
    "roc_auc": "ROC AUC, constant 0.5",
    "average_precision": "average precision",
    "positive_rate": "its constant",
    "positives": "positives",
}
"""Columns of the table of targets -> their headings; a constant has the share of positives."""

_WIDE = 8.0
"""Inches; a figure of this width has text of 5 points on a phone."""

router = APIRouter()


@dataclass(frozen=True)
class _Shown:
    """A figure and its SVG for the page."""

    drawn: Drawn
    svg: Markup

    @property
    def is_wide(self) -> bool:
        """Whether the figure scrolls sideways on a phone, on which its text would be too small."""
        return bool(self.drawn.figure.get_size_inches()[0] > _WIDE)


@router.get("/model")
def show(request: Request) -> Response:
    """Show the model."""
    service = service_of(request)
    found = evaluation_of(service.folder)
    evaluation = found.evaluation if found else None
    with DRAWING:
        making = _making_figures(service.folder)
        quality = _quality_figures(found.folder, found.stamp) if found else []
    targets, scores = _target_table(service.targets, evaluation)
    return render(
        request,
        "model.html.j2",
        layers=None if service.config.members else _summary(service.folder).table(),
        settings=settings(service.folder, service.config),
        windows=service.config.data.get("windows", {}),
        evaluation=evaluation.summary if evaluation else None,
        scores=evaluation_table(evaluation.summary) if evaluation else [],
        remarks=evaluation_remarks(evaluation.summary) if evaluation else [],
        rates=list(rate_remarks(evaluation.summary)) if evaluation else [],
        warnings=list(same_remarks(evaluation.summary)) if evaluation else [],
        quality=quality,
        making=making,
        targets=targets,
        score_names=scores,
        annotation=annotation_of(service.targets),
        number=number,
    )


@lru_cache(maxsize=4)
def _summary(folder: Path) -> Summary:
    """Return the network's layers, from a second copy of the model: the queue uses the first."""
    return summarise(load(folder).network)


@lru_cache(maxsize=4)
def _quality_figures(folder: Path, stamp: int) -> list[_Shown]:
    """Draw the figures of an evaluation, once for each `stamp`, the time it was written."""
    evaluation = evaluation_in(folder, stamp)
    figures = [*figures_of_scores(evaluation), *figures_of_published(evaluation.per_target)]
    return _shown(figures)


@lru_cache(maxsize=4)
def _making_figures(folder: Path) -> list[_Shown]:
    """Draw the training of a run, if it has a history, and its network; nothing of an ensemble."""
    drawn: list[Drawn] = []
    config = read_config(folder)
    if config.members:
        return []
    if has_history(folder):
        drawn += figures_of_training(folder, config)
    return _shown([*drawn, figure_of_model(_summary(folder))])


def _shown(figures: list[Drawn]) -> list[_Shown]:
    return [
        _Shown(drawn, Markup(inline_svg(to_svg(drawn.figure), name=drawn.name, title=drawn.title)))
        for drawn in figures
    ]


def _target_table(
    targets: pd.DataFrame, evaluation: Evaluation | None
) -> tuple[list[dict[str, object]], list[tuple[str, str]]]:
    """Return one row per target, its annotation and, if it was evaluated, its scores, each in a
    field of its own, and the scores' headings."""
    columns: list[tuple[str, str]] = []
    scores: list[dict[Hashable, object]] = [{}] * len(targets)
    if evaluation is not None and list(evaluation.per_target[NAME]) == list(targets[NAME]):
        table = evaluation.per_target
        columns = [(name, text) for name, text in _SCORES.items() if name in table]
        scores = table[[name for name, _ in columns]].to_dict("records")
    return [
        {"annotation": annotation, "scores": of_target}
        for annotation, of_target in zip(targets.to_dict("records"), scores, strict=True)
    ], columns
