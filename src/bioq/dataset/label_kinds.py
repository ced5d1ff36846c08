"""Targets whose windows in a split are all positive, or all negative.

From such windows nothing is learned, and on them every prediction has the same score or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bioq.dataset.all_bins import KEEP_GIVEN
from bioq.dataset.targets import NAME
from bioq.errors import BioqError, counted, some

if TYPE_CHECKING:
    from bioq.dataset.reading import Dataset

_CHROM_OPTION = {"valid": "--valid-chrom", "test": "--test-chrom"}


@dataclass(frozen=True)
class LabelKinds:
    """The targets that have windows of one kind only, in one split of a data set."""

    data: str
    """Where the data set is, for messages."""
    split: str
    windows: int
    targets: int
    without_positive: tuple[str, ...]
    without_negative: tuple[str, ...]
    add_negatives: str
    """What gives the data set negative windows."""
    add_positives: str

    @property
    def is_useless(self) -> bool:
        """Whether no target has both kinds; False without windows, which is another problem."""
        found = len(self.without_positive) + len(self.without_negative)
        return self.windows > 0 and found == self.targets

    def lines(self, most: int) -> Iterator[str]:
        """Yield a sentence for each kind that is missing, with up to `most` names of targets."""
        if not self.windows:
            return
        for kind, names in (
            ("negative", self.without_negative),
            ("positive", self.without_positive),
        ):
            if names:
                yield f"{self.split}: {self._subject(names, most)} no {kind} window"

    def problem(self, so: str) -> str:
        """Return one line about a split in which no target has both kinds: what is wrong, `so`
        what follows, and what to do."""
        every = f"all {counted(self.windows, 'window')} are"
        if not self.without_positive:
            found = f"{every} positive for every target"
        elif not self.without_negative:
            found = f"{every} negative for every target"
        else:
            found = "no target has both positive and negative windows"
        todo = [self.add_negatives] if self.without_negative else []
        todo += [self.add_positives] if self.without_positive else []
        return f"{self.data}: split {self.split!r}: {found}, so {so}; {', and '.join(todo)}"

    def require_both(self, so: str) -> None:
        """Raise BioqError, the line of `problem`, if no target has both kinds."""
        if self.is_useless:
            raise BioqError(self.problem(so))

    def _subject(self, names: tuple[str, ...], most: int) -> str:
        if self.targets == 1:
            return f"its target {names[0]} has"
        if len(names) == self.targets:
            return f"all {self.targets:,} targets have"
        have = "has" if len(names) == 1 else "have"
        return f"{len(names):,} of {self.targets:,} targets ({some(names, most)}) {have}"


def label_kinds(data: Dataset, split: str) -> LabelKinds:
    """Look for the targets of a split that cannot be learned or scored.

    Args:
        data: The data set.
        split: Name of the split, such as `"train"`.

    Returns:
        The targets without a positive, and those without a negative window.
    """
    chosen = data[split]
    positives, names = chosen.positives(), data.targets[NAME].to_numpy()
    return LabelKinds(
        str(data.path),
        split,
        len(chosen),
        len(names),
        tuple(map(str, names[positives == 0])),
        tuple(map(str, names[positives == len(chosen)])),
        _add_negatives(data, split),
        _add_positives(data, split),
    )


def _add_negatives(data: Dataset, split: str) -> str:
    about, chosen = data.description, data[split]
    if about.made_by != "peaks":
        return "build the data set again with windows that are negative"
    if about.options.get("keep") == KEEP_GIVEN:
        return "add bins without a peak to the file of --bins and build the data set again"
    if chosen.all_bins == len(chosen):  # there is no other bin
        return (
            "the peaks cover every bin of its contigs: give called peaks, not a segmentation or a "
            "signal, and build the data set again"
        )
    return "build the data set again with background windows (--background matched)"


def _add_positives(data: Dataset, split: str) -> str:
    if data.description.made_by != "peaks":
        return "build the data set again with windows that are positive"
    if data.folds:
        return "build the data set again with fewer folds (--folds)"
    if split in _CHROM_OPTION:
        return f"give {_CHROM_OPTION[split]} contigs with peaks and build the data set again"
    return "give more peaks, or leave more contigs to train, and build the data set again"
