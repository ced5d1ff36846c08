"""Where motifs are in windows, by FIMO."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.errors import UsageError
from bioq.fast.threads import same_threads
from bioq.files import uninterrupted
from bioq.genome.windows import middle_start
from bioq.motifs import Motif
from bioq.options import whole_number
from bioq.progress import progress

Numbers = npt.NDArray[np.int64]

THRESHOLD = 1e-4
"""FIMO's: the best site of a position on either strand has a smaller p-value. A motif of up to 7 bp
whose best site has a larger one has its best site only."""
_MOTIFS_AT_ONCE = 64
"""Motifs whose hits are in memory together: about 0.2 per window each."""


@dataclass(frozen=True)
class Occurrences:
    """The best site of a motif in each of some windows, those with the highest scores first."""

    window: Numbers
    """Number of the window `(n,)`, each at most once."""
    start: Numbers
    """First base of the site in the window `(n,)`."""
    found: int
    """Windows with a site; `n` of them or more."""

    def __len__(self) -> int:
        return len(self.window)

    def first(self, number: int) -> "Occurrences":
        """Return the sites with the highest scores."""
        return Occurrences(self.window[:number], self.start[:number], self.found)


def find_occurrences(
    windows: dna.Bytes, motifs: Sequence[Motif], *, most: int, span_bp: int | None = None
) -> list[Occurrences]:
    """Return where each motif is in windows of codes uint8 `(n, window_bp)`, on either strand.

    Sites count whose middle is among the middle `span_bp` bases of their window, by default all. Of
    each window the site with the highest score counts, of all windows the `most` with the
    highest scores. Sites are those of FIMO (Grant et al. 2011) by memelite: log-odds against equal
    shares of the bases, p < `THRESHOLD`. Raises UsageError if memelite is not installed.
    """
    windows = dna.checked_codes(windows, axes=2, name="windows")
    most = whole_number("most", most, least=1)
    window_bp = windows.shape[1]
    span_bp = window_bp if span_bp is None else whole_number("span_bp", span_bp, least=1)
    first, last = _span(window_bp, span_bp)
    longest = max(map(len, motifs))
    cut = max(first - longest, 0)
    hot = dna.one_hot(windows[:, cut : last + longest]).astype(np.int8)
    found: list[Occurrences] = []
    with progress("find sites", len(motifs), "motifs") as advance:
        for at in range(0, len(motifs), _MOTIFS_AT_ONCE):
            group = motifs[at : at + _MOTIFS_AT_ONCE]
            for motif, hits in zip(group, _hits(hot, group), strict=True):
                start = hits["start"].to_numpy(np.int64) + cut
                middle = start + len(motif) // 2
                inside = hits[(middle >= first) & (middle < last)]
                found.append(_best_of_windows(inside, cut, most))
            advance(len(group))
    return found


def _span(window_bp: int, span_bp: int) -> tuple[int, int]:
    """Return the interval of the middle bases of a window, or all of it."""
    first = max(middle_start(0, window_bp, span_bp), 0)
    return first, min(first + span_bp, window_bp)


def _hits(hot: npt.NDArray[np.int8], motifs: Sequence[Motif]) -> list[pd.DataFrame]:
    """Return the hits of each motif in one-hot windows `(n, 4, length)`."""
    fimo = load_fimo()
    found: dict[int, pd.DataFrame] = {}
    thresholds = [max(THRESHOLD, 2 * 4.0 ** -len(motif)) for motif in motifs]
    for threshold in set(thresholds):
        numbers = [number for number, each in enumerate(thresholds) if each == threshold]
        matrices = {str(number): motifs[number].probabilities.T.copy() for number in numbers}
        with same_threads(), uninterrupted():  # the first call compiles it
            tables = fimo(matrices, hot, threshold=threshold)
        found.update(zip(numbers, tables, strict=True))
    return [found[number] for number in range(len(motifs))]


def _best_of_windows(hits: pd.DataFrame, cut: int, most: int) -> Occurrences:
    """Return the best hit of each window; `cut` is where hits count from."""
    window, start = (hits[name].to_numpy(np.int64) for name in ("sequence_name", "start"))
    score = hits["score"].to_numpy(np.float64)
    order = np.lexsort((start, -score, window))
    _, firsts = np.unique(window[order], return_index=True)
    best = order[firsts]
    chosen = best[np.argsort(-score[best], kind="stable")[:most]]
    return Occurrences(window[chosen], start[chosen] + cut, len(best))


def load_fimo() -> Callable[..., list[pd.DataFrame]]:
    """Return FIMO of memelite. Raises UsageError if memelite is not installed."""
    try:
        with uninterrupted():
            from memelite import fimo
    except ImportError as error:
        raise UsageError(
            "finding motifs in windows needs the package memelite; pip install 'bioq[motifs]'"
        ) from error
    scan: Callable[..., list[pd.DataFrame]] = fimo
    return scan
