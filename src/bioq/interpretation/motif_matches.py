"""The best match of each motif in a collection such as JASPAR, by TOMTOM."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import UsageError
from bioq.fast.threads import same_threads
from bioq.files import uninterrupted
from bioq.motifs import Motif
from bioq.progress import say

Floats = npt.NDArray[np.float64]

MIN_SHARED_BITS = 6.0
"""Information that a filter and its match must share where they overlap. Without this limit TOMTOM
matches two stretches of low information, and a motif of random windows "matches" (measured in
docs/how-to/motifs.md)."""
FEW_MOTIFS = 25
"""TOMTOM's p-values are computed from the columns of all motifs; memelite warns below this
number."""
SIGNIFICANT_Q = 0.05
"""A match with a smaller q-value counts as a match, and an effect of a motif differs from its
control."""
_MATCH_COLUMNS = ["match", "matrix_id", "p", "q", "strand", "offset", "shared_bits"]


def match_motifs(queries: Sequence[Motif], against: Sequence[Motif]) -> pd.DataFrame:
    """Return the best match of every query: match, matrix_id, p, q, strand, offset, shared_bits.

    TOMTOM by memelite; p is the match's p-value, q Benjamini & Hochberg's over all comparisons.
    Only pairs that share `MIN_SHARED_BITS` where they overlap can match; every other pair counts as
    p = 1 among the comparisons. A query without a match has an empty row. `strand` is that of the
    match; `offset` is the position in the match, on that strand, of the query's first column.

    Raises UsageError if memelite is not installed.
    """
    tomtom = tomtom_of_memelite()
    if not against or not queries:
        nothing = {**dict.fromkeys(_MATCH_COLUMNS, np.nan), "match": None}
        return pd.DataFrame([nothing] * len(queries), columns=_MATCH_COLUMNS)
    if len(against) < FEW_MOTIFS:
        say(
            f"{len(against)} motifs to match against are few: with fewer than {FEW_MOTIFS} "
            "TOMTOM's p-values are unreliable"
        )
    with warnings.catch_warnings(), same_threads(), uninterrupted():  # the first call compiles it
        warnings.filterwarnings("ignore", "tomtom was given", UserWarning)  # reported above
        result = tomtom(
            [query.probabilities.T.copy() for query in queries],
            [motif.probabilities.T.copy() for motif in against],
        )
    p, offsets, strands = (np.asarray(result[part]) for part in (0, 2, 4))
    offsets = _overlapping(queries, against, offsets)
    shared = _shared_bits(queries, against, offsets, strands == 1)
    p = np.where(shared < MIN_SHARED_BITS, 1.0, p)
    best = p.argmin(axis=1)
    rows = np.arange(len(queries))
    q = benjamini_hochberg(p.ravel()).reshape(p.shape)
    table = pd.DataFrame(
        {
            "match": [against[number].name for number in best],
            "matrix_id": [against[number].matrix_id for number in best],
            "p": p[rows, best],
            "q": q[rows, best],
            "strand": np.where(strands[rows, best] == 1, "-", "+"),
            "offset": offsets[rows, best],
            "shared_bits": shared[rows, best],
        }
    )
    return table.where(pd.Series(shared[rows, best] >= MIN_SHARED_BITS), other=np.nan)


def tomtom_of_memelite() -> Callable[..., Any]:
    """Return memelite's function. Raises UsageError if it is not installed."""
    try:
        with uninterrupted():
            from memelite import tomtom
    except ImportError as error:
        raise UsageError(
            "matching motifs needs the package memelite; pip install 'bioq[motifs]'"
        ) from error
    return cast(Callable[..., Any], tomtom)


def _overlapping(
    queries: Sequence[Motif], against: Sequence[Motif], offsets: npt.NDArray[np.generic]
) -> npt.NDArray[np.int64]:
    """Return the offsets as whole numbers, and one past the match's end where two motifs do not
    overlap: TOMTOM's offset is undefined if the columns of all motifs are equal."""
    least = -np.array([len(query) for query in queries])[:, None]
    most = np.array([len(motif) for motif in against])[None]
    overlaps = (offsets > least) & (offsets < most)
    return np.where(overlaps, offsets, most).astype(np.int64)


def _shared_bits(
    queries: Sequence[Motif],
    against: Sequence[Motif],
    offsets: npt.NDArray[np.int64],
    reverse: npt.NDArray[np.bool_],
) -> Floats:
    """Return the sum, over the columns that overlap, of the smaller information of the two."""
    bits = [motif.information_bits() for motif in against]
    shared = np.zeros(offsets.shape)
    for row, query in enumerate(queries):
        of_query = query.information_bits()
        for column, forward in enumerate(bits):
            of_match = forward[::-1] if reverse[row, column] else forward
            offset = offsets[row, column]
            start, end = max(0, -offset), min(len(of_query), len(of_match) - offset)
            overlap = np.minimum(of_query[start:end], of_match[start + offset : end + offset])
            shared[row, column] = overlap.sum()
    return shared


def benjamini_hochberg(p: Floats) -> Floats:
    """Return q-values `(n,)` of p-values `(n,)`. Source: Benjamini & Hochberg 1995."""
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum.accumulate(np.minimum(p[order] * len(p) / ranks, 1.0))
    return q
