"""Which bins of a genome become windows: those with a positive, and a background without a peak."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq.builders.peaks.background import (
    DEFAULT,
    MOST_POSITIVE,
    NONE,
    Background,
    BinNumbers,
    Drawn,
    Flags,
    draw_background,
)
from bioq.builders.peaks.composition import Composition, window_composition
from bioq.builders.peaks.groups import ContigGroups
from bioq.builders.peaks.labels import SparseLabels
from bioq.builders.peaks.options import PeakOptions
from bioq.genome import Genome

UNKNOWN = "of unknown bases only"
WITHOUT = "without a positive"
EXCLUDED = "excluded"

MOST_APART = 0.05
"""A larger difference between two distributions (Kolmogorov-Smirnov) is reported."""


@dataclass(frozen=True)
class KeptBins:
    """The bins that become windows, and what was done to choose them."""

    rows: BinNumbers
    """Their numbers, ascending."""
    contig_bins: npt.NDArray[np.int64]
    """`(contigs,)` bins that may be windows: not excluded, with a known base in their window."""
    dropped: dict[str, int]
    """Reason -> bins left out."""
    background: Background
    reason: str
    """Why this background was chosen; empty if it was asked for."""
    drawn: Mapping[int, Drawn]
    """Group of contigs -> its background."""
    has_repeats: bool
    """Whether the genome is soft-masked; known if a background was drawn."""
    groups: ContigGroups
    """The splits or folds."""

    def lines(self) -> Iterator[str]:
        """Yield lines about the background of the splits or folds."""
        if self.reason:
            yield self.reason
        kind = self.background.kind
        for number, drawn in self.drawn.items():
            about = _about(drawn, kind, has_repeats=self.has_repeats)
            yield f"{self.groups.names[number]}: {about}"
        if self.drawn and kind == "matched" and not self.has_repeats:
            yield (
                "the genome has no soft mask (repeats in lower case, all else in upper case), so "
                "the background is not matched in repeats"
            )


def keep_bins(
    genome: Genome,
    options: PeakOptions,
    labels: SparseLabels,
    *,
    chosen: Flags | None,
    is_excluded: Flags,
    has_peak: Flags,
    group_contigs: Callable[[BinNumbers], ContigGroups],
) -> KeptBins:
    """Choose the bins of a genome, see `labels.tile`, that become windows.

    `chosen` `(targets,)` are the targets for which a bin without background must be positive;
    None keeps every bin. `is_excluded` and `has_peak` `(bins,)` are the bins that overlap an
    excluded region, and those with a base of a peak of any target. `group_contigs` gets the bins
    that are kept before a background is added, and returns the splits or folds: the background of
    each is drawn from its contigs.
    """
    bins_of_contig = np.array([length // options.bin_bp for length in genome.lengths.values()])
    positive = ~is_excluded
    if chosen is not None:
        positive &= labels.any_of(chosen)
    background, reason = NONE, ""
    if chosen is not None:
        background, reason = _background(options, labels, positive)
    is_drawing = bool(background)
    composition = window_composition(
        genome, bin_bp=options.bin_bp, flank_bp=options.flank_bp, cells=is_drawing
    )
    may_be_window = ~is_excluded & composition.is_known
    groups = group_contigs(np.flatnonzero(positive & composition.is_known).astype(np.int32))
    group = np.repeat(groups.of_contig.astype(np.int32), bins_of_contig)
    full = [groups.names.index(split) for split in options.all_bins]
    is_full = np.isin(group, full) if full else np.zeros(len(group), dtype=bool)
    kept = (positive | (is_full & ~is_excluded)) & composition.is_known
    drawn: Mapping[int, Drawn] = {}
    if is_drawing:
        drawn = draw_background(
            background,
            positive=kept & ~is_full,
            candidate=may_be_window & ~has_peak & ~is_full,
            group=group,
            composition=composition,
            seed=options.seed,
        )
        for each in drawn.values():
            kept[each.bins] = True
    return KeptBins(
        rows=np.flatnonzero(kept).astype(np.int32),
        contig_bins=_sums(may_be_window, bins_of_contig),
        dropped=_dropped(kept, is_excluded, positive | is_full, composition),
        background=background,
        reason=reason,
        drawn=drawn,
        has_repeats=composition.has_repeats,
        groups=groups,
    )


def _background(options: PeakOptions, labels: SparseLabels, kept: Flags) -> tuple[Background, str]:
    """Return the background to add to the bins that are kept, and the reason if it is the
    default."""
    asked = options.asked_background
    if asked is not None:
        return asked, ""
    positives = labels.positives(kept)
    rate = positives.sum() / max(len(positives) * int(kept.sum()), 1)
    about = f"without it {rate:.0%} of the labels are positive"
    limit = f"the limit is {MOST_POSITIVE:.0%}"
    if rate > MOST_POSITIVE:
        return DEFAULT, f"--background {DEFAULT} was chosen, because {about} ({limit})"
    return NONE, (
        f"no background was added, because {about} ({limit}); --background matched:N adds bins "
        "without a peak"
    )


def _dropped(
    kept: Flags, is_excluded: Flags, is_wanted: Flags, composition: Composition
) -> dict[str, int]:
    """Return {reason: bins left out}; each bin has the first reason that applies."""
    return {
        EXCLUDED: int(is_excluded.sum()),
        WITHOUT: int((~is_excluded & ~is_wanted & ~kept).sum()),
        UNKNOWN: int((~is_excluded & is_wanted & ~composition.is_known).sum()),
    }


def _sums(flags: Flags, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the number of flags set in adjacent stretches of these lengths: `(stretches,)`."""
    before = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    ends = np.cumsum(lengths)
    sums: npt.NDArray[np.int64] = before[ends] - before[ends - lengths]
    return sums


def _about(drawn: Drawn, kind: str, *, has_repeats: bool) -> str:
    """Return a line about the background of a group."""
    wanted = ""
    if len(drawn.bins) < drawn.wanted:
        wanted = f" (all there are; {drawn.wanted:,} were wanted)"
    compared = {"GC": drawn.gc()} | ({"repeats": drawn.repeats()} if has_repeats else {})
    first, second, different = "", "", ""
    if len(drawn.bins):
        shares = {
            name: (f"{name} {a:.0%}", f"{name} {b:.0%}") for name, (a, b, _) in compared.items()
        }
        first, second = (f": {', '.join(of)}" for of in zip(*shares.values(), strict=True))
        apart = [f"{ks:.0%} ({name})" for name, (_, _, ks) in compared.items() if ks > MOST_APART]
        different = f"; the distributions differ by up to {', '.join(apart)}" if apart else ""
    return (
        f"{len(drawn.positives):,} positive{first}; "
        f"{len(drawn.bins):,} {kind}{wanted}{second}{different}"
    )
