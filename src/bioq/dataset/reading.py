"""Read a data set folder by memory map, and check that it is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

from bioq.dataset.folds import (
    ALL,
    LEAST_FOLDS,
    MOST_FOLDS,
    Fold,
    fold_folder,
    fold_folders,
    parse_fold,
)
from bioq.dataset.layout import (
    METADATA,
    REMEDY,
    SPLITS,
    TARGETS,
    Description,
    Source,
    SplitMetadata,
    read_metadata,
)
from bioq.dataset.split import Split
from bioq.dataset.storage import Storage
from bioq.dataset.targets import TargetRows, read_target_rows
from bioq.errors import BioqError, did_you_mean, nearest, shown, some
from bioq.files.inside import kept_file, require_kept
from bioq.files.typed import name_text, record
from bioq.options import path_to, text, whole_number


class Dataset(Mapping[str, Split]):
    """An open data set: `data["test"]` is a split, `data.targets` the target table.

    A data set with folds has the splits `fold-1`, `fold-2`, ...; `data.fold(2)` is the same data
    set with the splits `train`, `valid` and `test`, of which `test` is fold 2.
    """

    def __init__(
        self,
        path: Path,
        description: Description,
        targets: TargetRows,
        stored: Mapping[str, Storage],
        fingerprint: str,
        files: dict[str, Any],
    ):
        self.path = path
        self.description = description
        self._targets = targets
        self.fingerprint = fingerprint
        """SHA-256 over all of `dataset.json`, including the files' checksums."""
        self.files = files
        """Relative path -> {"sha256", "bytes"} of every file."""
        self.folds = len(stored) if description.folds else 0
        """Number of folds; 0 for a data set with splits."""
        self.chosen: Fold | None = None
        """The fold that is the split `test`; None without folds, and before `fold` chooses one."""
        self._stored = stored
        self._splits = self._views({name: [name] for name in stored})

    def fold(self, number: int) -> Dataset:
        """Return this data set with the splits of a fold. Nothing is copied.

        Args:
            number: Number of the fold, from 1: it is `test`, the next fold (after the last the
                first) is `valid`, all others are `train`.

        Raises:
            BioqError: If the data set has no folds.
            UsageError: For a number that is no fold.
        """
        if not self.folds:
            raise BioqError(
                f"{self.path}: has no folds, but {', '.join(self._splits) or 'no split'}; build "
                "the data set with 'bioq data peaks --folds 5', or choose no fold"
            )
        fold = Fold(whole_number("fold", number, least=1, most=self.folds), self.folds)
        return self._with_splits(fold.folders(), fold)

    def every_fold(self) -> Dataset:
        """Return this data set with folds with the splits `valid` and `test`, each of all windows:
        in cross-validation each window is in the test split of one fold and in the validation split
        of another."""
        every = fold_folders(self.folds)
        return self._with_splits({"valid": every, "test": every}, None)

    def _with_splits(self, folders: Mapping[str, Sequence[str]], chosen: Fold | None) -> Dataset:
        data = copy(self)
        data.chosen, data._splits = chosen, self._views(folders)
        return data

    def _views(self, folders: Mapping[str, Sequence[str]]) -> dict[str, Split]:
        """Return splits by the names of their folders."""
        return {
            name: Split(name, [self._stored[folder] for folder in chosen], self.description)
            for name, chosen in folders.items()
        }

    def chosen_by(self, fold: str | None) -> Dataset:
        """Return this data set with the splits of the fold that `--fold` names.

        Args:
            fold: Such as `2/5`; None for the fold that is chosen already, or for a data set with
                splits.

        Raises:
            BioqError: If the data set has no such fold, or has folds and none is chosen.
        """
        if fold is None:
            if self.folds and self.chosen is None:
                raise BioqError(
                    f"{self.path}: has {self.folds} folds; name the one to test, --fold "
                    f"1/{self.folds} to --fold {self.folds}/{self.folds}, or train a model for "
                    f"each with --fold {ALL}; in Python choose it with data.fold(1)"
                )
            return self
        wanted = parse_fold(fold)
        if not self.folds:
            raise BioqError(
                f"--fold {wanted}: {self.path} has splits and no folds; omit --fold, or build the "
                f"data set with 'bioq data peaks --folds {wanted.of}'"
            )
        if wanted.of != self.folds or self.chosen not in (None, wanted):
            has = f"{self.folds} folds" if self.chosen is None else f"the splits of {self.chosen}"
            raise BioqError(
                f"--fold {wanted}: {self.path} has {has}; expected 1/{self.folds} to "
                f"{self.folds}/{self.folds}"
            )
        return self.fold(wanted.number)

    @cached_property
    def targets(self) -> pd.DataFrame:
        """One row per target, in label order; the first column is `name`."""
        return self._targets.table()

    def __getitem__(self, name: str) -> Split:
        if text("split", name) not in self._splits:
            advice = ""
            if fold_folder(1) in self._splits and name in SPLITS:
                advice = "; choose the fold to test, in Python with data.fold(1)"
            hint = did_you_mean(nearest(name, self._splits, most=1))
            raise BioqError(
                f"{self.path}: has no split {name!r}; {hint}"
                f"it has {', '.join(self._splits) or 'none'}{advice}"
            )
        return self._splits[name]

    def __contains__(self, name: object) -> bool:
        return name in self._splits

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set folder, and check its sizes, its shapes and the checksum of its metadata.

    `bioq.dataset.verify` compares the files with their checksums.

    Args:
        path: The folder.

    Returns:
        The data set, its arrays opened by memory map.

    Raises:
        BioqError: If it is not a data set, has a newer format, or a file is missing or truncated.
    """
    path = path_to("path", path)
    meta = read_metadata(path)
    check_sizes(path, meta["files"])
    description = _description(path, meta["description"])
    targets = read_target_rows(require_kept(path, TARGETS, REMEDY))
    if len(targets) != meta["targets"]:
        raise BioqError(
            f"{path / TARGETS}: has {len(targets)} targets, but {METADATA} records "
            f"{meta['targets']}; the data set is damaged, copy or build it again"
        )
    folders = fold_folders(_count_folds(path, description, meta["splits"])) or SPLITS
    unknown = [name for name in meta["splits"] if name not in folders]
    if unknown:
        raise BioqError(
            f"{path / METADATA}: has the split {shown(unknown[0])}, expected "
            f"{', '.join(folders)}; {REMEDY}"
        )
    stored = {
        name: Storage(path, name, description, len(targets), record(SplitMetadata, entry))
        for name, entry in meta["splits"].items()
    }
    if description.folds:
        _require_divided_by_contig(path, description, stored)
    return Dataset(path, description, targets, stored, meta["fingerprint"], meta["files"])


def _count_folds(path: Path, description: Description, splits: Mapping[str, Any]) -> int:
    """Return the number of folds, 0 for a data set with splits. Raises BioqError if the folds are
    not 1 to K, or are of contigs that the data set does not have."""
    folds = description.folds
    if not folds:
        return 0
    file, count = path / METADATA, len(splits)
    if not LEAST_FOLDS <= count <= MOST_FOLDS or set(splits) != set(fold_folders(count)):
        listed = some(map(name_text, splits))
        raise BioqError(
            f"{file}: has description.folds and the folders {listed}; expected "
            f"{', '.join(fold_folders(LEAST_FOLDS))} and further numbers up to {MOST_FOLDS}; "
            f"{REMEDY}"
        )
    known = set(description.contigs)
    for contig, number in folds.items():
        if contig not in known:
            raise BioqError(
                f"{file}: description.folds has the contig {shown(contig)}, which is not one of "
                f"description.contigs; {REMEDY}"
            )
        if number > count:
            raise BioqError(
                f"{file}: description.folds.{name_text(contig)} is {number}, expected 1 to "
                f"{count}; {REMEDY}"
            )
    return count


def _require_divided_by_contig(
    path: Path, description: Description, stored: Mapping[str, Storage]
) -> None:
    """Raise BioqError if a window is in another fold than that of its contig."""
    fold_of = np.array([description.folds.get(contig, 0) for contig in description.contigs])
    for number, name in enumerate(fold_folders(len(stored)), start=1):
        bins = stored[name].bins
        if bins is None or stored[name].strands_folded:
            raise BioqError(
                f"{path / METADATA}: splits.{name} has no coordinates or is strands_folded; a fold "
                f"has coordinates and stores every window; {REMEDY}"
            )
        contig = np.asarray(bins[:, 0])
        is_known = contig.min(initial=0) >= 0 and contig.max(initial=0) < len(fold_of)
        if not is_known or (fold_of[contig] != number).any():
            raise BioqError(
                f"{path / name / 'bins.npy'}: has a window on a contig that is not in this fold by "
                f"description.folds of {METADATA}; {REMEDY}"
            )


def _description(path: Path, entry: Mapping[str, Any]) -> Description:
    """Return the entry `description`, whose types are checked. Raises BioqError if lengths or bins
    are not one number for each contig, or a bin is longer than the window."""
    described = record(Description, entry)
    for name, numbers, what in (
        ("contig_bp", described.contig_bp, "length"),
        ("contig_bins", described.contig_bins, "number of bins"),
    ):
        if len(numbers) not in (0, len(described.contigs)):
            raise BioqError(
                f"{path / METADATA}: {name} is not one {what} for each of the "
                f"{len(described.contigs):,} contigs; build the data set again"
            )
    if len(set(described.contigs)) < len(described.contigs):
        raise BioqError(f"{path / METADATA}: has two contigs of one name; {REMEDY}")
    if described.bin_bp > described.window_bp:
        raise BioqError(
            f"{path / METADATA}: bin_bp is {described.bin_bp:,}, expected at most window_bp, "
            f"{described.window_bp:,}; {REMEDY}"
        )
    return replace(
        described,
        contigs=tuple(described.contigs),
        contig_bp=tuple(described.contig_bp),
        contig_bins=tuple(described.contig_bins),
        folds=dict(described.folds),
        sources=tuple(record(Source, source) for source in entry.get("sources", [])),
    )


def check_sizes(path: Path, files: Mapping[str, Any]) -> None:
    """Raise BioqError if a file, name -> {"bytes"}, is missing or has another size."""
    for name, recorded in files.items():
        file = kept_file(path, name)
        size = None if file is None else file.stat().st_size
        if size != recorded["bytes"]:
            state = "is missing" if size is None else f"has {size:,} bytes"
            raise BioqError(
                f"{path / name}: {state}, but {METADATA} records {recorded['bytes']:,}; "
                "the data set is damaged, copy or build it again"
            )
