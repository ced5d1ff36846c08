"""Which distances and orientations of two motifs the rule of a simulated target is about.

An arrangement is written as `interpretation.motif_experiments.pairs` does: A and B are the two
motifs, `>` and `<` their directions; one text stands also for its reverse complement.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bioq.builders.simulation.grammar import (
    ALONE,
    ELEMENTS,
    NEAR,
    NEAR_BP,
    TARGETS,
    Element,
)

Gaps = tuple[tuple[int, int], ...]
"""Smallest and largest number of bases between the two sites, of each kind of planted pair."""

_OF_STRANDS = {"++": "A> B>", "--": "B> A>", "+-": "A> <B", "-+": "<A B>"}
"""Strands of A and B, A left of B -> arrangement."""
_SWAPPED = {"++": "--", "--": "++", "+-": "+-", "-+": "-+"}
"""Strands of two sites -> those of the same DNA, read from the other strand."""


@dataclass(frozen=True)
class PairTruth:
    """The rule of a simulated target about two motifs."""

    rule: str
    """The rule in words."""
    is_raised: bool
    """Whether the pair makes the target positive; otherwise it takes the effect of a site away."""
    near_bp: int
    """Largest distance at which the rule holds."""
    planted: Mapping[str, Gaps]
    """Arrangement in which the rule holds -> distances of the planted pairs."""
    decoys: Mapping[str, Gaps]
    """Arrangement -> distances of the planted pairs that break the rule."""


def pair_truth(target: str, a: str, b: str) -> PairTruth | None:
    """Return the rule of a simulated target about the motifs A and B, given by their names.

    None if the target's rule is not about this pair.
    """
    by_name = {each.name: each for each in TARGETS}
    wanted = by_name.get(target)
    if wanted is None:
        return None
    made = NEAR if wanted is ALONE else wanted
    planted: dict[str, Gaps] = {}
    decoys: dict[str, Gaps] = {}
    for element in ELEMENTS:
        for arrangement in _arrangements(element, a, b):
            kind = planted if element.makes is made else decoys
            kind[arrangement] = (*kind.get(arrangement, ()), element.gap_bp)
    if not planted:
        return None
    return PairTruth(wanted.rule, wanted is not ALONE, NEAR_BP, planted, decoys)


def _arrangements(element: Element, a: str, b: str) -> Iterator[str]:
    """Yield the arrangements that an element has of A and B; none of other motifs."""
    all_strands = [element.strands] if element.strands else list(_OF_STRANDS)
    if element.motifs == (a, b):
        yield from (_OF_STRANDS[strands] for strands in all_strands)
    elif element.motifs == (b, a):
        yield from (_OF_STRANDS[_SWAPPED[strands]] for strands in all_strands)
