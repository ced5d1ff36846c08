"""Positives and negatives as one set for a fit, and the use of every allele."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.variants.second_stage.cross_fit import Features, Labels, Numbers
from bioq.variants.second_stage.logistic import Floats
from bioq.variants.second_stage.sets import AlleleSet

FEWEST = 20
"""Positives, and negatives, of a fit: with fewer, a fold has 2 or 3 and its scores are chance."""
USED, NOT_SCORED, REPEATED, IN_BOTH = "used", "not scored", "repeated", "in both sets"
USES = (USED, NOT_SCORED, REPEATED, IN_BOTH)


@dataclass(frozen=True)
class Joined:
    """The alleles that a fit uses: the positives, then the negatives."""

    uses: Sequence[npt.NDArray[Any]]
    """For each set the use of every allele, one of `USES`."""
    features: Features
    labels: Labels
    contig: Numbers
    position: Numbers
    properties: Mapping[str, Floats]


def join(sets: Sequence[AlleleSet]) -> Joined:
    """Join positives and negatives. The first of several equal alleles is used, so an allele that
    is in both sets is a positive.

    Raises BioqError if a set has fewer than `FEWEST` alleles to use.
    """
    first_in: dict[tuple[int, int, str, str], int] = {}
    uses, kept = [], []
    for number, each in enumerate(sets):
        use = np.full(len(each.scored), NOT_SCORED, dtype=object)
        of_scored = []
        for key in each.allele_keys():
            of_scored.append(
                USED if key not in first_in else REPEATED if first_in[key] == number else IN_BOTH
            )
            first_in.setdefault(key, number)
        use[each.scored] = of_scored
        uses.append(use)
        kept.append(use[each.scored] == USED)
    for each, use, name in zip(sets, uses, ("positives", "negatives"), strict=True):
        count = int((use == USED).sum())
        if count < FEWEST:
            others = (f"{int((use == other).sum()):,} {other}" for other in USES[1:])
            raise BioqError(
                f"{each.source}: has {count:,} alleles for the {name} ({', '.join(others)}); "
                f"expected {FEWEST} or more"
            )
    pairs = list(zip(sets, kept, strict=True))
    return Joined(
        uses=uses,
        features=np.concatenate([each.features[rows] for each, rows in pairs]),
        labels=np.repeat([True, False], [int(rows.sum()) for rows in kept]),
        contig=np.concatenate([each.contig[rows] for each, rows in pairs]),
        position=np.concatenate([each.columns["pos"][each.scored][rows] for each, rows in pairs]),
        properties={
            name: np.concatenate([each.properties[name][rows] for each, rows in pairs])
            for name in sets[0].properties
        },
    )
