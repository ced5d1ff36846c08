"""The form that explains a target: contributions or mutagenesis of one window, or of a variant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.files.text import split_lines
from bioq.genome.notation import Interval, VariantText, parse_variant
from bioq.inputs import WindowBatch
from bioq.web.answers import Alleles, Predictions
from bioq.web.bodies import read_form
from bioq.web.contribution_jobs import contribute_variant_job, contribute_window_job
from bioq.web.jobs import Job, NoSuchJob
from bioq.web.links import opened
from bioq.web.pages.render import go_to, render
from bioq.web.pages.sequence import read_windows, window_number
from bioq.web.pools import pools_of
from bioq.web.repeat import Repeat, fields_of_link, keep_request
from bioq.web.request import refusal_status, service_of, typed_number
from bioq.web.service import Service

METHODS = {"contributions": "/api/attribution", "mutagenesis": "/api/mutagenesis"}
"""Method -> the path of the API that has it."""
SPANS = ("bin", "window")
_MOST_QUOTED = 40

router = APIRouter()


@dataclass(frozen=True)
class Asked:
    """The fields of the form, as text."""

    text: str = ""
    window: str = "1"
    target: str = ""
    method: str = "contributions"
    span: str = "bin"
    pad: str = ""

    def check(self, service: Service) -> None:
        """Raise BioqError for a target, method or span that there is not."""
        self.target_number(service)
        for name, choices in {"method": tuple(METHODS), "span": SPANS}.items():
            if getattr(self, name) not in choices:
                given = _quoted(getattr(self, name))
                raise BioqError(f"{name} {given}: expected {' or '.join(choices)}")

    def target_number(self, service: Service) -> int:
        """Return the number of the target. Raises BioqError for a name that no target has."""
        names = list(service.targets[NAME])
        if self.target not in names:
            raise BioqError(
                f"there is no target {_quoted(self.target)}; choose one of the {len(names):,}"
            )
        return names.index(self.target)

    def span_bp(self, service: Service) -> int:
        return service.window_bp if self.span == "window" else service.bin_bp


@router.get("/explain")
def form(request: Request) -> Response:
    """Show the form, filled in by a link."""
    service, query = service_of(request), request.query_params
    asked = _asked(service, query)
    error = ""
    if query:
        try:
            asked.check(service)
        except BioqError as fault:
            error = str(fault)
    return _form(request, asked, error=error, status=422 if error else 200, **opened(request))


@router.post("/explain")
async def explain(request: Request) -> Response:
    """Start what the form asks for, or show it again with the error."""
    service = service_of(request)
    async with read_form(request) as form:
        asked = _asked(service, {name: str(value) for name, value in form.items()})
    try:
        job = await pools_of(request).inputs.run(_start, service, asked)
    except BioqError as error:
        return _form(request, asked, error=str(error), status=refusal_status(error))
    return await go_to(job, service.limits.direct_seconds)


def start(service: Service, job: Job, method: str, fields: Mapping[str, str]) -> Job:
    """Queue the form of a result: `window` counted from 1, `target` from 0, `span` "bin" or
    "window". Raises BioqError for an unknown window or target, and Busy."""
    if job.kind != "sequence" or job.state != "done":
        raise BioqError("only a predicted window can be explained; predict it first")
    predictions: Predictions = job.answer
    number = window_number(fields.get("window", ""), len(predictions.windows))
    asked = Asked(
        **_input_of(job),
        window=str(number + 1),
        target=_target_name(service, fields.get("target", "")),
        method=method,
        span="window" if fields.get("span") == "window" else "bin",
    )
    started = _explain_window(service, asked, predictions.windows, number)
    started.back = f"/jobs/{job.id}?window={number + 1}"
    return started


def start_allele(service: Service, job: Job, number: str, fields: Mapping[str, str]) -> Job:
    """Queue the contributions of an allele of a result, counted from 1, to `target`, counted from
    0. Raises NoSuchJob for another allele, BioqError for an unknown target, and Busy."""
    if job.kind != "variants" or job.state != "done":
        raise NoSuchJob("this job has no alleles; expected a finished job of variants")
    alleles: Alleles = job.answer
    row = typed_number(number, len(alleles))
    if not row:
        raise NoSuchJob(f"there is no allele {number[:20]!r}; the job has 1 to {len(alleles):,}")
    columns = (str(alleles.columns[name][row - 1]) for name in ("chrom", "pos", "id", "ref", "alt"))
    variant = VariantText(*columns)
    target = _target_name(service, fields.get("target", ""))
    started = _explain_variant(service, Asked(str(variant), target=target), variant)
    started.back = f"/jobs/{job.id}" + (f"/alleles/{row}" if len(alleles) > 1 else "")
    return started


def _asked(service: Service, fields: Mapping[str, str]) -> Asked:
    known = {name: fields[name] for name in Asked.__dataclass_fields__ if name in fields}
    return Asked(**{"target": str(service.targets[NAME].iloc[0]), **known})


def _start(service: Service, asked: Asked) -> Job:
    asked.check(service)
    variant = _variant_of(asked.text)
    if variant is not None:
        started = _explain_variant(service, asked, variant)
    else:
        windows = read_windows(service, asked.text, bool(asked.pad))
        number = window_number(asked.window, len(windows))
        started = _explain_window(service, asked, windows, number)
    started.back = "/explain"
    return started


def _variant_of(text: str) -> VariantText | None:
    """Return the variant that a text is; None for sequences, regions and several lines."""
    is_line = len(split_lines(text.strip())) == 1
    variant = parse_variant(text) if is_line else None
    return variant if variant is not None and variant.pos.isdecimal() else None


def _explain_window(service: Service, asked: Asked, windows: WindowBatch, number: int) -> Job:
    target, span_bp = asked.target_number(service), asked.span_bp(service)
    if asked.method == "mutagenesis":
        job = service.mutate_job(windows, number, target, span_bp)
    else:
        job = contribute_window_job(service, windows, number, target, span_bp)
    columns = {name: values[number] for name, values in windows.columns.items()}
    if "chrom" in columns:
        region = Interval(str(columns["chrom"]), int(columns["start"]), int(columns["end"]))
        place = {"region": str(region)}
    else:
        place = {"sequence": dna.decode(windows.codes[number])}
    job.again = _again(job, asked, {**place, "span_bp": span_bp})
    return job


def _explain_variant(service: Service, asked: Asked, variant: VariantText) -> Job:
    if asked.method != "contributions":
        raise BioqError(
            "mutagenesis is of a sequence or a region; choose contributions for a variant"
        )
    span_bp = asked.span_bp(service)
    job = contribute_variant_job(service, variant, asked.target_number(service), span_bp)
    job.again = _again(job, asked, {"variant": str(variant), "span_bp": span_bp})
    return job


def _again(job: Job, asked: Asked, place: Mapping[str, object]) -> Repeat:
    fields = {} if not asked.text else fields_of_link(**vars(asked))
    request = json.dumps({**place, "target": asked.target})
    api = METHODS[asked.method]
    return keep_request(job.folder, "/explain", fields, api, "request.json", request)


def _input_of(job: Job) -> dict[str, str]:
    """Return the text of a job's form and its option, if a link may have room for it."""
    fields = {} if job.again is None else job.again.fields
    return {"text": fields.get("text", ""), "pad": fields.get("pad", "")}


def _target_name(service: Service, text: str) -> str:
    count = len(service.targets)
    target = typed_number(text, count - 1)
    if target is None:
        raise BioqError(f"there is no target {text[:20]!r}; choose one of the {count:,}")
    return str(service.targets[NAME].iloc[target])


def _form(
    request: Request,
    asked: Asked,
    *,
    error: str = "",
    status: int = 200,
    note: str = "",
    starts: bool = False,
) -> Response:
    return render(
        request,
        "explain.html.j2",
        status=status,
        asked=asked,
        error=error,
        note=note,
        starts=starts and not error,
        methods=METHODS,
        names=list(service_of(request).targets[NAME]),
        known=service_of(request).known_window,
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…")
