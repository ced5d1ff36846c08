"""The page of a mutagenesis: the effect of every substitution in a window on one target."""

from collections.abc import Mapping

import numpy as np
from fastapi import Request
from starlette.responses import FileResponse, Response

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.interpretation.writing import REFERENCE
from bioq.plots.interpretation import write_effects_figure
from bioq.web.answers import Mutagenesis, Predictions
from bioq.web.jobs import Job, NoSuchJob
from bioq.web.pages.render import DRAWING, render
from bioq.web.pages.sequence import window_number
from bioq.web.positive_rates import positive_rates
from bioq.web.request import typed_number
from bioq.web.service import Service

MOST_LISTED = 10
_FIGURES = {"svg": "image/svg+xml", "png": "image/png"}


def start(service: Service, job: Job, fields: Mapping[str, str]) -> Job:
    """Queue the mutagenesis of a form: `window` counted from 1, `target` from 0, `span` "bin" or
    "window". Raises BioqError for an unknown window or target, and Busy."""
    if job.kind != "sequence" or job.state != "done":
        raise BioqError("only a predicted window can be mutated; predict it first")
    predictions: Predictions = job.answer
    number = window_number(fields.get("window", ""), len(predictions.windows))
    text, count = fields.get("target", ""), len(service.targets)
    target = typed_number(text, count - 1)
    if target is None:
        raise BioqError(f"there is no target {text[:20]!r}; choose one of the {count:,}")
    span_bp = service.window_bp if fields.get("span") == "window" else service.bin_bp
    started = service.mutate_job(predictions.windows, number, target, span_bp)
    started.back = f"/jobs/{job.id}?window={number + 1}"
    return started


def show(request: Request, service: Service, job: Job) -> Response:
    """Show the heat map of a mutagenesis, and its strongest substitutions."""
    result: Mutagenesis = job.answer
    scores = result.explanation.scores[REFERENCE]
    rates = positive_rates(service)
    number = list(service.targets[NAME]).index(result.target)
    return render(
        request,
        "mutagenesis.html.j2",
        job=job,
        result=result,
        reference=float(scores[0]),
        rates=rates,
        rate=None if rates is None else float(rates.rate[number]),
        strongest=_strongest(result),
    )


def figure(job: Job, ending: str) -> FileResponse:
    """Answer with the heat map as .svg or .png.

    Raises NoSuchJob for another ending, and for a job without a heat map.
    """
    if ending not in _FIGURES or job.kind != "mutagenesis" or job.state != "done":
        raise NoSuchJob(
            f"there is no figure.{ending}; expected .svg or .png of a finished mutagenesis"
        )
    result: Mutagenesis = job.answer
    file = job.folder / f"figure.{ending}"
    with job.writing:
        if not file.exists():
            with DRAWING:
                write_effects_figure(file, [result.explanation], [result.target])
    name = f"bioq-mutagenesis.{ending}"
    return FileResponse(file, media_type=_FIGURES[ending], filename=name)


def _strongest(result: Mutagenesis) -> list[tuple[int, str, str, float]]:
    """Return the substitutions with the largest effects: (position from 1, ref, alt, change)."""
    explained = result.explanation.locus
    values = result.explanation.values[:, :, 0]
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:MOST_LISTED]
    bases, columns = np.unravel_index(order, values.shape)
    return [
        (
            int(explained.position[column]) + 1,
            dna.decode(explained.bases[[column]]),
            dna.BASES[base],
            float(values[base, column]),
        )
        for base, column in zip(bases, columns, strict=True)
        if values[base, column] != 0
    ]
