"""The columns of an allele that rank it: top target, its diff and score_phred, also by group."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.variants.background.ranks import Above, Phreds, ranked
from bioq.variants.background.reference import REMEDY, Background, Comparison, Kinds
from bioq.variants.columns import (
    BACKGROUND_N,
    SCORE_PHRED,
    TOP_DIFF,
    TOP_TARGET,
    TargetNumbers,
    group_columns,
    groups_of,
)
from bioq.variants.scores import ScoreArray

Column = npt.NDArray[Any]


class Ranking:
    """Ranks alleles among the variants of a background, by all targets and by groups of targets.

    Without a background the top target is that of the chosen targets with the largest |diff|, and
    there is no rank.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        chosen: TargetNumbers,
        *,
        group_by: str | None = None,
        background: Background | None = None,
    ):
        self._background = background
        self._names = table[NAME].to_numpy(dtype=object)
        groups = groups_of(table, group_by)
        self.groups = tuple(groups)
        """The groups of targets, in the order of their columns."""
        every = np.arange(len(table), dtype=np.int64)
        wanted = [(TOP_TARGET, SCORE_PHRED, every)]
        wanted += [(*group_columns(group)[::-1], rows) for group, rows in groups.items()]
        if background is None:
            wanted = [(top, phred, np.intersect1d(rows, chosen)) for top, phred, rows in wanted]
        self._wanted = [
            (top, phred, rows, _phreds(background, rows, group_by))
            for top, phred, rows in wanted
            if len(rows)
        ]

    def columns(
        self, diff: ScoreArray, comparison: Comparison | None, indels: Kinds
    ) -> dict[str, Column]:
        """Return the columns of alleles, from the diffs of all targets, `(alleles, targets)`."""
        above = None if comparison is None else comparison.above
        columns: dict[str, Column] = {}
        for top, phred, targets, phreds in self._wanted:
            found, fewest = _top_targets(diff, targets, above)
            columns[top] = self._names[found]
            if top == TOP_TARGET:
                columns[TOP_DIFF] = diff[np.arange(len(diff)), found]
            if fewest is not None:
                columns[phred] = ranked(phreds, fewest, indels)
        if comparison is not None:
            columns[BACKGROUND_N] = comparison.variants
        return columns


def _top_targets(
    diff: ScoreArray, targets: TargetNumbers, above: Above | None
) -> tuple[TargetNumbers, Above | None]:
    """Return the top target of each allele among some targets, as rows of the target table, and the
    number of background variants above it there.

    It is the target with the fewest variants above the allele; of several such targets, and
    without a background, that with the largest |diff|; of several such targets the first.
    """
    size, fewest = np.abs(diff[:, targets]), None
    if above is not None:
        among = above[:, targets]
        fewest = among.min(axis=1)
        size = np.where(among == fewest[:, None], size, -1)
    found: TargetNumbers = targets[size.argmax(axis=1)]
    return found, fewest


def _phreds(
    background: Background | None, targets: TargetNumbers, group_by: str | None
) -> list[Phreds]:
    """Return `Background.phreds`; none without a background."""
    if background is None:
        return []
    try:
        return background.phreds(targets)
    except KeyError as error:
        raise BioqError(
            f"{background.path}: has no ranks of the groups of {group_by!r}: when it was made, the "
            f"target table had other values in this column; {REMEDY}"
        ) from error
