"""Makes a data set from DeepSEA's .mat files, or from files in the same layout.

The bundle (http://deepsea.princeton.edu, training bundle v0.9) holds `train.mat` (MATLAB v7.3, that
is HDF5), `valid.mat` and `test.mat` (MATLAB v5): windows one-hot in the order A, G, C, T, and 0/1
labels of 919 targets. The second half of each file is the reverse complement of the first half.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.builders import BIN_BP
from bioq.builders.deepsea.bins import BinArray, BinTable, read_bins
from bioq.builders.deepsea.matlab import NotNumeric, V5Array, Variable, open_mat
from bioq.builders.deepsea.rows import (
    NumericArray,
    RowStream,
    bits_of_labels,
    codes_of_one_hot,
)
from bioq.dataset import (
    FOLDER_KIND,
    SPLITS,
    DatasetWriter,
    Description,
    Source,
    SplitWriter,
    new_dataset,
)
from bioq.dataset.targets import read_target_table
from bioq.errors import BioqError, UsageError
from bioq.files import refuse_input, require_absent
from bioq.files.streams import input_name, kept_streams, stored
from bioq.genome.builds import build_named
from bioq.progress import Advance, progress, say
from bioq.published.data import DEEPSEA_TARGETS, GENOME
from bioq.published.targets import DEEPSEA_TARGET_TABLE, numbered_targets


@kept_streams()
def import_deepsea(
    out: Path,
    *,
    train: Path | None = None,
    valid: Path | None = None,
    test: Path | None = None,
    bed: Path | None = None,
    targets: Path | None = None,
    force: bool = False,
) -> None:
    """Make the data set folder `out` from one or more of the three .mat files, in bounded memory.

    If the second half of a file is the reverse complement of the first half (every row is
    checked), only the first half is stored. `bed` (allTFs.pos.bed) gives coordinates. `targets` is
    a target table for files whose targets are not DeepSEA's 919. Each file may be v5 or v7.3,
    recognised by its content. With `force` a data set that is there is replaced.

    Raises UsageError if no file is given, BioqError if a file is not in DeepSEA's layout.
    """
    given = {"train": train, "valid": valid, "test": test}
    paths = {split: Path(path) for split, path in given.items() if path is not None}
    if not paths:
        raise UsageError("no .mat file was given; give at least one of --train, --valid, --test")
    require_absent(Path(out), replaces=FOLDER_KIND if force else None)
    refuse_input(Path(out), *paths.values(), bed, targets)
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context(_open(split, path)) for split, path in paths.items()}
        first = _agree(files)
        table = _target_table(first, targets)
        bins = None if bed is None else read_bins(Path(bed))
        is_deepsea = targets is None and first.targets == DEEPSEA_TARGETS
        plans = _plans(files, bins)
        description = Description(
            made_by="deepsea",
            window_bp=first.window_bp,
            bin_bp=BIN_BP,
            label_rule="half",
            contigs=() if bins is None else bins.contigs,
            sources=tuple(
                _source(Path(path)) for path in [*paths.values(), *([bed] if bed else [])]
            ),
            contig_bp=() if bins is None or not is_deepsea else _hg19_lengths(bins),
        )
        with new_dataset(out, description, table, force=force) as writer:
            train_windows = None
            for split, file in files.items():
                windows = _write(writer, file, plans[split], bins, train_windows)
                if split == "train":
                    train_windows = windows


def _hg19_lengths(bins: BinTable) -> tuple[int, ...]:
    """Return the lengths of contigs in hg19, DeepSEA's genome; () if a bin is not on it."""
    hg19 = build_named(GENOME)
    lengths = [None if hg19 is None else hg19.length_of(name) for name in bins.contigs]
    known = tuple(bp for bp in lengths if bp is not None)
    if len(known) != len(lengths):
        return ()
    ends = bins.bins[:, 1] + BIN_BP
    return known if (ends <= np.array(known)[bins.bins[:, 0]]).all() else ()


@dataclass(frozen=True)
class _MatFile:
    """An open .mat file: the windows and labels of a split."""

    split: str
    path: Path
    rows: int
    window_bp: int
    targets: int
    windows: RowStream
    labels: RowStream
    planes_to_load: int
    """Planes to read into memory first (v5); 0 for HDF5."""

    def blocks(self, start: int, stop: int) -> Iterator[tuple[dna.Bytes, dna.Bytes]]:
        """Yield (codes `(n, window_bp)`, packed labels `(n, ceil(targets / 8))`)."""
        return zip(self.windows.blocks(start, stop), self.labels.blocks(start, stop), strict=True)


@contextlib.contextmanager
def _open(split: str, path: Path) -> Iterator[_MatFile]:
    """Open the file of a split, and check names and shapes."""
    with open_mat(path) as variables:
        windows = _variable(variables, f"{split}xdata", split, path)
        labels = _variable(variables, f"{split}data", split, path)
        _check_shapes(windows, labels)
        v5 = [array for array in (windows, labels) if isinstance(array, V5Array)]
        yield _MatFile(
            split=split,
            path=path,
            rows=windows.shape[-1],
            window_bp=windows.shape[0],
            targets=labels.shape[0],
            windows=RowStream(windows, codes_of_one_hot, planes_per_row=1),
            labels=RowStream(labels, bits_of_labels, planes_per_row=8),
            planes_to_load=sum(array.shape[0] for array in v5),
        )


def _variable(variables: Mapping[str, Variable], name: str, split: str, path: Path) -> NumericArray:
    expected = f"{split}xdata and {split}data"
    if name not in variables:
        for candidate in SPLITS:
            if candidate != split and f"{candidate}xdata" in variables:
                raise BioqError(
                    f"{path}: was given as --{split} but holds {candidate}xdata; "
                    f"expected {expected}; give this file as --{candidate}"
                )
        listed = ", ".join(sorted(variables)) or "nothing"
        raise BioqError(f"{path}: has no variable {name!r}; found {listed}; expected {expected}")
    variable = variables[name]
    if isinstance(variable, NotNumeric):
        raise BioqError(
            f"{path}: {name} is a {variable.kind}; expected a full array of 0 and 1; "
            "save it as a full array, for example uint8(full(...))"
        )
    return variable


def _check_shapes(windows: NumericArray, labels: NumericArray) -> None:
    """Check shapes; messages show them as MATLAB does, with the axes reversed."""
    path, name = windows.path, windows.name
    shapes = f"{name} is {windows.shape[::-1]} and {labels.name} {labels.shape[::-1]}"
    expected = "expected (windows, 4, length) and (windows, targets), as MATLAB shows them"
    if len(windows.shape) != 3 or len(labels.shape) != 2 or windows.shape[1] != 4:
        raise BioqError(f"{path}: {shapes}; {expected}")
    if windows.shape[-1] != labels.shape[-1]:
        if windows.shape[0] in labels.shape:
            expected += "; the axes are in the opposite order, save them transposed"
        raise BioqError(f"{path}: {shapes}: their rows differ; {expected}")
    if 0 in windows.shape or 0 in labels.shape:
        raise BioqError(f"{path}: {shapes}: empty; {expected}")
    if windows.shape[0] < BIN_BP:
        raise BioqError(
            f"{path}: {shapes}; the windows are shorter than the bin of {BIN_BP} bp in their middle"
        )


def _agree(files: Mapping[str, _MatFile]) -> _MatFile:
    """Return the first file, after a check that all files have the same targets and windows."""
    first, *later = files.values()
    for file in later:
        if (file.targets, file.window_bp) != (first.targets, first.window_bp):
            raise BioqError(
                f"{file.path}: has {file.targets} targets and windows of {file.window_bp} bp, "
                f"{first.path} has {first.targets} and {first.window_bp} bp; "
                "give files of one data set"
            )
    return first


def _target_table(file: _MatFile, targets: Path | None) -> pd.DataFrame:
    if targets is not None:
        table = read_target_table(targets, by_hand=True)
        if len(table) != file.targets:
            raise BioqError(
                f"{targets}: names {len(table)} targets, but {file.path} has {file.targets}; "
                "give one row per target, in column order"
            )
        return table
    if file.targets == DEEPSEA_TARGETS:
        return read_target_table(DEEPSEA_TARGET_TABLE)
    say(
        f"{file.path}: has {file.targets} targets, not DeepSEA's {DEEPSEA_TARGETS}: they are named "
        f"target_0 .. target_{file.targets - 1}; give a target table to name them"
    )
    return numbered_targets(file.targets)


def _plans(files: Mapping[str, _MatFile], bins: BinTable | None) -> dict[str, list[bool]]:
    """Return, for each split, the ways to store it that the BED file allows: True is folded.

    Raises BioqError, before any long work, if the BED file allows no way.
    """
    plans: dict[str, list[bool]] = {}
    train_windows = None
    for split, file in files.items():
        plan, refusals = [], []
        for folded in [True, False] if file.rows % 2 == 0 else [False]:
            windows = file.rows // 2 if folded else file.rows
            try:
                if bins is not None:
                    bins.of_split(split, windows, train_windows)
                plan.append(folded)
            except BioqError as error:
                refusals.append(error)
        if not plan:
            raise refusals[0]
        plans[split] = plan
        if split == "train":
            train_windows = file.rows // 2 if plan[0] else file.rows
    return plans


def _write(
    writer: DatasetWriter,
    file: _MatFile,
    plan: list[bool],
    bins: BinTable | None,
    train_windows: int | None,
) -> int:
    """Write a split, folded if its halves are two strands; return its number of windows."""
    if file.planes_to_load:
        with progress(
            f"{file.split}: read {file.path.name}", file.planes_to_load, "planes"
        ) as step:
            file.windows.load(step)
            file.labels.load(step)
    if file.rows % 2:
        say(f"{file.split}: an odd number of rows, {file.rows:,}, cannot be two strands of each")
    for folded in plan:
        windows = file.rows // 2 if folded else file.rows
        where = None if bins is None else bins.of_split(file.split, windows, train_windows)
        with (
            progress(file.split, file.rows, "rows") as advance,
            writer.split(file.split, strands_folded=folded) as split,
        ):
            unknown = _UnknownCount()
            differs = _append(split, file, folded, where, unknown, advance)
        if differs is None:
            strands = "two strands of each, folded" if folded else "stored unchanged"
            say(f"{file.split}: {file.rows:,} rows, {strands}: {windows:,} windows")
            file.windows.release()
            file.labels.release()
            unknown.report(file.split)
            return windows
        writer.drop_split(file.split)
        say(
            f"{file.split}: row {windows + differs:,} is not the reverse complement of row "
            f"{differs:,} (counted from 0), so every row is stored"
        )
    raise BioqError(
        f"{file.path}: its halves are not two strands of the same windows, and the BED file has "
        f"no lines for all {file.rows:,} rows; leave the BED out"
    )


def _append(
    split: SplitWriter,
    file: _MatFile,
    folded: bool,
    bins: BinArray | None,
    unknown: "_UnknownCount",
    advance: Advance,
) -> int | None:
    """Append all rows, or the first half; return the first row whose strands differ."""
    stop = file.rows // 2 if folded else file.rows
    opposite = file.blocks(stop, 2 * stop) if folded else repeat(None)
    done = 0
    for (codes, labels), second in zip(file.blocks(0, stop), opposite, strict=False):
        if second is not None:
            differs = _first_difference(dna.reverse_complement(codes), labels, *second)
            if differs is not None:
                return done + differs
        end = done + len(codes)
        split.append(codes, labels, None if bins is None else bins[done:end])
        unknown.add(codes)
        advance(len(codes) * (2 if folded else 1))
        done = end
    return None


def _first_difference(
    codes: dna.Bytes, labels: dna.Bytes, second_codes: dna.Bytes, second_labels: dna.Bytes
) -> int | None:
    if np.array_equal(codes, second_codes) and np.array_equal(labels, second_labels):
        return None
    differs: npt.NDArray[np.bool_] = (codes != second_codes).any(axis=1)
    differs |= (labels != second_labels).any(axis=1)
    return int(np.argmax(differs))


class _UnknownCount:
    """Counts the windows with unknown bases."""

    def __init__(self) -> None:
        self._some = 0
        self._all = 0

    def add(self, codes: dna.Bytes) -> None:
        if codes.max(initial=0) == dna.UNKNOWN:
            self._some += int((codes.max(axis=1) == dna.UNKNOWN).sum())
            self._all += int((codes.min(axis=1) == dna.UNKNOWN).sum())

    def report(self, split: str) -> None:
        if self._some:
            say(
                f"{split}: {self._some:,} windows hold unknown bases (all zeros, N), "
                f"{self._all:,} of them nothing else; they are kept, with a mask"
            )


def _source(path: Path) -> Source:
    """Describe a file as `Source.of` does, with progress, because the files are large."""
    digest = hashlib.sha256()
    source = stored(path)
    size = source.stat().st_size
    with open(source, "rb") as file, progress(f"checksum of {path}", size, "bytes") as advance:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            advance(len(chunk))
    return Source(input_name(path), digest.hexdigest(), size)
