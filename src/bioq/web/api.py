"""The REST API: parse the request, call the service, wait without blocking a thread, answer."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from bioq.dataset.targets import NAME, select_targets
from bioq.errors import BioqError, UsageError
from bioq.genome.vcf import Variant
from bioq.inputs import WindowBatch
from bioq.variants import BACKGROUND_SCORES, MEMBER_SCORES, SCORES
from bioq.web import api_explanations, schemas
from bioq.web.answers import Alleles, Floats, Predictions
from bioq.web.api_parts import ERRORS, finished, numbers_of, refusals
from bioq.web.bodies import JsonRoute
from bioq.web.downloads import TYPES, Ending, download
from bioq.web.evaluated import evaluation_of
from bioq.web.jobs import Job
from bioq.web.pools import pools_of
from bioq.web.positive_rates import positive_rates
from bioq.web.request import service_of
from bioq.web.service import Service

router = APIRouter(prefix="/api", tags=["API"])
_json = APIRouter(route_class=JsonRoute)

Numbers = npt.NDArray[np.int64]


@_json.post("/predict", responses=ERRORS)
async def predict(body: schemas.PredictRequest, request: Request) -> schemas.PredictAnswer:
    """Probability of every target for sequences or regions."""
    service = service_of(request)
    chosen, windows = await pools_of(request).inputs.run(_read_windows, service, body)
    predictions = await asyncio.wrap_future(service.predict(windows))
    return await pools_of(request).inputs.run(_predicted, service, chosen, predictions)


@_json.post("/variants", responses=ERRORS)
async def variants(body: schemas.VariantsRequest, request: Request) -> schemas.VariantsAnswer:
    """Effect of variants on every target."""
    service = service_of(request)
    chosen, alleles = await pools_of(request).inputs.run(_read_alleles, service, body)
    job = service.score_job(alleles, len(alleles), "variants", score_swapped=body.score_swapped)
    try:
        scored = await finished(job)
        return await pools_of(request).inputs.run(_scored, service, chosen, scored)
    finally:
        service.jobs.remove(job.id)


_json.include_router(api_explanations.router)
router.include_router(_json)


@router.get("/model")
def model(request: Request) -> schemas.ModelAnswer:
    """The model, its targets and its scores."""
    service = service_of(request)
    rows, rates = service.targets.to_dict("records"), positive_rates(service)
    limits = schemas.LimitsAnswer.model_validate(service.limits, from_attributes=True)
    build = None if service.genome is None else service.genome.build
    return schemas.ModelAnswer(
        name=service.run,
        architecture=dict(service.config.model),
        window_bp=service.window_bp,
        bin_bp=service.bin_bp,
        targets=[{str(key): cell for key, cell in row.items()} for row in rows],
        positive_rate=None if rates is None else rates.rate.tolist(),
        members=[str(entry["name"]) for entry in service.config.members],
        trained_on=service.config.genome_build or None,
        has_genome=service.genome is not None,
        genome_build=None if build is None else build.name,
        background_variants=None if service.background is None else service.background.variants,
        evaluation=_evaluation(service),
        limits=limits,
    )


@router.post(
    "/jobs",
    status_code=202,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **ERRORS,
        **refusals(415),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A VCF, text or gzip",
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def start_job(
    request: Request, response: Response, score_swapped: schemas.ScoreSwapped = False
) -> schemas.JobAnswer:
    """Start a job that scores a VCF, text or gzip."""
    service = service_of(request)
    upload = await request.body()
    _refuse_content_type(request.headers.get("content-type", ""), upload)
    title = "a VCF sent to the API"
    job = await pools_of(request).uploads.run(
        service.score_vcf_job, upload, title, score_swapped=score_swapped
    )
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return _job_answer(service, job)


def _refuse_content_type(content_type: str, upload: bytes) -> None:
    """Raise HTTPException 415 for a body that is a form, JSON, or a file without its line ends.

    curl sends a file with the type of a form, also with --data-binary. With -d it removes line ends
    and zero bytes, of which a text has the former and gzip the latter.
    """
    kind = content_type.partition(";")[0].strip().lower()
    has_line_end = any(end in upload for end in (b"\n", b"\r", b"\0"))
    if kind == "application/x-www-form-urlencoded" and upload and not has_line_end:
        raise HTTPException(
            415,
            "the body has no line end: 'curl -d' and '--data-urlencode' remove or encode them; "
            "send the VCF with 'curl --data-binary @FILE'",
        )
    if kind in ("multipart/form-data", "application/json") or kind.endswith("+json"):
        raise HTTPException(
            415, f"Content-Type is {kind}; send the VCF itself: 'curl --data-binary @FILE'"
        )


@router.get("/jobs/{id}", responses=refusals(404, 422))
def job(id: str, request: Request) -> schemas.JobAnswer:
    """State and progress of a job."""
    service = service_of(request)
    return _job_answer(service, service.jobs.find(id))


@router.get(
    "/jobs/{id}/result.{ending}",
    response_class=FileResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string"}} for kind in TYPES.values()}},
        **refusals(404, 422),
    },
)
async def result(id: str, ending: Ending, request: Request) -> FileResponse:
    """The table of a finished job, as tsv, tsv.gz or parquet."""
    service = service_of(request)
    return await download(service, pools_of(request), service.jobs.find(id), ending)


@router.delete("/jobs/{id}", status_code=204, responses=refusals(403, 404, 422))
def forget_job(id: str, request: Request) -> None:
    """Cancel a job and remove its result."""
    service_of(request).jobs.remove(id)


def _read_windows(service: Service, body: schemas.PredictRequest) -> tuple[Numbers, WindowBatch]:
    chosen = select_targets(service.targets, body.targets)
    if bool(body.sequences) == bool(body.regions):
        raise UsageError("expected either 'sequences' or 'regions', with at least one of them")
    if body.regions:
        return chosen, service.read_regions("\n".join(body.regions))
    fasta = "".join(f">{item.name}\n{item.sequence}\n" for item in body.sequences)
    return chosen, service.read_sequences(fasta, pad=body.pad)


def _predicted(
    service: Service, chosen: Numbers, predictions: Predictions
) -> schemas.PredictAnswer:
    columns = predictions.windows.columns
    names = columns["sequence" if "sequence" in columns else "chrom"]
    windows = [
        schemas.PredictedWindow(
            name=names[row],
            start=columns["start"][row],
            end=columns["end"][row],
            n_share=columns["n_share"][row],
            probability=numbers_of(probability[chosen]),
        )
        for row, probability in enumerate(predictions.probability)
    ]
    return schemas.PredictAnswer(targets=_names(service, chosen), windows=windows)


def _read_alleles(service: Service, body: schemas.VariantsRequest) -> tuple[Numbers, list[Variant]]:
    chosen = select_targets(service.targets, body.targets)
    _refuse_many(service, len(body.variants))  # each has one allele or more
    alleles = service.read_variant_lines("\n".join(body.variants))
    _refuse_many(service, len(alleles))
    return chosen, alleles


def _refuse_many(service: Service, alleles: int) -> None:
    most = service.limits.direct_alleles
    if alleles > most:
        raise BioqError(
            f"{alleles:,} alleles are more than the {most:,} that are scored while you wait; "
            "send them as a VCF to /api/jobs"
        )


def _scored(service: Service, chosen: Numbers, scored: Alleles) -> schemas.VariantsAnswer:
    names = _names(service, chosen)
    scores = {name: values[:, chosen] for name, values in scored.scores(slice(None)).items()}
    alleles = []
    for row in range(len(scored)):
        values: dict[str, Any] = {
            name: scored.columns[name][row]
            for name in ("chrom", "pos", "id", "ref", "alt", "status", "genome_ref")
        }
        of_row = {name: several[row] for name, several in scores.items()}
        values |= _scores_of(of_row, names) | _ranks_of(scored, row)
        alleles.append(schemas.ScoredAllele(**values))
    return schemas.VariantsAnswer(targets=names, alleles=alleles, notes=list(scored.notes))


def _scores_of(scores: Mapping[str, Floats], names: Sequence[str]) -> dict[str, Any]:
    """Return the fields of an allele's scores, each `(targets,)`."""
    size = np.abs(scores["diff"])
    if np.isnan(size).any():
        absent = dict.fromkeys(("max_abs_diff", "top_diff", "scores", "spread", "background"))
        return {**absent, "top_target": ""}
    lists: dict[str, Any] = {name: numbers_of(values) for name, values in scores.items()}
    for name in BACKGROUND_SCORES.keys() & lists.keys():
        lists[name] = [None if math.isnan(value) else value for value in lists[name]]
    top = int(size.argmax())
    schemas_of = (
        ("scores", schemas.AlleleScores, SCORES),
        ("spread", schemas.SpreadAnswer, MEMBER_SCORES),
        ("background", schemas.BackgroundScores, BACKGROUND_SCORES),
    )
    fields: dict[str, Any] = {
        field: schema.model_validate({name: lists[name] for name in of_field})
        if of_field.keys() <= lists.keys()
        else None
        for field, schema, of_field in schemas_of
    }
    diff = lists["diff"][top]
    return {"max_abs_diff": abs(diff), "top_target": names[top], "top_diff": diff, **fields}


def _ranks_of(scored: Alleles, row: int) -> dict[str, Any]:
    """Return the fields of an allele that its rank among all targets gives; null without one."""
    columns = {name: values[row] for name, values in scored.columns.items()}
    if "evalue" not in scored.score_names or not columns["top_target"]:
        return {"score_phred": None, "background_n": None}
    has_rank = not np.isnan(columns["score_phred"])
    return {
        "top_target": columns["top_target"],
        "top_diff": numbers_of(scored.columns["top_diff"][row : row + 1])[0],
        "score_phred": float(columns["score_phred"]) if has_rank else None,
        "background_n": int(columns["background_n"]) if has_rank else None,
    }


def _evaluation(service: Service) -> schemas.EvaluationAnswer | None:
    found = evaluation_of(service.folder)
    if found is None:
        return None
    return schemas.EvaluationAnswer.model_validate(found.evaluation.summary)


def _job_answer(service: Service, job: Job) -> schemas.JobAnswer:
    return schemas.JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        total=job.total,
        before=service.jobs.ahead(job),
        error=job.error,
        notes=list(job.answer.notes) if job.state == "done" and job.kind == "variants" else [],
    )


def _names(service: Service, chosen: Numbers) -> list[str]:
    return list(service.targets[NAME].iloc[chosen])
