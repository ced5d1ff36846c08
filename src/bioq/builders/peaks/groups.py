"""The splits or folds of a data set: groups of contigs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq.builders.peaks.labels import Bins
from bioq.dataset import SPLITS
from bioq.dataset.folds import assign_folds, fold_folders
from bioq.errors import BioqError, UsageError, did_you_mean, nearest, some
from bioq.genome import ContigNames

NO_CHROM = "none"
_SHOWN = 30
"""Contigs that an error names, at most."""


@dataclass(frozen=True)
class ContigGroups:
    """The splits or the folds of a data set, and which of them each contig is in."""

    names: tuple[str, ...]
    """`train`, `valid` and `test`, or `fold-1` to `fold-K`."""
    of_contig: npt.NDArray[np.int64]
    """Number in `names` of the group of each contig, `(contigs,)`; -1 for a contig without a
    bin."""
    are_folds: bool

    def folds(self, contigs: Sequence[str]) -> Mapping[str, int]:
        """Return contig -> fold, from 1; {} for splits."""
        if not self.are_folds:
            return {}
        numbers = zip(contigs, self.of_contig.tolist(), strict=True)
        return {contig: number + 1 for contig, number in numbers if number >= 0}


def groups_by_name(
    names: ContigNames, valid_chrom: Sequence[str], test_chrom: Sequence[str]
) -> ContigGroups:
    """Return the splits: the contigs that are named for validation and testing, and all others."""
    split = np.zeros(len(names.contigs), dtype=np.int64)
    for number, flag, chosen in (
        (1, "--valid-chrom", valid_chrom),
        (2, "--test-chrom", test_chrom),
    ):
        for name in chosen:
            if name == NO_CHROM and len(chosen) == 1:
                continue
            contig = names.find(name)
            if contig is None:
                # Of a few contigs, all are shown; chr7, the default, resembles each of them.
                near = nearest(name, names.contigs) if len(names.contigs) > _SHOWN else []
                raise BioqError(
                    f"{flag} {name}: {names.genome.path} has no such contig; {did_you_mean(near)}"
                    f"it has {some(names.contigs, _SHOWN)}; give {flag} one of them, or "
                    f"'{NO_CHROM}'"
                )
            if split[contig] not in (0, number):
                raise UsageError(
                    f"{name} is in both --valid-chrom and --test-chrom; a contig has one split"
                )
            split[contig] = number
    return ContigGroups(SPLITS, split, are_folds=False)


def balanced_folds(
    bins: Bins,
    rows: npt.NDArray[np.int32],
    is_positive: npt.NDArray[np.bool_],
    count: int,
) -> ContigGroups:
    """Return folds with about equally many of the bins `rows`, and of their positives.

    `is_positive` is `(bins,)`: whether the bin is positive for any target. See `assign_folds`.
    Without `rows` no contig has a fold, so that the caller can say why no bin is left.
    """
    contigs = len(bins.offsets) - 1
    if not len(rows):
        none = np.full(contigs, -1, dtype=np.int64)
        return ContigGroups(fold_folders(count), none, are_folds=True)

    def per_contig(chosen: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        return np.bincount(bins.local(chosen)[0], minlength=contigs)

    all_bins = np.diff(np.searchsorted(bins.start, bins.offsets)).astype(np.int64)
    positives = per_contig(rows[is_positive[rows]])
    fold = assign_folds(per_contig(rows), positives, all_bins, count)
    return ContigGroups(fold_folders(count), fold - 1, are_folds=True)
