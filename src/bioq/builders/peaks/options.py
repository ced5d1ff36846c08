"""The options of a data set from peaks."""

from dataclasses import dataclass
from typing import Literal

from bioq.builders import BIN_BP
from bioq.builders.peaks.background import Background, parse_background
from bioq.builders.peaks.groups import NO_CHROM
from bioq.builders.peaks.labels import Label
from bioq.dataset.all_bins import KEEP_ALL, KEEP_ANY
from bioq.dataset.folds import FoldCount
from bioq.errors import UsageError
from bioq.options import AtLeastOne, AtLeastZero, WindowBp, check_types, flag_of


@dataclass(frozen=True)
class PeakOptions:
    """How peaks become labelled windows."""

    label: Label = "half"
    """When a bin is positive: peaks cover at least half of it (half), it holds a peak's summit or
    middle (midpoint), or a peak covers one of its bases (any). The blocks of BED12 and gappedPeak
    are peaks."""
    window_bp: WindowBp = 1000
    """Length of the window that a model reads, in bases: the bin and equal flanks on its two
    sides."""
    bin_bp: AtLeastOne = BIN_BP
    """Length of a bin, which a label describes, in bases. Bins are adjacent, from each contig's
    first base; bases at its end that do not fill a bin have no bin."""
    valid_chrom: tuple[str, ...] = ("chr7",)
    """Contigs for validation, by their names in the genome or the peak files; none: no validation
    split."""
    test_chrom: tuple[str, ...] = ("chr8", "chr9")
    """Contigs for testing, by their names in the genome or the peak files; none: no test split."""
    folds: FoldCount | None = None
    """Divide the contigs into this many folds, with about equally many windows in each, instead of
    into splits: for training one model per fold (bioq train --fold)."""
    keep: str = KEEP_ANY
    """Bins to keep: positive in any target (any), every bin (all), or positive in a target of this
    name or COLUMN=VALUE of the targets, such as '*Tfbs*'; * and ? are wildcards."""
    background: str | None = None
    """Bins without a peak to add for each bin kept, from the same split: N with the same GC,
    repeats and unknown bases (matched:N), N of any (random:N), or none. By default matched:4 if
    more than 10 % of the labels of the bins kept are positive, as with one to ten files, otherwise
    none."""
    all_bins: tuple[Literal["train", "valid", "test"], ...] = ()
    """Splits with every bin of their contigs, such as test, where --keep and --background do not
    apply."""
    seed: AtLeastZero = 0
    """Seed of the background: the same seed draws the same bins."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.window_bp < self.bin_bp or (self.window_bp - self.bin_bp) % 2:
            raise UsageError(
                f"window_bp {self.window_bp} with bin_bp {self.bin_bp}: the window is the bin "
                "with equal flanks, so their difference must be even and not negative"
            )
        if self.folds is not None:
            self._refuse_splits()
        for split, chrom in (("valid", self.valid_chrom), ("test", self.test_chrom)):
            if split in self.all_bins and chrom == (NO_CHROM,):
                raise UsageError(
                    f"--all-bins {split} with --{split}-chrom {NO_CHROM}: there is no such split; "
                    "leave out one of the two"
                )
        asked = self.asked_background
        if self.keep == KEEP_ALL and (self.all_bins or asked):
            flag = "--all-bins" if self.all_bins else "--background"
            raise UsageError(
                f"--keep {KEEP_ALL} keeps every bin, so {flag} has nothing to add; leave out one "
                "of the two"
            )

    def _refuse_splits(self) -> None:
        """Raise UsageError for options of splits, beside folds."""
        names = [
            name
            for name in ("valid_chrom", "test_chrom", "all_bins")
            if getattr(self, name) != getattr(PeakOptions, name)
        ]
        if names:
            given = " and ".join(map(flag_of, names))
            raise UsageError(
                f"--folds with {given}: with folds there are no such splits, because each fold is "
                f"tested in turn; leave out {given} or --folds"
            )

    @property
    def flank_bp(self) -> int:
        """Bases on each side of the bin."""
        return (self.window_bp - self.bin_bp) // 2

    @property
    def asked_background(self) -> Background | None:
        """The background that was asked for; None for the default. Raises UsageError for a text
        in another form."""
        return None if self.background is None else parse_background(self.background)
