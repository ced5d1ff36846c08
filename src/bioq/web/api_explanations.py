"""The operations of the API that explain a prediction: mutagenesis and contributions."""

from fastapi import APIRouter, Request

from bioq import dna
from bioq.dataset.targets import select_targets
from bioq.errors import UsageError
from bioq.genome.notation import parse_variant
from bioq.inputs import WindowBatch
from bioq.interpretation.explanation import BASELINE_LOGIT, GAP, LOGIT, REFERENCE
from bioq.web.answers import Contributions, Mutagenesis
from bioq.web.api_parts import ERRORS, finished, numbers_of
from bioq.web.bodies import JsonRoute
from bioq.web.contribution_jobs import (
    contribute_variant_job,
    contribute_window_job,
    find_named_sites,
)
from bioq.web.jobs import Job
from bioq.web.pools import pools_of
from bioq.web.request import service_of
from bioq.web.schemas_explanations import (
    AttributionAnswer,
    AttributionRequest,
    ContributionsAnswer,
    Effects,
    MutagenesisAnswer,
    MutagenesisRequest,
    SiteAnswer,
)
from bioq.web.service import Service

router = APIRouter(route_class=JsonRoute)


@router.post("/mutagenesis", responses=ERRORS)
async def mutagenesis(body: MutagenesisRequest, request: Request) -> MutagenesisAnswer:
    """Effect of every substitution in a window on one target."""
    service = service_of(request)
    job = await pools_of(request).inputs.run(_start_mutagenesis, service, body)
    try:
        return _mutated(await finished(job))
    finally:
        service.jobs.remove(job.id)


@router.post("/attribution", responses=ERRORS)
async def attribution(body: AttributionRequest, request: Request) -> AttributionAnswer:
    """Contribution of every base of a window, or of a variant's two, to the logit of one target."""
    service, pools = service_of(request), pools_of(request)
    job = await pools.inputs.run(_start_attribution, service, body)
    try:
        result = await finished(job)
        await pools.motifs.run(find_named_sites, service, result)
        return await pools.inputs.run(_attributed, service, result)
    finally:
        service.jobs.remove(job.id)


def _start_mutagenesis(service: Service, body: MutagenesisRequest) -> Job:
    span_bp, target = _span_and_target(service, body)
    if (body.sequence is None) == (body.region is None):
        raise UsageError("expected either 'sequence' or 'region'")
    return service.mutate_job(_window(service, body), 0, target, span_bp)


def _start_attribution(service: Service, body: AttributionRequest) -> Job:
    span_bp, target = _span_and_target(service, body)
    given = [value for value in (body.sequence, body.region, body.variant) if value is not None]
    if len(given) != 1:
        raise UsageError("expected either 'sequence', 'region' or 'variant'")
    if body.variant is None:
        return contribute_window_job(service, _window(service, body), 0, target, span_bp)
    variant = parse_variant(body.variant)
    if variant is None or not variant.pos.isdecimal():
        service.read_variant_lines(body.variant)  # raises, with what it is instead
        raise UsageError(f"variant {body.variant!r}: expected CONTIG:POS:REF>ALT")
    return contribute_variant_job(service, variant, target, span_bp)


def _span_and_target(
    service: Service, body: MutagenesisRequest | AttributionRequest
) -> tuple[int, int]:
    """Return the bases to explain and the number of the target."""
    span_bp = service.bin_bp if body.span_bp is None else body.span_bp
    if span_bp > service.window_bp:
        raise UsageError(f"span_bp {span_bp:,}: the window has {service.window_bp:,} bases")
    chosen = select_targets(service.targets, [body.target])
    if len(chosen) > 1:
        raise UsageError(f"target {body.target!r} fits {len(chosen):,} targets; expected one")
    return span_bp, int(chosen[0])


def _window(service: Service, body: MutagenesisRequest | AttributionRequest) -> WindowBatch:
    """Return the window of a sequence, or else of a region. Raises UsageError for several."""
    if body.sequence is not None:
        windows = service.read_sequences(f">sequence\n{body.sequence}\n", pad=True)
    else:
        windows = service.read_regions(body.region or "")
    if len(windows) > 1:
        raise UsageError(
            f"there are {len(windows):,} windows; expected one: a sequence of at most "
            f"{service.window_bp:,} bases, or a region of at most {service.bin_bp:,}"
        )
    return windows


def _mutated(result: Mutagenesis) -> MutagenesisAnswer:
    explained, effects = result.explanation.locus, result.explanation.values[..., 0]
    return MutagenesisAnswer(
        target=result.target,
        reference=numbers_of(result.explanation.scores[REFERENCE])[0],
        bases=dna.decode(explained.bases),
        position=explained.position.tolist(),
        effects=Effects(
            **{base: numbers_of(row) for base, row in zip("ACGT", effects, strict=True)}
        ),
    )


def _attributed(service: Service, result: Contributions) -> AttributionAnswer:
    return AttributionAnswer(
        target=result.target,
        windows=[_window_answer(result, number) for number in range(len(result.explanations))],
        motifs=service.motif_names.source,
        note=result.note,
    )


def _window_answer(result: Contributions, number: int) -> ContributionsAnswer:
    explanation = result.explanations[number]
    locus, scores = explanation.locus, explanation.scores
    return ContributionsAnswer(
        name=result.name(number),
        logit=numbers_of(scores[LOGIT])[0],
        baseline_logit=numbers_of(scores[BASELINE_LOGIT])[0],
        completeness_gap=numbers_of(scores[GAP])[0],
        bases=dna.decode(locus.bases),
        position=locus.position.tolist(),
        contributions=numbers_of(result.heights(number)),
        sites=[
            SiteAnswer(
                start=site.start,
                end=site.end,
                contribution=site.contribution,
                motif=site.motif,
                strand=site.strand,
                q=site.q,
            )
            for site in result.sites_of(number)
        ],
    )
