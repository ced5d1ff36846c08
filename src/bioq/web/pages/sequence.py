"""The first page: predict the targets of DNA or of a region."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

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
from bioq.web.links import opened, share
from bioq.web.pages.annotation import annotation_of
from bioq.web.pages.render import go_to, render
from bioq.web.pages.track import MOST_LETTERS, tracks_of
from bioq.web.pools import pools_of
from bioq.web.positive_rates import positive_rates
from bioq.web.repeat import fields_of_link, keep_request, windows_request
from bioq.web.request import refusal_status, service_of, typed_number
from bioq.web.service import Service
from bioq.web.visitor_input import is_like_region

MOST_CHARTED = 20
_LABELS = ("cell", "assay", "group")
"""Columns of a target table that are added to the label of a bar."""
OPTION_LETTERS = 20
"""Letters of a target's name in the list to choose from, for which a phone has room."""
_LINE_BP = 60
_EXAMPLE_BINS = 5
MOST_WINDOW = 10**6

router = APIRouter()


@dataclass(frozen=True)
class Example:
    """An example that a visitor can try."""

    key: str
    name: str
    text: str


@router.get("/")
def form(request: Request) -> Response:
    """Show the form; `?example=` fills it without a script, and a link to a result too."""
    service, query = service_of(request), request.query_params
    texts = {item.key: item.text for item in _examples(service)}
    example = texts.get(query.get("example", ""), "")
    return _form(
        request,
        query.get("text", example),
        pad="pad" in query,
        more=_view(query),
        **opened(request),
    )


@router.post("/sequence")
async def predict(request: Request) -> Response:
    """Predict the text of the form, or show the form again with the error."""
    service = service_of(request)
    async with read_form(request) as form:
        text, pad = str(form.get("text", "")), "pad" in form
        view = _view({name: str(value) for name, value in form.items()})
    try:
        job = await pools_of(request).inputs.run(_start, service, text, pad)
    except BioqError as error:
        status = refusal_status(error)
        return _form(request, text, pad=pad, error=str(error), status=status)
    return await go_to(job, service.limits.direct_seconds, query=view)


def show(request: Request, service: Service, job: Job) -> Response:
    """Show the predictions of one window of a job, `?window=`, counted from 1."""
    predictions: Predictions = job.answer
    windows = len(predictions.windows)
    number = window_number(request.query_params.get("window", "1"), windows)
    view = _view(request.query_params)
    probability = predictions.probability[number]
    order = np.argsort(-probability, kind="stable")
    names = short_names(list(service.targets[NAME]), OPTION_LETTERS)
    rates = positive_rates(service)
    annotation = annotation_of(service.targets)
    address = f"/jobs/{job.id}?" + urlencode({**view, "window": ""})
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
    tracks = tracks_of(
        predictions,
        service,
        annotation,
        text=view.get("show", ""),
        window=number,
        address=address,
    )
    return render(
        request,
        "sequence_result.html.j2",
        status=422 if tracks is not None and tracks.error else 200,
        job=job,
        number=number,
        title=predictions.title(number),
        overview=_overview(predictions, service),
        n_share=float(predictions.windows.columns[N_SHARE][number]),
        top=[(_label(row["annotation"]), row) for row in targets[:MOST_CHARTED]],
        targets=targets,
        rates=rates,
        annotation=annotation,
        tracks=tracks,
        address=address,
        share=share(request, job, **view),
    )


def window_number(text: str, count: int) -> int:
    """Return the number of a window, counted from 0. Raises BioqError for an unknown number."""
    number = typed_number(text, count)
    if not number:
        raise BioqError(f"there is no window {text[:20]!r}; the result has 1 to {count:,}")
    return number - 1


def read_windows(service: Service, text: str, pad: bool) -> WindowBatch:
    """Read regions if the first line looks like a region, else sequences."""
    if is_like_region(text, service.genome):
        return service.read_regions(text)
    return service.read_sequences(text, pad=pad)


def _start(service: Service, text: str, pad: bool) -> Job:
    """Queue the predictions of a text, and keep the request that repeats it."""
    job = service.predict_job(read_windows(service, text, pad))
    is_regions = is_like_region(text, service.genome)
    asked = windows_request(text, is_regions=is_regions, pad=pad)
    fields = fields_of_link(text=text, pad="on" if pad else "")
    job.again = keep_request(job.folder, "/", fields, "/api/predict", "request.json", asked)
    return job


def _view(query: Mapping[str, str]) -> dict[str, str]:
    """Return what of a result is shown: the window, if it is not the first, and the targets of the
    tracks."""
    given = {name: query.get(name, "").strip() for name in ("window", "show")}
    if typed_number(given["window"], MOST_WINDOW) in (None, 0, 1):
        given["window"] = ""
    return {name: text[:MOST_LETTERS] for name, text in given.items() if text}


def _form(
    request: Request,
    text: str,
    *,
    pad: bool = False,
    error: str = "",
    status: int = 200,
    more: Mapping[str, str] | None = None,
    note: str = "",
    starts: bool = False,
) -> Response:
    return render(
        request,
        "sequence.html.j2",
        status=status,
        text=text,
        pad=pad,
        error=error,
        more=more or {},
        note=note,
        starts=starts,
        examples=_examples(service_of(request)),
        known=service_of(request).known_window,
    )


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
