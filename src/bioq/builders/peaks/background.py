"""Bins without a peak that are added to the bins with one: as many as asked for, of the same split.

`matched:N` draws bins whose windows have the composition of the windows with a positive: for each
positive, N of its cell (1 % GC, 5 % repeats, 10 % unknown bases; `composition`), without
replacement; where a cell has too few, those of the nearest cells that are left. Comparable tools
match GC alone: chrombpnet (`prep nonpeaks`) in steps of 1 %, in windows every 1,000 bases;
tangermeme (`match.extract_matching_loci`) in steps of 2 %, in adjacent windows; gReLU
(`data.preprocess.get_gc_matched_intervals`) through tangermeme, by default in steps of 10 %.
Repeats are half of a human genome and little of a peak, so a model that has only learned to
recognise repeats separates windows that are matched in GC alone. `random:N` draws any bins: then a
model can learn GC alone, in which most of the genome's bins differ (docs/how-to/peaks.md).
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bioq.builders.peaks.composition import (
    CELLS,
    GC_STEPS,
    REPEAT_STEPS,
    Cells,
    Composition,
    steps_of,
)
from bioq.errors import UsageError, shown

Kind = Literal["matched", "random", "none"]
_NOTATION = re.compile(r"(matched|random)(?::([1-9][0-9]{0,8}))?")

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
BinNumbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Background:
    """Bins without a peak that are added: of the same composition (matched), of any (random)."""

    kind: Kind
    number: int
    """For each bin with a positive."""

    def __bool__(self) -> bool:
        return self != NONE

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" if self else self.kind


NONE = Background("none", 0)
USUAL_NUMBER = 4
"""Bins for each bin with a positive, where no number is given. With one bin, a model learned to
score against GC (docs/how-to/peaks.md)."""
DEFAULT = Background("matched", USUAL_NUMBER)
"""The background of data sets that need one."""
MOST_POSITIVE = 0.1
"""Without an option, a data set gets a background if a larger share of the labels of the bins that
are kept is positive. It is 100 % for one file, 20 % or more for five, 11 % or more for ten, 3 % to
6 % for hundreds of files of yeast or human (docs/how-to/peaks.md) and 2 % for DeepSEA's 919:
there, most windows are negative for most targets."""


def parse_background(text: str) -> Background:
    """Return the background that a text names: `matched:N`, `random:N` or `none`; a kind without
    `:N` has USUAL_NUMBER.

    Raises UsageError for another text.
    """
    if text == str(NONE):
        return NONE
    match = _NOTATION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--background {shown(text)}, expected matched:N or random:N, where N is the number of "
            f"bins for each bin with a positive, 1 to 999999999, or {NONE}"
        )
    return Background(
        "matched" if match[1] == "matched" else "random", int(match[2] or USUAL_NUMBER)
    )


@dataclass(frozen=True)
class Drawn:
    """The background of a group of contigs, and how it fits the bins with a positive."""

    bins: BinNumbers
    """Ascending numbers of bins."""
    wanted: int
    """Bins that were asked for; there may be fewer."""
    positives: Cells
    """Cells of the windows of bins with a positive."""
    background: Cells
    """Cells of the windows of `bins`."""

    def gc(self) -> tuple[float, float, float]:
        """Return the mean share of G and C in the windows of positives and background, and the
        Kolmogorov-Smirnov distance of the two distributions."""
        return _compared(self.positives, self.background, axis=0, steps=GC_STEPS)

    def repeats(self) -> tuple[float, float, float]:
        """Return the same of the share of repeats."""
        return _compared(self.positives, self.background, axis=1, steps=REPEAT_STEPS)


def draw_background(
    background: Background,
    *,
    positive: Flags,
    candidate: Flags,
    group: npt.NDArray[np.integer],
    composition: Composition,
    seed: int,
) -> dict[int, Drawn]:
    """Draw the background of every group of contigs: group -> its background.

    `positive` and `candidate` are whether each bin is kept for a positive or may be drawn,
    `(bins,)`; `group` is the number of the group of each bin, `(bins,)`: its split or its fold.
    A group's bins are drawn from itself, with random numbers that depend on the seed and the
    group's number alone.
    """
    draw = _matched if background.kind == "matched" else _any
    drawn: dict[int, Drawn] = {}
    for number in np.unique(group[positive]).tolist():
        is_here = group == number
        cells = composition.cell[is_here & positive]
        bins = np.flatnonzero(is_here & candidate).astype(np.int32)
        random = np.random.default_rng([seed, number])
        chosen = np.sort(bins[draw(cells, composition.cell[bins], background.number, random)])
        wanted = background.number * len(cells)
        drawn[number] = Drawn(chosen, wanted, cells, composition.cell[chosen])
    return drawn


def _any(
    positives: Cells, candidates: Cells, per_positive: int, random: np.random.Generator
) -> Counts:
    """Return rows of candidates, whatever their cells."""
    count = min(per_positive * len(positives), len(candidates))
    return random.choice(len(candidates), count, replace=False, shuffle=False)


def _matched(
    positives: Cells, candidates: Cells, per_positive: int, random: np.random.Generator
) -> Counts:
    """Return the rows of candidates that match positives, both given by their cells `(n,)`."""
    available = np.bincount(candidates, minlength=CELLS)
    taken = share_out(per_positive * np.bincount(positives, minlength=CELLS), available)
    rows_by_cell = np.argsort(candidates, kind="stable")
    first = np.cumsum(available) - available
    chosen = [
        first[cell] + random.choice(available[cell], taken[cell], replace=False, shuffle=False)
        for cell in np.flatnonzero(taken)
    ]
    rows: Counts = rows_by_cell[np.concatenate([np.empty(0, dtype=np.int64), *chosen])]
    return rows


def share_out(wanted: Counts, available: Counts) -> Counts:
    """Return how many to take of each cell, `(CELLS,)`, so that as many as wanted, or all, are
    taken: of the wanted cell where it has them, otherwise of the nearest cell that has some left.

    The distance of two cells is the sum of their steps in GC, repeats and unknown bases. Short
    distances are served first.
    """
    taken = np.minimum(wanted, available)
    if wanted.sum() >= available.sum():
        return available
    short, spare = wanted - taken, available - taken
    while short.any():
        needing, having = np.flatnonzero(short), np.flatnonzero(spare)
        apart = np.zeros((len(needing), len(having)), dtype=np.int16)
        for one, other in zip(steps_of(needing), steps_of(having), strict=True):
            apart += np.abs(one.astype(np.int16)[:, None] - other.astype(np.int16))
        for row, column in np.argwhere(apart == apart.min()).tolist():
            moved = min(short[needing[row]], spare[having[column]])
            short[needing[row]] -= moved
            spare[having[column]] -= moved
            taken[having[column]] += moved
    return taken


def _compared(
    positives: Cells, background: Cells, *, axis: int, steps: int
) -> tuple[float, float, float]:
    shares = [
        np.bincount(steps_of(cells)[axis], minlength=steps + 1) / max(len(cells), 1)
        for cells in (positives, background)
    ]
    values = np.arange(steps + 1) / steps
    first, second = (float(share @ values) for share in shares)
    return first, second, float(np.abs(np.cumsum(shares[0] - shares[1])).max())
