"""Lines that report the labels: targets with no positive, or almost no negative."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bioq.builders.peaks.labels import Bins, Label, needed_bp
from bioq.errors import some

_MOST_POSITIVE = 0.95
"""A target that is positive in a larger share of windows has almost no negative."""


@dataclass
class TargetPeaks:
    """What the peaks of each target are, in the order of the targets."""

    has_peaks: list[bool] = field(default_factory=list)
    """Whether its files have a peak on the genome; reported if not."""
    is_short: list[bool] = field(default_factory=list)
    """Whether every peak is too short to make a bin positive."""
    positive_share: list[float] = field(default_factory=list)
    """Share of all bins that are positive."""

    def add(self, *, longest_bp: int, positive: int, bins: Bins, label: Label) -> None:
        """Add the next target: its longest peak on the genome, 0 without a peak, and the number of
        its positive bins."""
        is_short = label == "half" and 0 < longest_bp < needed_bp(bins.bin_bp, label)
        self.has_peaks.append(longest_bp > 0)
        self.is_short.append(is_short)
        self.positive_share.append(positive / max(len(bins), 1))


def label_warnings(
    names: Sequence[str],
    peaks: TargetPeaks,
    positives: npt.NDArray[np.int64],
    *,
    windows: int,
    half_bp: int,
    given_bins: bool,
) -> Iterator[str]:
    """Yield a line per kind of target that has no positive window, or almost no negative one.

    `positives` `(targets,)` are the positive ones of `windows`; targets without a peak on the
    genome are left out. With `given_bins` the bins are a list, and not those of the genome.
    """
    is_short = np.array(peaks.is_short, dtype=bool)
    is_none = (positives == 0) & np.array(peaks.has_peaks, dtype=bool)
    is_almost_all = positives > _MOST_POSITIVE * windows
    covers_genome = np.array(peaks.positive_share) > _MOST_POSITIVE
    learn = "so there is almost no negative to learn from"
    kinds = (
        (
            is_none & is_short,
            f"no positive window; all peaks are shorter than half a bin ({half_bp} bp), which "
            "--label half needs; give --label midpoint",
        ),
        (
            is_none & ~is_short,
            "no positive window, though there are peaks: check --label, --keep, --exclude and "
            "--bins",
        ),
        (
            is_almost_all & given_bins,
            f"a positive label in more than {_MOST_POSITIVE:.0%} of the bins of --bins, {learn}; "
            "add bins without a peak",
        ),
        (
            is_almost_all & covers_genome & (not given_bins),
            f"a positive label in more than {_MOST_POSITIVE:.0%} of all bins: is the file a "
            "segmentation or a signal? Give the intervals of one state, or called peaks",
        ),
        (
            is_almost_all & ~covers_genome & (not given_bins),
            f"a positive label in more than {_MOST_POSITIVE:.0%} of the windows, {learn}; "
            "--background matched adds bins without a peak",
        ),
    )
    for chosen, problem in kinds:
        named = [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]
        if named:
            yield (f"warning: {some(named)} ({len(named):,} of {len(names):,} targets): {problem}")
