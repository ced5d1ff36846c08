"""The page of variants: score lines or a VCF, show the effect of each allele on every target."""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath
from urllib.parse import urlencode

import numpy as np
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.responses import Response

from bioq.dataset.targets import NAME
from bioq.errors import MOST_SHOWN, BioqError, short
from bioq.genome.alleles import SWAPPED
from bioq.genome.notation import VariantText
from bioq.genome.vcf_header import VcfHeader
from bioq.plots.names import short_names
from bioq.plots.style import inline_svg, to_svg
from bioq.plots.variants import name_points, plot_allele, plot_alleles
from bioq.variants import STATUSES
from bioq.variants.order import by_effect
from bioq.web.answers import Alleles, Floats
from bioq.web.bodies import read_form
from bioq.web.jobs import Job, NoSuchJob
from bioq.web.links import opened, share
from bioq.web.pages.allele_table import Filter, chosen_rows, places, title_of
from bioq.web.pages.annotation import Annotation, annotation_of
from bioq.web.pages.render import DRAWING, go_to, render
from bioq.web.pages.sequence import OPTION_LETTERS
from bioq.web.pages.variant_examples import examples
from bioq.web.pools import pools_of
from bioq.web.positive_rates import positive_rates
from bioq.web.repeat import Repeat, fields_of_link, keep_request, variants_request
from bioq.web.request import refusal_status, service_of, typed_number
from bioq.web.service import Service

PAGE_ALLELES = 100
LABEL_LETTERS = 28
"""Letters of a target's name in a figure."""
_ON_REQUEST = {
    False: "{}: choose “Score alleles if the genome has ALT” in the form",
    True: "{}, as here; the change is still ALT minus REF",
}
"""Whether alleles of this status were requested -> the page's meaning of `allele_swapped`."""

router = APIRouter()


@router.get("/variant")
def form(request: Request) -> Response:
    """Show the forms; `?example=` fills the first form without a script, a link to a result too."""
    query = request.query_params
    texts = {item.key: item.text for item in examples(service_of(request))}
    return _form(
        request,
        query.get("text", texts.get(query.get("example", ""), "")),
        swapped="score_swapped" in query,
        **opened(request),
    )


@router.post("/variant")
async def score(request: Request) -> Response:
    """Score lines or an uploaded VCF, or show the forms again with the error."""
    service = service_of(request)
    async with read_form(request, files=1) as form:
        text, upload = str(form.get("text", "")), form.get("vcf")
        score_swapped = "score_swapped" in form
        if isinstance(upload, UploadFile):
            content, name = await upload.read(), upload.filename or ""
        else:
            content, name = None, ""
    pools = pools_of(request)
    try:
        if content is None:
            job = await pools.inputs.run(_score_lines, service, text, score_swapped)
        else:
            job = await pools.uploads.run(_score_file, service, content, name, score_swapped)
    except BioqError as error:
        status = refusal_status(error)
        field = "text" if content is None else "vcf"
        errors = {field: str(error)}
        return _form(request, text, errors=errors, swapped=score_swapped, status=status)
    job.back = "/variant"
    return await go_to(job, service.limits.direct_seconds)


@router.get("/jobs/{id}/alleles/{number}")
async def show_allele(request: Request, id: str, number: str) -> Response:
    """Show one allele of a job, counted from 1."""
    service = service_of(request)
    job = service.jobs.find(id)
    if job.kind != "variants" or job.state != "done":
        raise NoSuchJob("this job has no alleles; expected a finished job of variants")
    count = len(job.answer)
    chosen = typed_number(number, count)
    if not chosen:
        raise NoSuchJob(f"there is no allele {number[:20]!r}; the job has 1 to {count:,}")
    return await pools_of(request).results.run(_allele, request, service, job, chosen - 1)


def show(request: Request, service: Service, job: Job) -> Response:
    """Show the alleles of a job, or its allele if it has only one."""
    alleles: Alleles = job.answer
    if len(alleles) == 1:
        return _allele(request, service, job, 0)
    counts = Counter(map(str, alleles.columns["status"]))
    chosen = Filter.of(request.query_params)
    rows = chosen_rows(alleles, chosen)
    pages = max(1, -(-len(rows) // PAGE_ALLELES))
    page = min(chosen.page, pages)
    first = (page - 1) * PAGE_ALLELES
    return render(
        request,
        "variants_result.html.j2",
        job=job,
        count=len(alleles),
        notes=alleles.notes,
        scored=int((~np.isnan(alleles.columns["max_abs_diff"])).sum()),
        counts=[
            (status, counts[status], _meaning(status, alleles))
            for status in STATUSES
            if counts[status]
        ],
        figure=_overview(job, alleles),
        chosen=chosen,
        matching=len(rows),
        background=service.background,
        compared=[] if service.background is None else service.background.lines(),
        rows=_rows(alleles, rows[first : first + PAGE_ALLELES]),
        page=page,
        last_page=pages,
        address=lambda **changed: "?" + urlencode({**chosen.query, **changed}),
        share=share(request, job),
    )


def _form(
    request: Request,
    text: str,
    *,
    errors: dict[str, str] | None = None,
    swapped: bool = False,
    status: int = 200,
    note: str = "",
    starts: bool = False,
) -> Response:
    return render(
        request,
        "variant.html.j2",
        status=status,
        text=text,
        errors={"text": "", "vcf": ""} | (errors or {}),
        swapped=swapped,
        note=note,
        starts=starts,
        examples=examples(service_of(request)),
        known=service_of(request).known_window,
    )


def _score_lines(service: Service, text: str, score_swapped: bool) -> Job:
    header = VcfHeader()
    alleles = service.read_variant_lines(text, header)
    first = alleles[0]
    variant = VariantText(first.chrom, str(first.pos), first.id, first.ref, first.alt)
    title = short(str(variant))
    if len(alleles) > 1:
        title += f" and {len(alleles) - 1:,} more"
    job = service.score_job(alleles, len(alleles), title, header, score_swapped=score_swapped)
    fields = fields_of_link(text=text, score_swapped=_on(score_swapped))
    vcf = variants_request(alleles)
    job.again = keep_request(
        job.folder, "/variant", fields, _api(score_swapped), "variants.vcf", vcf
    )
    return job


def _score_file(service: Service, content: bytes, name: str, score_swapped: bool) -> Job:
    if not content and not name:
        raise BioqError("no file is chosen; choose a .vcf or .vcf.gz file")
    printable = "".join(letter for letter in PurePath(name).name if letter.isprintable())
    title = short(printable or "VCF")
    job = service.score_vcf_job(content, title, score_swapped=score_swapped)
    job.again = Repeat("/variant", {}, _api(score_swapped), title, is_kept=False)
    return job


def _api(score_swapped: bool) -> str:
    return "/api/jobs?score_swapped=true" if score_swapped else "/api/jobs"


def _on(is_chosen: bool) -> str:
    """Return the value of a checkbox in a form."""
    return "on" if is_chosen else ""


def _overview(job: Job, alleles: Alleles) -> Markup:
    """Return the figure of a job's alleles, drawn at the first call."""
    file = job.folder / "overview.svg"
    with job.writing:
        if not file.exists():
            columns = alleles.columns
            labels = [title_of(columns, number, 26) for number in range(len(alleles))]
            with DRAWING:
                figure = plot_alleles(
                    [str(name) for name in columns["chrom"]],
                    columns["max_abs_diff"],
                    labels,
                )
                svg = inline_svg(to_svg(figure), name="overview", title="Largest change by allele")
            svg = name_points(
                svg,
                lambda n: f"/jobs/{job.id}/alleles/{n + 1}",
                lambda n: (
                    f"{labels[n]}: {columns['max_abs_diff'][n]:.4f}, {columns['top_target'][n]}"
                ),
            )
            file.write_text(svg, encoding="utf-8")
        return Markup(file.read_text(encoding="utf-8"))


def _meaning(status: str, alleles: Alleles) -> str:
    """Return the meaning of a status, and how to get scores of alleles that are scored on request
    only."""
    meaning = STATUSES[status]
    return _ON_REQUEST[alleles.score_swapped].format(meaning) if status == SWAPPED else meaning


def _rows(alleles: Alleles, numbers: list[int]) -> list[dict[str, object]]:
    """Return the table rows of the alleles `numbers`."""
    place = places(alleles.columns)
    rows = []
    for number in numbers:
        row = {name: values[number] for name, values in alleles.columns.items()}
        row |= {
            "number": number + 1,
            "title": title_of(alleles.columns, number, 48),
            "place": int(place[number]),
        }
        row["genome_ref"] = short(str(row["genome_ref"]), 12)
        rows.append(row)
    return rows


def _allele(request: Request, service: Service, job: Job, number: int) -> Response:
    """Show the effect of one allele on every target, or why it was not scored."""
    alleles: Alleles = job.answer
    status = str(alleles.columns["status"][number])
    annotation = annotation_of(service.targets)
    rates = positive_rates(service)
    targets: list[dict[str, object]] = []
    figure = Markup()
    if not np.isnan(alleles.columns["max_abs_diff"][number]):
        several = alleles.scores(slice(number, number + 1))
        scores = {name: values[0] for name, values in several.items()}
        targets = [
            {
                "annotation": service.targets.iloc[target].to_dict(),
                "target": int(target),
                "rate": None if rates is None else float(rates.rate[target]),
                **{f"score_{name}": float(values[target]) for name, values in scores.items()},
            }
            for target in by_effect(scores)
        ]
        figure = _changes(service, annotation, scores)
    return render(
        request,
        "allele.html.j2",
        job=job,
        number=number,
        count=len(alleles),
        notes=alleles.notes,
        title=title_of(alleles.columns, number, MOST_SHOWN),
        id=str(alleles.columns["id"][number]),
        verdict=status,
        meaning=_meaning(status, alleles),
        genome_ref=short(str(alleles.columns["genome_ref"][number])),
        figure=figure,
        targets=targets,
        rates=rates,
        annotation=annotation,
        spread="diff_sd" in alleles.score_names,
        background=service.background,
        phred=float(alleles.columns["score_phred"][number]),
        background_n=float(alleles.columns["background_n"][number]),
        options=short_names(list(service.targets[NAME]), OPTION_LETTERS),
        share=share(request, job),
    )


def _changes(service: Service, annotation: Annotation, scores: Mapping[str, Floats]) -> Markup:
    """Return the figure of an allele's targets; its dots are links to the rows of the table."""
    names = list(service.targets[NAME])
    groups = service.targets[annotation.group] if annotation.group else ()
    with DRAWING:
        figure = plot_allele(
            short_names(names, LABEL_LETTERS),
            scores["diff"],
            scores["log2_odds_ratio"],
            [annotation.colour(value) for value in groups],
        )
        svg = inline_svg(to_svg(figure), name="allele", title="Change of every target")
    return Markup(
        name_points(
            svg,
            lambda n: f"#target-{n}",
            lambda n: f"{names[n]}: {scores['ref'][n]:.4f} to {scores['alt'][n]:.4f}",
        )
    )
