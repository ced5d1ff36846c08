"""The packed data set: a folder of plain .npy files, written once and opened by memory map.

`docs/data-format.md` specifies every byte. A folder holds `dataset.json`, `targets.tsv` and, for
each split, `sequence.npy`, `labels.npy`, `mask_rows.npy`, `mask.npy` and, where known, `bins.npy`.
"""

import contextlib
import hashlib
import io
import json
import mmap
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.errors import BioqError
from bioq.files import new_folder, sha256, sync
from bioq.progress import progress
from bioq.targets import read_target_table, write_target_table

FORMAT = "bioq-dataset"
FORMAT_VERSION = 1
SPLITS = ("train", "valid", "test")
METADATA = "dataset.json"
TARGETS = "targets.tsv"

Rows = slice | Sequence[int] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Source:
    """A file that a data set was made from."""

    name: str
    """File name, without its folder: the same input gives the same bytes wherever it lies."""
    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> "Source":
        """Describe a file, reading it once for its checksum."""
        path = Path(path)
        return cls(path.name, sha256(path), path.stat().st_size)


@dataclass(frozen=True)
class Description:
    """What a data set is: the part of `dataset.json` that its maker gives."""

    made_by: str
    """The command that made it: `deepsea`, `peaks` or `simulate`."""
    window_bp: int
    bin_bp: int
    label_rule: str
    """`half`, `midpoint` or `any`."""
    contigs: tuple[str, ...] = ()
    """Names of the contigs that `bins.npy` counts; empty where coordinates are not known."""
    sources: tuple[Source, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """The other choices that shaped it, as JSON values."""


@dataclass(frozen=True)
class Batch:
    """Windows and their labels, decoded."""

    windows: dna.Bytes
    """One-hot uint8 `(n, 4, window_bp)`, order A, C, G, T, forward strand."""
    labels: dna.Bytes
    """uint8 0/1 `(n, targets)`."""


@dataclass(frozen=True)
class PackedBatch:
    """Windows and their labels as stored, to be decoded where they are used."""

    sequence: dna.Bytes
    """uint8 `(n, ceil(window_bp / 4))`; see `dna.pack`."""
    mask: dna.Bytes | None
    """uint8 `(n, ceil(window_bp / 8))`, or None if every base of these windows is known."""
    labels: dna.Bytes
    """uint8 `(n, ceil(targets / 8))`; target t in bit t mod 8 of byte t // 8."""


def pack_labels(labels: npt.NDArray[Any]) -> dna.Bytes:
    """Pack 0/1 labels `(n, targets)` to bits `(n, ceil(targets / 8))`."""
    return np.packbits(np.asarray(labels, dtype=bool), axis=1, bitorder="little")


def unpack_labels(packed: dna.Bytes, targets: int) -> dna.Bytes:
    """Return uint8 0/1 labels `(n, targets)` of what `pack_labels` returned."""
    return np.unpackbits(packed, axis=1, count=targets, bitorder="little")


class Split:
    """One split of an open data set; `len()` is the number of windows stored."""

    def __init__(self, folder: Path, name: str, description: Description, targets: int, meta: Any):
        self.name = name
        self.window_bp = description.window_bp
        self.targets = targets
        self.strands_folded: bool = meta["strands_folded"]
        """Whether the source held every window on both strands and only the first is stored."""
        windows, masked = meta["windows"], meta["masked_windows"]
        self._windows: int = windows
        self._contigs = description.contigs
        self._bin_bp = description.bin_bp
        self._files: list[np.memmap[Any, Any]] = []
        width = description.window_bp
        self._sequence = self._map(folder, "sequence", (windows, dna.packed_bytes(width)), np.uint8)
        self._labels = self._map(folder, "labels", (windows, -(-targets // 8)), np.uint8)
        self._mask_rows = np.array(self._map(folder, "mask_rows", (masked,), np.int64))
        self._mask = self._map(folder, "mask", (masked, -(-width // 8)), np.uint8)
        self._bins = (
            self._map(folder, "bins", (windows, 2), np.int32) if meta["has_coordinates"] else None
        )

    def __len__(self) -> int:
        return self._windows

    def read(self, rows: Rows) -> Batch:
        """Return the windows and labels of `rows` (numbers from 0, or a slice), in that order."""
        packed = self.read_packed(rows)
        codes = dna.unpack(packed.sequence, self.window_bp, packed.mask)
        return Batch(dna.one_hot(codes), unpack_labels(packed.labels, self.targets))

    def read_packed(self, rows: Rows) -> PackedBatch:
        """Return what is stored for `rows`, copied into memory."""
        wanted = self._row_numbers(rows)
        return PackedBatch(self._sequence[wanted], self._mask_of(wanted), self._labels[wanted])

    def labels(self) -> dna.Bytes:
        """Return every label of the split: uint8 `(windows, targets)`."""
        return unpack_labels(np.asarray(self._labels), self.targets)

    def bins(self) -> pd.DataFrame:
        """Return the bin of every window as columns chrom, start, end (0-based, half-open).

        Raises BioqError where the data set was made without coordinates.
        """
        if self._bins is None:
            raise BioqError(
                f"split {self.name!r} has no coordinates: it was made from files that give none "
                "(for DeepSEA's, pass --bed allTFs.pos.bed to 'bioq data deepsea')"
            )
        contig, start = np.asarray(self._bins).T
        chrom = pd.Categorical.from_codes(contig, categories=pd.Index(self._contigs))
        return pd.DataFrame({"chrom": chrom, "start": start, "end": start + self._bin_bp})

    def masks(self) -> tuple[npt.NDArray[np.int64], dna.Bytes]:
        """Return the numbers of the windows with unknown bases, ascending, and their masks:
        int64 `(k,)` and uint8 `(k, ceil(window_bp / 8))`."""
        return self._mask_rows, np.array(self._mask)

    @property
    def stored_bytes(self) -> int:
        """How many bytes the packed sequences, masks and labels take."""
        return int(self._sequence.nbytes + self._mask.nbytes + self._labels.nbytes)

    @property
    def has_coordinates(self) -> bool:
        """Whether the genome position of every window is known."""
        return self._bins is not None

    @property
    def masked_windows(self) -> int:
        """How many windows hold a base that is not A, C, G or T."""
        return len(self._mask_rows)

    def positives(self) -> npt.NDArray[np.int64]:
        """Return how many windows are positive for each target: int64 `(targets,)`."""
        counts = np.zeros(self.targets, dtype=np.int64)
        for start in range(0, len(self), 1 << 16):
            rows = np.asarray(self._labels[start : start + (1 << 16)])
            counts += unpack_labels(rows, self.targets).sum(axis=0, dtype=np.int64)
        return counts

    def release(self) -> None:
        """Let the operating system take back the memory of pages read; all stays readable."""
        for file in self._files:
            base = getattr(file, "_mmap", None)
            if base is not None and hasattr(base, "madvise"):
                base.madvise(mmap.MADV_DONTNEED)

    def _row_numbers(self, rows: Rows) -> npt.NDArray[np.int64]:
        if isinstance(rows, slice):
            return np.arange(*rows.indices(self._windows), dtype=np.int64)
        numbers = np.asarray(rows)
        if numbers.shape == (0,):
            return np.empty(0, dtype=np.int64)
        if numbers.dtype == bool and numbers.shape == (self._windows,):
            return np.flatnonzero(numbers)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise TypeError(
                f"rows are {numbers.dtype} {numbers.shape}; expected a slice, a sequence of whole "
                f"numbers, or a mask of all {self._windows} windows"
            )
        if numbers.min() < -self._windows or numbers.max() >= self._windows:
            raise IndexError(
                f"split {self.name!r} has {self._windows} windows; "
                f"rows {numbers.min()} .. {numbers.max()} were asked for"
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
        array = _open_array(folder / self.name / f"{name}.npy", shape, np.dtype(dtype))
        if isinstance(array, np.memmap):
            self._files.append(array)
        return array


class Dataset(Mapping[str, Split]):
    """An open data set: `data["test"]` is a split, `data.targets` the target table."""

    def __init__(
        self,
        path: Path,
        description: Description,
        targets: pd.DataFrame,
        splits: dict[str, Split],
        fingerprint: str,
        files: dict[str, Any],
    ):
        self.path = path
        self.description = description
        self.targets = targets
        """One row a target, in label order; the first column is `name`."""
        self.fingerprint = fingerprint
        """SHA-256 over everything that `dataset.json` says, the files' checksums included."""
        self.files = files
        """Relative path -> {"sha256", "bytes"} of every file."""
        self._splits = splits

    def __getitem__(self, name: str) -> Split:
        if name not in self._splits:
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
    """Open a data set folder. Sizes, shapes and the metadata's own checksum are checked here.

    Raises BioqError if it is no data set, has a newer format, or a file is missing or cut short.
    `verify` also checks the checksum of every file.
    """
    path = Path(path)
    meta = _read_metadata(path)
    _check_sizes(path, meta["files"])
    described = dict(meta["description"])
    described["contigs"] = tuple(described["contigs"])
    described["sources"] = tuple(Source(**source) for source in described["sources"])
    description = Description(**described)
    targets = read_target_table(path / TARGETS)
    if len(targets) != meta["targets"]:
        raise BioqError(
            f"{path / TARGETS}: has {len(targets)} targets, {METADATA} says {meta['targets']}; "
            "the data set is damaged, copy or build it again"
        )
    splits = {
        name: Split(path, name, description, len(targets), split)
        for name, split in meta["splits"].items()
    }
    return Dataset(path, description, targets, splits, meta["fingerprint"], meta["files"])


def _check_sizes(path: Path, files: Mapping[str, Any]) -> None:
    for name, recorded in files.items():
        file = path / name
        found = file.stat().st_size if file.is_file() else None
        if found != recorded["bytes"]:
            state = "is missing" if found is None else f"has {found:,} bytes"
            raise BioqError(
                f"{file}: {state}, {METADATA} says {recorded['bytes']:,}; "
                "the data set is damaged, copy or build it again"
            )


def verify(path: str | Path) -> Dataset:
    """Compare every byte of a data set with its checksum; returns it, open, if all agree.

    Raises BioqError that names every damaged file.
    """
    path = Path(path)
    meta = _read_metadata(path)
    if (path / METADATA).read_bytes() != _as_text(meta).encode():
        raise BioqError(
            f"{path / METADATA}: was changed after it was written; copy or build the data set again"
        )
    _check_sizes(path, meta["files"])
    damaged = []
    total = sum(recorded["bytes"] for recorded in meta["files"].values())
    with progress("verify", total, "bytes") as advance:
        for name, recorded in meta["files"].items():
            if sha256(path / name) != recorded["sha256"]:
                damaged.append(name)
            advance(recorded["bytes"])
    if damaged:
        raise BioqError(
            f"{path}: the checksum of {', '.join(damaged)} is not the one in {METADATA}; "
            "the data set is damaged, copy or build it again"
        )
    return open_dataset(path)


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
        """Add windows: codes uint8 `(n, window_bp)`, labels as `pack_labels` gives them, and,
        where the description names contigs, bins `(n, 2)` of contig number and bin start."""
        if codes.shape[1:] != (self._description.window_bp,) or len(codes) != len(packed_labels):
            raise ValueError(
                f"{len(packed_labels)} rows of labels for codes {codes.shape}; "
                f"expected as many windows of {self._description.window_bp} bp"
            )
        if (bins is None) == (self._bins is not None) or (
            bins is not None and len(bins) != len(codes)
        ):
            raise ValueError(
                "every window needs its bin where the description names contigs, "
                "and none where it does not"
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

    def close(self) -> dict[str, Any]:
        """Finish the files; return what `dataset.json` says of this split."""
        for file in (self._sequence, self._labels, self._bins):
            if file is not None:
                file.close()
        mask_bytes = -(-self._description.window_bp // 8)
        mask_rows = np.concatenate([np.empty(0, dtype=np.int64), *self._mask_rows])
        masks = np.concatenate([np.empty((0, mask_bytes), dtype=np.uint8), *self._masks])
        _save(self._folder / "mask_rows.npy", mask_rows)
        _save(self._folder / "mask.npy", masks)
        return {
            "windows": self._windows,
            "masked_windows": len(mask_rows),
            "strands_folded": self._folded,
            "has_coordinates": self._bins is not None,
        }

    def abandon(self) -> None:
        """Close the files without finishing them."""
        for file in (self._sequence, self._labels, self._bins):
            if file is not None:
                with contextlib.suppress(OSError):  # a full disk fails here once more
                    file.abandon()


@contextlib.contextmanager
def new_dataset(
    path: str | Path, description: Description, targets: pd.DataFrame
) -> Iterator["DatasetWriter"]:
    """Write a data set folder; it appears only when the block ends without an error.

    >>> with new_dataset(path, description, targets) as writer:      # doctest: +SKIP
    ...     with writer.split("train") as split:
    ...         split.append(codes, pack_labels(labels))
    """
    with new_folder(Path(path)) as folder:
        writer = DatasetWriter(folder, description, targets)
        yield writer
        writer.finish()


class DatasetWriter:
    """Writes the splits of a data set; made by `new_dataset`."""

    def __init__(self, folder: Path, description: Description, targets: pd.DataFrame):
        self._folder = folder
        self._description = description
        self._targets = targets
        self._splits: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def split(self, name: str, *, strands_folded: bool = False) -> Iterator[SplitWriter]:
        """Open the split `name` for appending; closed when the block ends."""
        if name not in SPLITS or name in self._splits:
            raise ValueError(f"split {name!r}: expected one of {SPLITS}, each once")
        writer = SplitWriter(
            self._folder / name, self._description, len(self._targets), folded=strands_folded
        )
        try:
            yield writer
            self._splits[name] = writer.close()
        finally:
            writer.abandon()

    def drop_split(self, name: str) -> None:
        """Forget a split that was written, so that it can be written anew."""
        self._splits.pop(name, None)
        shutil.rmtree(self._folder / name, ignore_errors=True)

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
            "description": asdict(self._description),
            "targets": len(self._targets),
            "splits": {name: self._splits[name] for name in SPLITS if name in self._splits},
            "files": files,
        }
        meta["fingerprint"] = _fingerprint(meta)
        path = self._folder / METADATA
        path.write_text(_as_text(meta), encoding="utf-8")
        sync(path)


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the .npy header, version 1.0, as NumPy writes it: its size does not depend on the
    number of rows, because NumPy pads it to leave room for the first axis to grow."""
    file = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Save as np.save does, but let a full disk raise the operating system's own error."""
    with open(path, "wb") as file:
        file.write(_npy_header(array.shape, array.dtype))
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
        return _npy_header((self._rows, self._width), self._dtype)


def _read_metadata(path: Path) -> Any:
    file = path / METADATA
    if not path.is_dir():
        raise BioqError(f"{path}: no such folder; expected a data set made by 'bioq data ...'")
    if not file.is_file():
        raise BioqError(f"{path}: holds no {METADATA}; expected a data set made by 'bioq data ...'")
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
        kind, version = meta["format"], meta["format_version"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise BioqError(
            f"{file}: is not a data set's metadata ({error}); copy or build it again"
        ) from error
    if kind != FORMAT:
        raise BioqError(f"{file}: format is {kind!r}, expected {FORMAT!r}")
    if version != FORMAT_VERSION:
        raise BioqError(
            f"{file}: format_version {version}, this BioQ reads {FORMAT_VERSION}; "
            "use the BioQ that wrote it, or build the data set again"
        )
    if meta.get("fingerprint") != _fingerprint(meta):
        raise BioqError(
            f"{file}: was changed after it was written (its fingerprint does not match); "
            "copy or build the data set again"
        )
    return meta


def _as_text(meta: Mapping[str, Any]) -> str:
    return json.dumps(meta, indent=2) + "\n"


def _fingerprint(meta: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in meta.items() if key != "fingerprint"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _open_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Open a .npy file by memory map; an empty one, which cannot be mapped, as an empty array.

    The header is compared, not parsed: a damaged one can make NumPy's parser fail in many ways.
    """
    header = _npy_header(shape, dtype)
    size = len(header) + int(np.prod(shape)) * dtype.itemsize
    try:
        with open(path, "rb") as file:
            found = file.read(len(header))
        if found != header or path.stat().st_size != size:
            raise BioqError(
                f"{path}: is not the .npy file of {dtype} {shape} that {METADATA} says; "
                "the file is damaged, copy or build the data set again"
            )
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, mode="r", offset=len(header), shape=shape)
    except OSError as error:
        raise BioqError(f"{path}: could not be read: {error.strerror}") from error
