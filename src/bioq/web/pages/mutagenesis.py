"""The page of a mutagenesis: the effect of every substitution in a window on one target."""

import numpy as np
from fastapi import Request
from starlette.responses import Response

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.interpretation.explanation import REFERENCE
from bioq.web.answers import Mutagenesis
from bioq.web.jobs import Job
from bioq.web.links import share
from bioq.web.pages.render import render
from bioq.web.positive_rates import positive_rates
from bioq.web.service import Service

MOST_LISTED = 10


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
        share=share(request, job),
    )


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
