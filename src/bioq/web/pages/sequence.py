"""The first page: predict the targets of DNA or of a region."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.inputs import WindowBatch
from bioq.inputs.windows import N_SHARE
from bioq.plots.names import short_names
from bioq.web.answers import Predictions
from bioq.web.bodies import read_form
from bioq.web.jobs import Job
from bioq.web.pages.annotation import annotation_of
from bioq.web.pages.render import go_to, render
from bioq.web.pools import pools_of
from bioq.web.positive_rates import positive_rates
from bioq.web.request import refusal_status, service_of, typed_number
from bioq.web.service import Service
from bioq.web.visitor_input import is_like_region

MOST_CHARTED = 20
_LABELS = ("cell", "assay", "group")
"""Columns of a target table that are added to the label of a bar."""
_OPTION_LETTERS = 20
"""Letters of a target's name in the list to choose from, for which a phone has room."""
_LINE_BP = 60
_EXAMPLE_BINS = 5

router = APIRouter()


@dataclass(frozen=True)
class Example:
    """An example that a visitor can try."""

    key: str
    name: str
    text: str


@router.get("/")
def form(request: Request, example: str = "") -> Response:
    """Show the form; `?example=` fills it without a script."""
    texts = {item.key: item.text for item in _examples(service_of(request))}
    return _form(request, texts.get(example, ""))


@router.post("/sequence")
async def predict(request: Request) -> Response:
    """Predict the text of the form, or show the form again with the error."""
    service = service_of(request)
    async with read_form(request) as form:
        text, pad = str(form.get("text", "")), "pad" in form
    try:
        windows = await pools_of(request).inputs.run(_read, service, text, pad)
        job = service.predict_job(windows)
    except BioqError as error:
        status = refusal_status(error)
        return _form(request, text, pad=pad, error=str(error), status=status)
    return await go_to(job, service.limits.direct_seconds)


def show(request: Request, service: Service, job: Job) -> Response:
    """Show the predictions of one window of a job, `?window=`, counted from 1."""
    predictions: Predictions = job.answer
    windows = len(predictions.windows)
    number = window_number(request.query_params.get("window", "1"), windows)
    probability = predictions.probability[number]
    order = np.argsort(-probability, kind="stable")
    names = short_names(list(service.targets[NAME]), _OPTION_LETTERS)
    rates = positive_rates(service)
    annotation = annotation_of(service.targets)
    targets: list[dict[str, Any]] = [
        {
            "annotation": service.targets.iloc[target].to_dict(),
            "target": int(target),
            "p": probability[target],
            "rate": None if rates is None else float(rates.rate[target]),
            "option": names[target],
        }
        for target in order
    ]
    return render(
        request,
        "sequence_result.html.j2",
        job=job,
        number=number,
        title=predictions.title(number),
        overview=_overview(predictions, service),
        n_share=float(predictions.windows.columns[N_SHARE][number]),
        top=[(_label(row["annotation"]), row) for row in targets[:MOST_CHARTED]],
        targets=targets,
        rates=rates,
        annotation=annotation,
    )


def window_number(text: str, count: int) -> int:
    """Return the number of a window, counted from 0. Raises BioqError for an unknown number."""
    number = typed_number(text, count)
    if not number:
        raise BioqError(f"there is no window {text[:20]!r}; the result has 1 to {count:,}")
    return number - 1


def _form(
    request: Request, text: str, *, pad: bool = False, error: str = "", status: int = 200
) -> Response:
    return render(
        request,
        "sequence.html.j2",
        status=status,
        text=text,
        pad=pad,
        error=error,
        examples=_examples(service_of(request)),
        known=service_of(request).known_window,
    )


def _read(service: Service, text: str, pad: bool) -> WindowBatch:
    """Read regions if the first line looks like a region, else sequences."""
    if is_like_region(text, service.genome):
        return service.read_regions(text)
    return service.read_sequences(text, pad=pad)


def _overview(predictions: Predictions, service: Service) -> list[tuple[str, str, float]]:
    """Return the title, the most probable target and its probability for each window."""
    best = predictions.probability.argmax(axis=1)
    names = service.targets[NAME]
    return [
        (
            predictions.title(number),
            str(names.iloc[target]),
            float(predictions.probability[number, target]),
        )
        for number, target in enumerate(best)
    ]


def _label(row: Mapping[str, object]) -> str:
    """Return a target's name with its cell, assay and group, unless the name contains them."""
    name = str(row[NAME])
    more = [str(row[column]) for column in _LABELS if row.get(column)]
    return ", ".join([name, *(text for text in more if text not in name)])


def _examples(service: Service) -> list[Example]:
    """Return a window of the genome as DNA and regions from it on; without a genome, random DNA."""
    window_bp, window = service.window_bp, service.known_window
    examples = []
    if window is not None:
        regions = Example("region", "Example region", str(window.region(_EXAMPLE_BINS)))
        examples.append(regions)
    if window is not None and window.is_known:
        start, end = window.start + 1, window.start + window_bp
        text = _fasta(f"{window.contig}_{start}_{end}", window.codes)
        return [Example("sequence", "Example sequence", text), *examples]
    codes = np.random.default_rng(0).integers(0, 4, window_bp).astype(np.uint8)
    return [Example("sequence", "Example: random bases", _fasta("random", codes)), *examples]


def _fasta(name: str, codes: dna.Bytes) -> str:
    bases = dna.decode(codes)
    lines = [bases[start : start + _LINE_BP] for start in range(0, len(bases), _LINE_BP)]
    return "\n".join([f">{name}", *lines])
