"""Ranks of alleles among the variants of a background, counted exactly.

An allele is as extreme as its smallest E-value over a set of targets; the number of background
variants behind an E-value is a whole number, so the smallest of many is one too. Its rank is the
share of the background variants whose own smallest number is at most that: no correction for the
number of targets is needed, and correlated targets do no harm.

The smallest numbers are counted in steps: one step per number below 512, above it steps of 9
significant bits (0.4 %), so that a rank is exact where an allele is extreme, and the counts of a
million variants take 13 kB.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME
from bioq.variants.columns import TargetNumbers, groups_of

Counts = npt.NDArray[np.uint32]
"""Variants per step."""
Above = npt.NDArray[np.int32]
"""Background variants with a larger effect; `NO_EFFECT` for a target without E-values."""

Phreds = npt.NDArray[np.float64]
"""-10 log10 of a share of background variants, per step of the smallest numbers."""

NO_EFFECT = int(np.iinfo(np.int32).max)
"""In `Above`: no background variant has an effect on the target, so it has no E-values."""
MOST_VARIANTS = NO_EFFECT - 1
_STEP_BITS = 9


def variants_above(counts: Counts) -> Above:
    """Return, for each target and step of `(targets, steps)`, the variants in a higher step; in all
    steps `NO_EFFECT` for a target whose variants are all in the lowest step."""
    above: Above = np.cumsum(counts, axis=1, dtype=np.int32)
    np.subtract(above[:, -1:].copy(), above, out=above)
    above[above[:, 0] == 0] = NO_EFFECT
    return above


def count_steps(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the step of whole numbers: 0, 1, ..., 511, then 9 significant bits."""
    numbers = counts.astype(np.int64)
    bits = np.frexp(numbers.astype(np.float64))[1].astype(np.int64)
    dropped = np.maximum(bits - _STEP_BITS, 0)
    steps: npt.NDArray[np.int64] = (dropped << (_STEP_BITS - 1)) + (numbers >> dropped)
    return steps


def steps_of(variants: int) -> int:
    """Return the number of steps of the numbers 0 to `variants`."""
    return int(count_steps(np.array([variants]))[0]) + 1


def target_sets(table: pd.DataFrame) -> list[TargetNumbers]:
    """Return the sets of targets whose ranks a background has: all targets, and those that share a
    value in a column of the target table. A target alone has its rank by its E-values."""
    found = {(every := np.arange(len(table), dtype=np.int64)).tobytes(): every}
    for column in table.columns:
        if column != NAME and (table[column] != "").any():
            for rows in groups_of(table, str(column)).values():
                if len(rows) > 1:
                    found.setdefault(rows.tobytes(), rows)
    return list(found.values())


class RankCounts:
    """Counts the smallest numbers of variants, for each of some sets of targets."""

    def __init__(self, sets: Sequence[TargetNumbers], variants: int):
        self._sets = sets
        self.counts: Counts = np.zeros((len(sets), steps_of(variants)), dtype=np.uint32)

    def add(self, above: Above) -> None:
        """Count variants, `(variants, targets)`."""
        for counts, targets in zip(self.counts, self._sets, strict=True):
            smallest = above[:, targets].min(axis=1)
            steps = count_steps(smallest[smallest != NO_EFFECT])
            counts += np.bincount(steps, minlength=len(counts)).astype(np.uint32)


def ranks_of_one(above: Above, variants: int) -> Counts:
    """Return the rank counts of a set of one target, from the `variants_above` each effect."""
    ranks = np.zeros(steps_of(variants), dtype=np.uint32)
    if above[0] != NO_EFFECT:
        counts = np.concatenate([[variants], above[:-1]]) - above
        np.add.at(ranks, count_steps(above), counts.astype(np.uint32))
    return ranks


def phred_of(rank_counts: Counts) -> Phreds:
    """Return -10 log10 of the share of variants in each step or below it; NaN without variants."""
    total = int(rank_counts.sum(dtype=np.int64))
    if not total:
        return np.full(len(rank_counts), np.nan)
    share = np.cumsum(rank_counts, dtype=np.int64) / total
    phred: Phreds = -10 * np.log10(share) + 0.0  # not -0
    return phred


def ranked(phreds: Sequence[Phreds], smallest: Above, kinds: npt.NDArray[np.bool_]) -> Phreds:
    """Return the rank of alleles, from their smallest numbers and the table of each one's kind; NaN
    where no target has E-values."""
    has_rank = smallest != NO_EFFECT
    steps = count_steps(np.where(has_rank, smallest, 0))
    found = np.full(len(smallest), np.nan)
    for kind, phred in enumerate(phreds):
        rows = has_rank & (kinds == bool(kind))
        found[rows] = phred[steps[rows]]
    return found


def can_be_ranks(
    rank_counts: Counts, above: Above, variants: int, sets: Sequence[TargetNumbers]
) -> bool:
    """Return whether rank counts `(sets, steps)` can be those of variants: each set has all of them
    and one at the first step, or no target of it has E-values."""
    for counts, targets in zip(rank_counts, sets, strict=True):
        has_ranks = bool((above[targets, 0] != NO_EFFECT).any())
        expected = variants if has_ranks else 0
        if int(counts.sum(dtype=np.int64)) != expected or (has_ranks and not counts[0]):
            return False
    return True
