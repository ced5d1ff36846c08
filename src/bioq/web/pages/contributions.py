"""The page of contributions: a logo at reading size, with the names of the motifs above it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from bioq import dna
from bioq.interpretation.explanation import BASELINE_LOGIT, GAP, LOGIT
from bioq.interpretation.sites import Site
from bioq.plots.logo import NamedSite, draw_scrolled_logo
from bioq.plots.numbers import share_text, signed_text
from bioq.web.answers import Contributions, Floats
from bioq.web.jobs import Job
from bioq.web.links import share
from bioq.web.pages.render import render
from bioq.web.service import Service

_AIR = 0.04
"""Share of the axis that is free at each end."""


@dataclass(frozen=True)
class Row:
    """A site in the table."""

    start: int
    """Counted from 1."""
    end: int
    bases: str
    motif: str
    strand: str
    q: str
    contribution: float
    id: str


@dataclass(frozen=True)
class Panel:
    """The logo of a window, and its numbers."""

    name: str
    """The allele; empty for a window of a sequence or region."""
    axis: Markup
    letters: Markup
    logit: float
    baseline: float
    gap: float
    rows: Sequence[Row]


def show(request: Request, service: Service, job: Job) -> Response:
    """Show the contributions of a window, or of REF and ALT on equal axes."""
    result: Contributions = job.answer
    heights = [result.heights(number) for number in range(len(result.explanations))]
    return render(
        request,
        "contributions.html.j2",
        job=job,
        result=result,
        panels=[_panel(result, number, heights) for number in range(len(heights))],
        motifs=service.motif_names.source,
        share=share(request, job),
    )


def _panel(result: Contributions, number: int, heights: Sequence[Floats]) -> Panel:
    explanation, sites = result.explanations[number], result.sites_of(number)
    locus, scores = explanation.locus, explanation.scores
    allele = result.name(number)
    where = f"{locus.position[0] + 1:,} to {locus.position[-1] + 1:,}"
    title = f"Sequence logo of the contributions to {result.target} at {where}"
    # A variant's page scrolls to its allele.
    first = (
        None if locus.allele else max(sites, key=lambda site: abs(site.contribution), default=None)
    )
    logo = draw_scrolled_logo(
        locus,
        heights[number],
        [_named(site, is_first=site is first) for site in sites],
        scale=_scale(heights),
        name=f"logo-{number + 1}",
        title=f"{title}{f', {allele}' if allele else ''}; the table below lists the sites",
    )
    return Panel(
        allele,
        Markup(logo.axis),
        Markup(logo.letters),
        float(scores[LOGIT][0]),
        float(scores[BASELINE_LOGIT][0]),
        float(scores[GAP][0]),
        [_row(result, number, place, site) for place, site in enumerate(sites)],
    )


def _scale(heights: Sequence[Floats]) -> tuple[float, float]:
    """Return the ends of the axis, for all logos of a page: zero is always inside."""
    low = min(0.0, *(float(of_one.min()) for of_one in heights))
    high = max(0.0, *(float(of_one.max()) for of_one in heights))
    air = _AIR * (high - low or 1.0)
    return low - air, high + air


def _named(site: Site, *, is_first: bool) -> NamedSite:
    sum_of = f"contributions {signed_text(site.contribution)} together"
    match = f"strand {site.strand}, q {share_text(site.q)}, " if site.motif else ""
    return NamedSite(site.start, site.end, site.motif, f"{match}{sum_of}", is_first)


def _row(result: Contributions, number: int, place: int, site: Site) -> Row:
    locus = result.explanations[number].locus
    bases = locus.bases[site.start : site.end]
    return Row(
        int(locus.position[site.start]) + 1,
        int(locus.position[site.end - 1]) + 1,
        dna.decode(np.asarray(bases)),
        site.motif,
        site.strand if site.motif else "",
        share_text(site.q) if site.motif else "",
        site.contribution,
        f"logo-{number + 1}-site-{place + 1}",
    )
