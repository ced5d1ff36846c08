"""A split: the windows of one folder, or of several folders one after another, without copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

from bioq import dna
from bioq.dataset.blocks import block_numbers
from bioq.dataset.layout import METADATA, REMEDY, Description, unpack_labels
from bioq.dataset.storage import PackedBatch, Storage
from bioq.errors import BioqError, UsageError
from bioq.options import found, whole_number

Rows = slice | Sequence[int] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Batch:
    """Windows and their labels, decoded."""

    windows: dna.Bytes
    """One-hot uint8 `(n, 4, window_bp)`, order A, C, G, T, forward strand."""
    labels: dna.Bytes
    """uint8 0/1 `(n, targets)`."""


class Split:
    """One split of an open data set; `len()` is the number of windows stored."""

    def __init__(self, name: str, stored: Sequence[Storage], description: Description):
        self.name = name
        self.window_bp = description.window_bp
        self.targets = stored[0].targets
        self.strands_folded = stored[0].strands_folded
        """Whether the source had every window on both strands and only the first is stored."""
        bins = [each.all_bins for each in stored if each.all_bins is not None]
        self.all_bins = sum(bins) if len(bins) == len(stored) else None
        """Bins of the split's contigs that may be windows, stored here or not; None if it is not
        known."""
        self.contigs = description.contigs
        """Names of the contigs that `bin_starts` numbers; empty without coordinates."""
        self._stored = tuple(stored)
        self._bin_bp = description.bin_bp
        self._first = np.cumsum([0, *map(len, stored)], dtype=np.int64)
        """Row of the first window of each folder, then the number of windows."""
        self._windows = int(self._first[-1])

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the data set that have these windows, in the order of the rows."""
        return tuple(stored.name for stored in self._stored)

    def rows_of_folders(self) -> dict[str, slice]:
        """Return the rows of the windows of each of `folders`."""
        ends = zip(self._first[:-1].tolist(), self._first[1:].tolist(), strict=True)
        return {name: slice(*rows) for name, rows in zip(self.folders, ends, strict=True)}

    def __len__(self) -> int:
        return self._windows

    def read(self, rows: Rows) -> Batch:
        """Return windows and labels, decoded.

        Args:
            rows: Numbers of windows in any order, from 0, negative ones from the end; or a slice.

        Returns:
            `windows` uint8 `(n, 4, window_bp)`, one-hot, and `labels` uint8 `(n, targets)`, in the
            order of `rows`.

        Raises:
            BioqError: For other rows.
        """
        packed = self.read_packed(rows)
        codes = dna.unpack(packed.sequence, self.window_bp, packed.mask)
        return Batch(dna.one_hot(codes), unpack_labels(packed.labels, self.targets))

    def read_packed(self, rows: Rows) -> PackedBatch:
        """Return the packed windows and labels of `rows`, copied into memory."""
        numbers = self._row_numbers(rows)
        if len(self._stored) == 1:
            return self._stored[0].read(numbers)
        folder = np.searchsorted(self._first, numbers, side="right") - 1
        sequence = np.empty((len(numbers), dna.packed_bytes(self.window_bp)), dtype=np.uint8)
        labels = np.empty((len(numbers), -(-self.targets // 8)), dtype=np.uint8)
        mask: dna.Bytes | None = None
        for number in np.unique(folder):
            here = np.flatnonzero(folder == number)
            part = self._stored[number].read(numbers[here] - self._first[number])
            sequence[here], labels[here] = part.sequence, part.labels
            if part.mask is not None:
                if mask is None:
                    mask = np.zeros((len(numbers), part.mask.shape[1]), dtype=np.uint8)
                mask[here] = part.mask
        return PackedBatch(sequence, mask, labels)

    def labels(self) -> dna.Bytes:
        """Return every label of the split: uint8 `(windows, targets)`."""
        return _joined([stored.labels() for stored in self._stored])

    def bin_starts(self) -> npt.NDArray[np.int32]:
        """Return the contig and the start of the bin of every window.

        Returns:
            int32 `(windows, 2)`, the number of the contig and the first base of the bin, 0-based.

        Raises:
            BioqError: If the data set has no coordinates.
        """
        bins = self._bins()
        if bins is None:
            raise BioqError(
                f"split {self.name!r} has no coordinates: its source files have none "
                "(for DeepSEA's files, pass --bed allTFs.pos.bed to 'bioq data deepsea')"
            )
        return bins

    def _bins(self) -> npt.NDArray[np.int32] | None:
        parts = [np.asarray(stored.bins) for stored in self._stored if stored.bins is not None]
        return _joined(parts) if len(parts) == len(self._stored) else None

    def bins(self) -> pd.DataFrame:
        """Return the bin of every window.

        Returns:
            One row per window, with the columns chrom, start, end (0-based, half-open).

        Raises:
            BioqError: If the data set has no coordinates.
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
        return block_numbers(self._bins(), windows=len(self), bin_bp=self._bin_bp)

    def masks(self) -> tuple[npt.NDArray[np.int64], dna.Bytes]:
        """Return the numbers of the windows with unknown bases, ascending, and their masks:
        int64 `(k,)` and uint8 `(k, ceil(window_bp / 8))`."""
        firsts = zip(self._stored, self._first.tolist(), strict=False)
        rows = [stored.mask_rows + first for stored, first in firsts]
        return _joined(rows), np.array(_joined([stored.mask for stored in self._stored]))

    @property
    def stored_bytes(self) -> int:
        """Bytes of the packed sequences, masks and labels."""
        return sum(stored.stored_bytes for stored in self._stored)

    @property
    def has_coordinates(self) -> bool:
        """Whether the data set has the genomic position of every window."""
        return all(stored.bins is not None for stored in self._stored)

    @property
    def masked_windows(self) -> int:
        """Number of windows with a base that is not A, C, G or T."""
        return sum(len(stored.mask_rows) for stored in self._stored)

    def positives(self) -> npt.NDArray[np.int64]:
        """Return the number of positive windows of each target: int64 `(targets,)`."""
        counts = np.zeros(self.targets, dtype=np.int64)
        for stored in self._stored:
            counts += stored.positives
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


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return arrays one after another; a single array is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
