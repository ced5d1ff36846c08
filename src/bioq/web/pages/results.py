"""The page of a job: its progress, then its result; and the files of the result."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from bioq.web.bodies import read_form
from bioq.web.contribution_jobs import find_named_sites
from bioq.web.downloads import Download, download
from bioq.web.jobs import Job, JobBook, NoSuchJob
from bioq.web.pages import contributions, explain, figures, mutagenesis, sequence, variant
from bioq.web.pages.render import go_to, render
from bioq.web.pools import pools_of
from bioq.web.request import service_of
from bioq.web.service import Service

Show = Callable[[Request, Service, Job], Response]
VIEWS: Mapping[str, Show] = {
    "sequence": sequence.show,
    "mutagenesis": mutagenesis.show,
    "contributions": contributions.show,
    "variants": variant.show,
}
"""The page of a result, by the kind of its job."""
_HEADINGS = {
    "cancelled": "Cancelled",
    "failed": "That did not work",
}
CANCEL_SECONDS = 1.0
"""Seconds that the page waits for the work to stop at its next step."""

router = APIRouter()


@router.get("/jobs/{id}")
async def show_job(request: Request, id: str) -> Response:
    """Answer with a job's result, its progress, or the reason why it has no result."""
    service = service_of(request)
    job = service.jobs.find(id)
    if job.state == "done":
        if job.kind == "contributions":
            service.motif_names.prepare()
            if service.motif_names.is_ready:
                await pools_of(request).motifs.run(find_named_sites, service, job.answer)
        return await pools_of(request).results.run(VIEWS[job.kind], request, service, job)
    state = job.state
    return render(
        request,
        "job.html.j2",
        job=job,
        heading=_HEADINGS.get(state, "In progress"),
        line=_line(service.jobs, job),
        ended=state in ("failed", "cancelled"),
    )


@router.get("/jobs/{id}/state")
async def job_state(request: Request, id: str) -> dict[str, Any]:
    """Answer with a job's progress, for the page that shows it."""
    jobs = service_of(request).jobs
    job = jobs.find(id)
    return {"state": job.state, "done": job.done, "line": _line(jobs, job)}


@router.post("/jobs/{id}/cancel")
async def cancel_job(request: Request, id: str) -> Response:
    """Stop a job and answer with its page."""
    job = service_of(request).jobs.cancel(id)
    return await go_to(job, CANCEL_SECONDS)


@router.get("/jobs/{id}/result.{ending}")
async def job_result(request: Request, id: str, ending: str) -> Response:
    """Answer with a job's result as a table."""
    service = service_of(request)
    return await download(service, pools_of(request), service.jobs.find(id), ending)


@router.get("/jobs/{id}/request")
async def job_request(request: Request, id: str) -> Response:
    """Answer with the request to the API that repeats a job."""
    job = service_of(request).jobs.find(id)
    if job.again is None or not job.again.is_kept:
        raise NoSuchJob("this job has no request to download")
    return Download(job.folder / job.again.file, filename=job.again.file)


@router.get("/jobs/{id}/figure.{ending}")
async def job_figure(request: Request, id: str, ending: str) -> Response:
    """Answer with the figure of a mutagenesis or of contributions."""
    job = service_of(request).jobs.find(id)
    return await pools_of(request).results.run(figures.figure, job, ending)


@router.post("/jobs/{id}/mutagenesis")
async def mutate_window(request: Request, id: str) -> Response:
    """Start the mutagenesis of a window of a job, for one target."""
    return await _explain(request, id, "mutagenesis")


@router.post("/jobs/{id}/contributions")
async def explain_window(request: Request, id: str) -> Response:
    """Start the contributions of a window of a job, for one target."""
    return await _explain(request, id, "contributions")


async def _explain(request: Request, id: str, method: str) -> Response:
    service = service_of(request)
    async with read_form(request) as form:
        fields = {name: str(value) for name, value in form.items()}
    job = await pools_of(request).inputs.run(
        explain.start, service, service.jobs.find(id), method, fields
    )
    return await go_to(job, service.limits.direct_seconds)


@router.post("/jobs/{id}/alleles/{number}/contributions")
async def explain_allele(request: Request, id: str, number: str) -> Response:
    """Start the contributions of the two alleles of a variant of a job, for one target."""
    service = service_of(request)
    async with read_form(request) as form:
        fields = {name: str(value) for name, value in form.items()}
    job = await pools_of(request).inputs.run(
        explain.start_allele, service, service.jobs.find(id), number, fields
    )
    return await go_to(job, service.limits.direct_seconds)


def _line(jobs: JobBook, job: Job) -> str:
    """Return a line about a job's progress, or about its end."""
    if job.state in ("failed", "cancelled"):
        return job.error or "The job was cancelled; there is no result."
    if before := jobs.ahead(job):
        return f"{before:,} {'job' if before == 1 else 'jobs'} before yours"
    if job.done:
        return f"{job.done:,} of {job.total:,} {job.units}"
    queued = "; next in the queue" if job.work and job.state == "waiting" else ""
    return f"{job.total:,} {job.units}{queued}"
