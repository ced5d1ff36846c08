"""Read a data set folder by memory map, and check that it is complete."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

from bioq import dna
from bioq.dataset.blocks import block_numbers
from bioq.dataset.layout import (
    METADATA,
    REMEDY,
    SPLITS,
    TARGETS,
    Description,
    Source,
    SplitMetadata,
    npy_header,
    read_metadata,
    unpack_labels,
)
from bioq.dataset.targets import TargetRows, read_target_rows
from bioq.errors import BioqError, UsageError, shown
from bioq.files.inside import kept_file, require_kept
from bioq.files.typed import record
from bioq.options import found, path_to, text, whole_number

Rows = slice | Sequence[int] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Batch:
    """Windows and their labels, decoded."""

    windows: dna.Bytes
    """One-hot uint8 `(n, 4, window_bp)`, order A, C, G, T, forward strand."""
    labels: dna.Bytes
    """uint8 0/1 `(n, targets)`."""


@dataclass(frozen=True)
class PackedBatch:
    """Windows and their labels as stored; the device that uses them decodes them."""

    sequence: dna.Bytes
    """uint8 `(n, ceil(window_bp / 4))`; see `dna.pack`."""
    mask: dna.Bytes | None
    """uint8 `(n, ceil(window_bp / 8))`, or None if every base of these windows is known."""
    labels: dna.Bytes
    """uint8 `(n, ceil(targets / 8))`; target t in bit t mod 8 of byte t // 8."""


class Split:
    """One split of an open data set; `len()` is the number of windows stored."""

    def __init__(
        self,
        folder: Path,
        name: str,
        description: Description,
        targets: int,
        metadata: SplitMetadata,
    ):
        self.name = name
        self.window_bp = description.window_bp
        self.targets = targets
        self.strands_folded = metadata.strands_folded
        """Whether the source had every window on both strands and only the first is stored."""
        self.contigs = description.contigs
        """Names of the contigs that `bin_starts` numbers; empty without coordinates."""
        self.genome_bins = metadata.genome_bins
        """Bins of the split's contigs that may be windows, stored here or not; None if it is not
        known."""
        windows, masked = metadata.windows, metadata.masked_windows
        self._windows = windows
        self._bin_bp = description.bin_bp
        width = description.window_bp
        self._sequence = self._map(folder, "sequence", (windows, dna.packed_bytes(width)), np.uint8)
        self._labels = self._map(folder, "labels", (windows, -(-targets // 8)), np.uint8)
        self._mask_rows = np.array(self._map(folder, "mask_rows", (masked,), np.int64))
        self._mask = self._map(folder, "mask", (masked, -(-width // 8)), np.uint8)
        self._check_rows(folder)
        self._bins = (
            self._map(folder, "bins", (windows, 2), np.int32) if metadata.has_coordinates else None
        )

    def _check_rows(self, folder: Path) -> None:
        """Raise BioqError if the rows of the masks are not rows of this split, in order."""
        rows = self._mask_rows
        if len(rows) and (rows[0] < 0 or rows[-1] >= self._windows or (np.diff(rows) < 1).any()):
            raise BioqError(
                f"{folder / self.name / 'mask_rows.npy'}: is not an ascending list of the numbers "
                f"0 to {self._windows - 1:,}; {REMEDY}"
            )

    def __len__(self) -> int:
        return self._windows

    def read(self, rows: Rows) -> Batch:
        """Return the windows and labels of `rows`, in this order: numbers from 0, negative ones
        from the end, or a slice. Raises BioqError for other rows."""
        packed = self.read_packed(rows)
        codes = dna.unpack(packed.sequence, self.window_bp, packed.mask)
        return Batch(dna.one_hot(codes), unpack_labels(packed.labels, self.targets))

    def read_packed(self, rows: Rows) -> PackedBatch:
        """Return the packed windows and labels of `rows`, copied into memory."""
        numbers = self._row_numbers(rows)
        return PackedBatch(
            _read_rows(self._sequence, numbers),
            self._mask_of(numbers),
            _read_rows(self._labels, numbers),
        )

    def labels(self) -> dna.Bytes:
        """Return every label of the split: uint8 `(windows, targets)`."""
        return unpack_labels(np.asarray(self._labels), self.targets)

    def bin_starts(self) -> npt.NDArray[np.int32]:
        """Return the contig number and the start of the bin of every window: `(windows, 2)`.

        Raises BioqError if the data set has no coordinates.
        """
        if self._bins is None:
            raise BioqError(
                f"split {self.name!r} has no coordinates: its source files have none "
                "(for DeepSEA's files, pass --bed allTFs.pos.bed to 'bioq data deepsea')"
            )
        return np.asarray(self._bins)

    def bins(self) -> pd.DataFrame:
        """Return the bin of every window as columns chrom, start, end (0-based, half-open).

        Raises BioqError if the data set has no coordinates.
        """
        import pandas as pd

        contig, start = self.bin_starts().T
        if contig.min(initial=0) < 0 or contig.max(initial=0) >= len(self.contigs):
            raise BioqError(
                f"{self.name}/bins.npy: has the numbers of contigs that {METADATA} does not name; "
                f"{REMEDY}"
            )
        chrom = pd.Categorical.from_codes(contig, categories=pd.Index(self.contigs))
        return pd.DataFrame({"chrom": chrom, "start": start, "end": start + self._bin_bp})

    def blocks(self) -> npt.NDArray[np.int64]:
        """Return the number of the block of the genome of each window: int64 `(windows,)`, from 0.

        See `dataset.blocks`; without coordinates, a block is a run of neighbouring rows.
        """
        return block_numbers(self._bins, windows=len(self), bin_bp=self._bin_bp)

    def masks(self) -> tuple[npt.NDArray[np.int64], dna.Bytes]:
        """Return the numbers of the windows with unknown bases, ascending, and their masks:
        int64 `(k,)` and uint8 `(k, ceil(window_bp / 8))`."""
        return self._mask_rows, np.array(self._mask)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the packed sequences, masks and labels."""
        return int(self._sequence.nbytes + self._mask.nbytes + self._labels.nbytes)

    @property
    def has_coordinates(self) -> bool:
        """Whether the data set has the genomic position of every window."""
        return self._bins is not None

    @property
    def masked_windows(self) -> int:
        """Number of windows with a base that is not A, C, G or T."""
        return len(self._mask_rows)

    def positives(self) -> npt.NDArray[np.int64]:
        """Return the number of positive windows of each target: int64 `(targets,)`."""
        counts = np.zeros(self.targets, dtype=np.int64)
        for start in range(0, len(self), 1 << 16):
            rows = np.arange(start, min(start + (1 << 16), len(self)))
            counts += unpack_labels(_read_rows(self._labels, rows), self.targets).sum(
                axis=0, dtype=np.int64
            )
        return counts

    def _row_numbers(self, rows: Rows) -> npt.NDArray[np.int64]:
        if isinstance(rows, slice):
            bounds = {"start": rows.start, "stop": rows.stop, "step": rows.step}
            for name, bound in bounds.items():
                if bound is not None:
                    whole_number(f"rows: {name}", bound)
            if rows.step == 0:
                raise UsageError("rows: step 0; expected another number")
            return np.arange(*rows.indices(self._windows), dtype=np.int64)
        numbers = dna.as_array(rows)
        if numbers.shape == (0,):
            return np.empty(0, dtype=np.int64)
        if numbers.dtype == bool and numbers.shape == (self._windows,):
            return np.flatnonzero(numbers)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise BioqError(
                f"rows {found(rows)}; expected a slice, a sequence of whole numbers, or a mask of "
                f"all {self._windows} windows"
            )
        if numbers.min() < -self._windows or numbers.max() >= self._windows:
            raise BioqError(
                f"split {self.name!r} has {self._windows} windows; "
                f"found rows {numbers.min()} .. {numbers.max()}"
            )
        return numbers.astype(np.int64) % self._windows

    def _mask_of(self, rows: npt.NDArray[np.int64]) -> dna.Bytes | None:
        if not len(self._mask_rows):
            return None
        where = np.searchsorted(self._mask_rows, rows)
        where[where == len(self._mask_rows)] = 0
        masked = self._mask_rows[where] == rows
        if not masked.any():
            return None
        mask = np.zeros((len(rows), self._mask.shape[1]), dtype=np.uint8)
        mask[masked] = self._mask[where[masked]]
        return mask

    def _map(self, folder: Path, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        file = require_kept(folder, f"{self.name}/{name}.npy", REMEDY)
        return _open_array(file, shape, np.dtype(dtype))


class Dataset(Mapping[str, Split]):
    """An open data set: `data["test"]` is a split, `data.targets` the target table."""

    def __init__(
        self,
        path: Path,
        description: Description,
        targets: TargetRows,
        splits: dict[str, Split],
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
        self._splits = splits

    @cached_property
    def targets(self) -> pd.DataFrame:
        """One row per target, in label order; the first column is `name`."""
        return self._targets.table()

    def __getitem__(self, name: str) -> Split:
        if text("split", name) not in self._splits:
            raise BioqError(
                f"{self.path}: has no split {name!r}; it has {', '.join(self._splits) or 'none'}"
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

    Raises BioqError if it is not a data set, has a newer format, or a file is missing or truncated.
    `bioq.dataset.checksums` compares the files with their checksums.
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
    unknown = [name for name in meta["splits"] if name not in SPLITS]
    if unknown:
        raise BioqError(
            f"{path / METADATA}: has the split {shown(unknown[0])}, expected "
            f"{', '.join(SPLITS)}; {REMEDY}"
        )
    splits = {
        name: Split(path, name, description, len(targets), record(SplitMetadata, entry))
        for name, entry in meta["splits"].items()
    }
    return Dataset(path, description, targets, splits, meta["fingerprint"], meta["files"])


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


def _open_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Open a .npy file by memory map; an empty file, which cannot be mapped, as an empty array.

    The header is compared, not parsed: NumPy's parser fails in many ways on a damaged header.
    """
    header = npy_header(shape, dtype)
    size = len(header) + math.prod(shape) * dtype.itemsize
    try:
        with open(path, "rb") as file:
            first = file.read(len(header))
        if first != header or path.stat().st_size != size:
            raise BioqError(
                f"{path}: is not the .npy file of {dtype} {shape} that {METADATA} describes; "
                "the file is damaged, copy or build the data set again"
            )
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, mode="r", offset=len(header), shape=shape)
    except OSError as error:
        raise BioqError(f"{path}: could not be read: {error.strerror}") from error


def _read_rows(array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return a copy of rows of a mapped array, without reading through the map.

    Reading a page through the map also maps the pages around it that the system has in memory, up
    to megabytes, and all of them count as memory of this process: a thousand random rows map the
    whole data set.
    """
    if not isinstance(array, np.memmap) or not len(rows) or not hasattr(os, "pread"):
        return np.array(array[rows])
    row_bytes = array.strides[0]
    new_run = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)  # runs of adjacent rows
    lengths = np.diff(new_run, append=len(rows)) * row_bytes
    starts = rows[new_run] * row_bytes + array.offset
    path = str(array.filename)
    with open(path, "rb", buffering=0) as file:
        runs = [
            os.pread(file.fileno(), length, start)
            for length, start in zip(lengths.tolist(), starts.tolist(), strict=True)
        ]
    if sum(map(len, runs)) != len(rows) * row_bytes:
        raise BioqError(f"{path}: became shorter after it was opened; build the data set again")
    values = np.frombuffer(bytearray().join(runs), array.dtype)
    return values.reshape(len(rows), *array.shape[1:])
