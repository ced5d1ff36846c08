"""The order of alleles in a ranking, and of the targets of an allele: the most extreme first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.tables import Columns

Numbers = npt.NDArray[np.int64]


def ranking(columns: Columns) -> Numbers:
    """Return the numbers of the rows in the order of their rank: by `score_phred`, then by
    `max_abs_diff`, the largest first, then in input order.

    An allele without `score_phred` comes after all alleles that have it, an allele without a score
    after all others. Without a background no allele has `score_phred`: the order is then that of
    `max_abs_diff`.
    """
    keys = [_largest_first(columns[name]) for name in ("max_abs_diff", "score_phred")]
    order: Numbers = np.lexsort(keys)  # stable; the last key counts most
    return order


def by_effect(scores: Mapping[str, npt.NDArray[np.floating[Any]]]) -> Numbers:
    """Return the numbers of the targets of an allele, the most unusual change first: by E-value,
    where there is one, then by |diff|. Each score is `(targets,)`, or `(alleles, targets)`."""
    keys = [_largest_first(np.abs(scores["diff"]))]
    if "evalue" in scores:
        keys.append(_largest_first(-scores["evalue"]))
    order: Numbers = np.lexsort(keys)
    return order


def _largest_first(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return keys that sort the largest value first and NaN last."""
    return np.nan_to_num(-np.asarray(values, dtype=np.float64), nan=np.inf)
