"""Write a data set folder, window by window; it appears when it is complete, or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

from bioq import dna
from bioq.dataset.folds import fold_folders
from bioq.dataset.layout import (
    FOLDER_KIND,
    FORMAT,
    FORMAT_VERSION,
    METADATA,
    SPLITS,
    TARGETS,
    Description,
    SplitMetadata,
    as_text,
    fingerprint,
    npy_header,
)
from bioq.dataset.targets import write_target_table
from bioq.files import new_folder, sha256, sync


class SplitWriter:
    """Appends windows to one split; made by `DatasetWriter.split`."""

    def __init__(self, folder: Path, description: Description, targets: int, *, folded: bool):
        folder.mkdir()
        self._folder = folder
        self._description = description
        self._targets = targets
        self._folded = folded
        self._windows = 0
        self._mask_rows: list[npt.NDArray[np.int64]] = []
        self._masks: list[dna.Bytes] = []
        self._sequence = _ArrayFile(
            folder / "sequence.npy", dna.packed_bytes(description.window_bp), np.uint8
        )
        self._labels = _ArrayFile(folder / "labels.npy", -(-targets // 8), np.uint8)
        self._bins = _ArrayFile(folder / "bins.npy", 2, np.int32) if description.contigs else None

    def append(
        self,
        codes: dna.Bytes,
        packed_labels: dna.Bytes,
        bins: npt.NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Append windows.

        Args:
            codes: Codes uint8 `(n, window_bp)`.
            packed_labels: uint8 `(n, ceil(targets / 8))` (see `pack_labels`).
            bins: Contig number and start of the bin `(n, 2)`, if the description has contigs.
        """
        if codes.shape[1:] != (self._description.window_bp,) or len(codes) != len(packed_labels):
            raise ValueError(
                f"{len(packed_labels)} rows of labels for codes {codes.shape}; "
                f"expected as many windows of {self._description.window_bp} bp"
            )
        if (bins is None) == (self._bins is not None) or (
            bins is not None and len(bins) != len(codes)
        ):
            raise ValueError(
                "expected a bin for every window if the description has contigs, "
                "and no bins without contigs"
            )
        packed, mask = dna.pack(codes)
        masked = np.flatnonzero(mask.any(axis=1))
        if len(masked):
            self._mask_rows.append(masked + self._windows)
            self._masks.append(mask[masked])
        self._sequence.append(packed)
        self._labels.append(packed_labels)
        if self._bins is not None:
            self._bins.append(np.asarray(bins, dtype=np.int32))
        self._windows += len(codes)

    def close(self) -> SplitMetadata:
        """Finish the files; return the entry of this split in `dataset.json`."""
        for file in (self._sequence, self._labels, self._bins):
            if file is not None:
                file.close()
        mask_bytes = -(-self._description.window_bp // 8)
        mask_rows = np.concatenate([np.empty(0, dtype=np.int64), *self._mask_rows])
        masks = np.concatenate([np.empty((0, mask_bytes), dtype=np.uint8), *self._masks])
        _save(self._folder / "mask_rows.npy", mask_rows)
        _save(self._folder / "mask.npy", masks)
        return SplitMetadata(
            windows=self._windows,
            masked_windows=len(mask_rows),
            strands_folded=self._folded,
            has_coordinates=self._bins is not None,
        )

    def abandon(self) -> None:
        """Close the files without finishing them."""
        for file in (self._sequence, self._labels, self._bins):
            if file is not None:
                with contextlib.suppress(OSError):  # a full disk fails here again
                    file.abandon()


@contextlib.contextmanager
def new_dataset(
    path: str | Path, description: Description, targets: pd.DataFrame, *, force: bool = False
) -> Iterator[DatasetWriter]:
    """Write a data set folder; it appears only when the block ends without an error.

    Args:
        path: Folder to write.
        description: What `dataset.json` records about the windows and their origin.
        targets: The target table, one row per target.
        force: Replace a data set folder that is there.

    Yields:
        The writer of the splits.

    Examples:
        >>> with new_dataset(path, description, targets) as writer:      # doctest: +SKIP
        ...     with writer.split("train") as split:
        ...         split.append(codes, pack_labels(labels))
    """
    with new_folder(Path(path), replaces=FOLDER_KIND if force else None) as folder:
        writer = DatasetWriter(folder, description, targets)
        yield writer
        writer.finish()


class DatasetWriter:
    """Writes the splits of a data set; made by `new_dataset`."""

    def __init__(self, folder: Path, description: Description, targets: pd.DataFrame):
        self._folder = folder
        self._description = description
        self._targets = targets
        self._names = fold_folders(max(description.folds.values(), default=0)) or SPLITS
        self._splits: dict[str, SplitMetadata] = {}

    @contextlib.contextmanager
    def split(
        self, name: str, *, strands_folded: bool = False, all_bins: int | None = None
    ) -> Iterator[SplitWriter]:
        """Open the split or fold `name` for appending; closed when the block ends. `all_bins`
        are the bins of its contigs, see `SplitMetadata`."""
        if name not in self._names or name in self._splits:
            raise ValueError(f"split {name!r}: expected one of {self._names}, each once")
        writer = SplitWriter(
            self._folder / name, self._description, len(self._targets), folded=strands_folded
        )
        try:
            yield writer
            self._splits[name] = replace(writer.close(), all_bins=all_bins)
        finally:
            writer.abandon()

    def drop_split(self, name: str) -> None:
        """Remove a split that was written, so that it can be written again."""
        self._splits.pop(name, None)
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def attach(self, name: str, folder: Path) -> None:
        """Copy a folder into the data set as NAME/; its files get checksums too."""
        if (self._folder / name).exists() or name in self._names:
            raise ValueError(f"{name!r} cannot be attached: the data set already has {name!r}")
        shutil.copytree(folder, self._folder / name)

    def finish(self) -> None:
        """Write the target table, the checksums and, last, `dataset.json`."""
        write_target_table(self._targets, self._folder / TARGETS)
        files = {}
        for file in sorted(self._folder.rglob("*")):
            if file.is_file():
                sync(file)
                name = file.relative_to(self._folder).as_posix()
                files[name] = {"sha256": sha256(file), "bytes": file.stat().st_size}
        meta: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "description": self._description.as_json(),
            "targets": len(self._targets),
            "splits": {
                name: self._splits[name].as_json() for name in self._names if name in self._splits
            },
            "files": files,
        }
        meta["fingerprint"] = fingerprint(meta)
        path = self._folder / METADATA
        path.write_text(as_text(meta), encoding="utf-8")
        sync(path)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Save like np.save, except that a full disk raises the operating system's error."""
    with open(path, "wb") as file:
        file.write(npy_header(array.shape, array.dtype))
        file.write(array.tobytes())


class _ArrayFile:
    """A two-dimensional .npy file of a fixed width that grows row by row, without a memory map."""

    def __init__(self, path: Path, width: int, dtype: Any):
        self._width = width
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self._file: BinaryIO = open(path, "w+b")  # noqa: SIM115 closed by close() or abandon()
        self._file.write(self._header())

    def append(self, rows: npt.NDArray[Any]) -> None:
        if rows.ndim != 2 or rows.shape[1] != self._width or rows.dtype != self._dtype:
            raise ValueError(
                f"{self._file.name}: rows are {rows.dtype} {rows.shape}, "
                f"expected {self._dtype} (n, {self._width})"
            )
        if rows.size:  # an empty array has no buffer to write
            self._file.write(np.ascontiguousarray(rows).data)
        self._rows += len(rows)

    def close(self) -> None:
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def _header(self) -> bytes:
        return npy_header((self._rows, self._width), self._dtype)
