"""The sites of a sequence: stretches whose bases contribute much to a target, with their motifs.

Stretches are called by tangermeme's `recursive_seqlets`, and matched to known motifs by memelite's
TOMTOM. docs/how-to/attribution.md has the measurements behind the constants.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.errors import UsageError
from bioq.fast.threads import same_threads
from bioq.files import uninterrupted
from bioq.interpretation.motif_matches import (
    SIGNIFICANT_Q,
    match_motifs,
    tomtom_of_memelite,
)
from bioq.motifs import Motif
from bioq.options import found, of_type, text

Floats = npt.NDArray[np.floating[Any]]

CALL_P = 0.01
"""Below this p every part of a stretch must be, from `SHORTEST_BP` on. It ranks stretches, and is
no rate of errors: its null contains the sites too (tangermeme's documentation)."""
SHORTEST_BP, LONGEST_BP = 4, 25
"""Bases of a stretch as it is called, before joining."""
JOIN_BP = 4
"""Stretches with a gap of at most this are joined: a long site is called in parts."""
FLANK_BP = 1
"""Bases on either side of a stretch that are matched with it."""
_SURE = 0.97
"""The probability, above chance, of the bases that contribute most, in the matrix to match."""


@dataclass(frozen=True)
class Site:
    """A stretch of bases that together raise or lower a target's logit."""

    start: int
    end: int
    """Positions in the sequence, from 0, half-open."""
    target: str
    contribution: float
    """The sum of its bases' contributions: below 0 if the site lowers the logit."""
    motif: str
    """Name of the best match, such as CTCF; empty if no motif matches with q below 0.05."""
    matrix_id: str
    """ID of its matrix; empty if no motif matches."""
    q: float
    """Benjamini & Hochberg's q of the best match over all comparisons; 1 if nothing is alike."""
    strand: str
    """The strand of the match: + or -; a dot if no motif matches."""


def find_sites(
    codes: dna.Bytes, contributions: Floats, motifs: Sequence[Motif], *, target: str = ""
) -> list[Site]:
    """Return the sites of a sequence by position, those that lower the logit too.

    Several regions are searched together if they are joined with one NaN between them; what counts
    as much is decided by all contributions together.

    Args:
        codes: Codes `(length,)`: 0 to 3 for A, C, G, T, 4 for N.
        contributions: Contributions of these bases to one target `(length,)`. NaN are bases that
            were not explained: no site crosses them.
        motifs: Motifs to compare each site with.
        target: Name of the target, which the sites have.

    Returns:
        The sites, with positions in this sequence (0-based, half-open).

    Raises:
        UsageError: For arrays that are not alike, or if tangermeme or memelite is not installed.
    """
    codes, contributions = _checked(codes, contributions)
    of_type("motifs", motifs, Sequence, "a list")
    for motif in motifs:
        of_type("an item of motifs", motif, Motif, "bioq.motifs.Motif")
    text("target", target)
    raising = _called(contributions)
    taken = np.zeros(len(codes), dtype=bool)
    for start, end in raising:
        taken[start:end] = True
    lowering = [span for span in _called(-contributions) if not taken[slice(*span)].any()]
    signs = [(span, 1) for span in raising] + [(span, -1) for span in lowering]
    queries = [_query(codes, sign * contributions, *span) for span, sign in signs]
    matches = match_motifs(queries, motifs)
    sites = []
    for ((start, end), _), match in zip(signs, matches.to_dict("records"), strict=True):
        is_known = match["q"] < SIGNIFICANT_Q
        sites.append(
            Site(
                start=start,
                end=end,
                target=target,
                contribution=float(contributions[start:end].sum(dtype=np.float64)),
                motif=match["match"] if is_known else "",
                matrix_id=match["matrix_id"] if is_known else "",
                q=1.0 if np.isnan(match["q"]) else float(match["q"]),
                strand=match["strand"] if is_known else ".",
            )
        )
    return sorted(sites, key=lambda site: site.start)


def require_packages() -> None:
    """Raise UsageError if a package that `find_sites` needs is not installed."""
    _seqlet_caller()
    tomtom_of_memelite()


def _checked(codes: object, contributions: object) -> tuple[dna.Bytes, Floats]:
    """Return codes and contributions as arrays. Raises UsageError if they are not alike."""
    codes = dna.checked_codes(codes, axes=1)
    values = dna.as_array(contributions)
    if values.dtype.kind != "f" or values.shape != codes.shape:
        raise UsageError(
            f"contributions {found(contributions)}; expected floats (length,), as many as codes, "
            f"{len(codes):,}"
        )
    if np.isinf(values).any():
        raise UsageError("contributions are infinite; expected finite numbers, or NaN")
    return codes, values.astype(np.float64)


def _called(contributions: Floats) -> list[tuple[int, int]]:
    """Return the stretches of high contributions, by position, joined where the gap is small."""
    position = np.flatnonzero(~np.isnan(contributions))
    if len(position) < LONGEST_BP:
        return []
    recursive_seqlets = _seqlet_caller()
    with same_threads(), uninterrupted():  # the first call compiles it
        called = recursive_seqlets(
            contributions[position][None],
            threshold=CALL_P,
            min_seqlet_len=SHORTEST_BP,
            max_seqlet_len=LONGEST_BP,
        )
    spans: list[tuple[int, int]] = []
    for first, last in sorted(zip(called["start"], called["end"], strict=True)):
        for start, end in _parts(position[first:last]):
            gap = slice(spans[-1][1] if spans else 0, start)
            if spans and start - gap.start <= JOIN_BP and not np.isnan(contributions[gap]).any():
                spans[-1] = spans[-1][0], end
            else:
                spans.append((start, end))
    return spans


def _seqlet_caller() -> Callable[..., pd.DataFrame]:
    """Return tangermeme's function. Raises UsageError if it is not installed.

    Numba keeps what it compiled for the next process, as memelite has it, or every command would
    compile for half a minute.
    """
    try:
        with uninterrupted():
            import tangermeme.seqlet as seqlet
    except ImportError as error:
        raise UsageError(
            "finding sites needs the package tangermeme; pip install 'bioq[motifs]'"
        ) from error
    for function in vars(seqlet).values():
        if hasattr(function, "enable_caching"):
            with contextlib.suppress(RuntimeError):  # no folder where Numba may write
                function.enable_caching()
    return cast(Callable[..., pd.DataFrame], seqlet.recursive_seqlets)


def _parts(position: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of adjacent positions that are long enough."""
    for part in np.split(position, np.flatnonzero(np.diff(position) > 1) + 1):
        if len(part) >= SHORTEST_BP:
            yield int(part[0]), int(part[-1]) + 1


def _query(codes: dna.Bytes, contributions: Floats, start: int, end: int) -> Motif:
    """Return the matrix of a stretch: the less a base contributes, the flatter is its column.

    The weight of a base is the root of its contribution, 1 for the mean of the three highest.
    With the plain bases, as in tangermeme's `annotate_seqlets`, long motifs of little information
    such as CTCF find no match.
    """
    span = slice(max(start - FLANK_BP, 0), end + FLANK_BP)
    positive = np.nan_to_num(contributions[span]).clip(min=0)
    weight = np.sqrt(positive / np.sort(positive)[-3:].mean()).clip(max=1) * _SURE
    one_hot = dna.one_hot(codes[span]).T.astype(np.float64)
    weight = (weight * one_hot.sum(axis=1))[:, None]
    return Motif("", "", weight * one_hot + (1 - weight) / 4)
