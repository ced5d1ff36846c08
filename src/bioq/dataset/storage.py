"""The arrays of one folder of windows, opened by memory map: a split's, or a fold's."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.dataset.layout import (
    METADATA,
    REMEDY,
    Description,
    SplitMetadata,
    npy_header,
    unpack_labels,
)
from bioq.errors import BioqError
from bioq.files.inside import require_kept

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class PackedBatch:
    """Windows and their labels as stored; the device that uses them decodes them."""

    sequence: dna.Bytes
    """uint8 `(n, ceil(window_bp / 4))`; see `dna.pack`."""
    mask: dna.Bytes | None
    """uint8 `(n, ceil(window_bp / 8))`, or None if every base of these windows is known."""
    labels: dna.Bytes
    """uint8 `(n, ceil(targets / 8))`; target t in bit t mod 8 of byte t // 8."""


class Storage:
    """The windows of one folder; `len()` is their number.

    Raises BioqError if a file is missing, or is not what `dataset.json` describes.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        description: Description,
        targets: int,
        metadata: SplitMetadata,
    ):
        self.name = name
        """The folder's name in the data set."""
        self.targets = targets
        self.strands_folded = metadata.strands_folded
        self.all_bins = metadata.all_bins
        windows, masked = metadata.windows, metadata.masked_windows
        self._windows = windows
        width = description.window_bp
        self._sequence = self._map(folder, "sequence", (windows, dna.packed_bytes(width)), np.uint8)
        self._labels = self._map(folder, "labels", (windows, -(-targets // 8)), np.uint8)
        self.mask_rows = np.array(self._map(folder, "mask_rows", (masked,), np.int64))
        """Rows of the windows with unknown bases, ascending: int64 `(k,)`."""
        self.mask = self._map(folder, "mask", (masked, -(-width // 8)), np.uint8)
        """Their masks: uint8 `(k, ceil(window_bp / 8))`."""
        self._check_rows(folder)
        self.bins: npt.NDArray[np.int32] | None = (
            self._map(folder, "bins", (windows, 2), np.int32) if metadata.has_coordinates else None
        )
        """Contig number and start of the bin of every window, `(windows, 2)`; None if not known."""

    def _check_rows(self, folder: Path) -> None:
        """Raise BioqError if the rows of the masks are not rows of this folder, in order."""
        rows = self.mask_rows
        if len(rows) and (rows[0] < 0 or rows[-1] >= self._windows or (np.diff(rows) < 1).any()):
            raise BioqError(
                f"{folder / self.name / 'mask_rows.npy'}: is not an ascending list of the numbers "
                f"0 to {self._windows - 1:,}; {REMEDY}"
            )

    def __len__(self) -> int:
        return self._windows

    @property
    def stored_bytes(self) -> int:
        """Bytes of the packed sequences, masks and labels."""
        return int(self._sequence.nbytes + self.mask.nbytes + self._labels.nbytes)

    def read(self, rows: npt.NDArray[np.int64]) -> PackedBatch:
        """Return the packed windows and labels of rows, copied into memory."""
        return PackedBatch(
            read_rows(self._sequence, rows), self._mask_of(rows), read_rows(self._labels, rows)
        )

    def labels(self) -> dna.Bytes:
        """Return every label: uint8 `(windows, targets)`."""
        return unpack_labels(np.asarray(self._labels), self.targets)

    @cached_property
    def positives(self) -> npt.NDArray[np.int64]:
        """The number of positive windows of each target, int64 `(targets,)`: counted once, since a
        command needs it several times and each count reads every label."""
        counts = np.zeros(self.targets, dtype=np.int64)
        for start in range(0, len(self), _ROWS_AT_ONCE):
            rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(self)))
            counts += unpack_labels(read_rows(self._labels, rows), self.targets).sum(
                axis=0, dtype=np.int64
            )
        return counts

    def _mask_of(self, rows: npt.NDArray[np.int64]) -> dna.Bytes | None:
        if not len(self.mask_rows):
            return None
        where = np.searchsorted(self.mask_rows, rows)
        where[where == len(self.mask_rows)] = 0
        masked = self.mask_rows[where] == rows
        if not masked.any():
            return None
        mask = np.zeros((len(rows), self.mask.shape[1]), dtype=np.uint8)
        mask[masked] = self.mask[where[masked]]
        return mask

    def _map(self, folder: Path, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        file = require_kept(folder, f"{self.name}/{name}.npy", REMEDY)
        return _open_array(file, shape, np.dtype(dtype))


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


def read_rows(array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
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
