"""Reads a numeric array of a MATLAB file in pieces, never the whole array.

A .mat file is either HDF5 (MATLAB's "v7.3") or the older tagged format (v5 .. v7), recognised by
its content, not its name. Shapes here are in C order, the reverse of MATLAB's: MATLAB's
(windows, 4, length) is (length, 4, windows) here. In both formats windows are fastest in the file.

The tags are those of "MAT-File Format", The MathWorks (mat-file level 5).
"""

import contextlib
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.files.formats import GZIP_MAGIC
from bioq.files.streams import require_file

AnyArray = npt.NDArray[Any]

BLOCK_BYTES = 48 << 20
"""The usual size of a block of rows."""
MOST_BLOCK_BYTES = 384 << 20
"""The largest size of a block. Blocks have whole chunks, so that each chunk is inflated once."""
MOST_CHUNK_BYTES = 512 << 20
"""HDF5 inflates a chunk in one piece, so a larger chunk is refused."""


@dataclass(frozen=True)
class Hdf5Array:
    """A numeric array of an open HDF5 file, read by blocks of its last axis."""

    path: Path
    name: str
    shape: tuple[int, ...]
    """C order."""
    dataset: h5py.Dataset

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of blocks that cover rows start .. stop of the last axis.

        All borders but the first and the last are borders of chunks.
        """
        step = self.block_rows()
        while start < stop:
            end = min((start // step + 1) * step, stop)
            yield start, end
            start = end

    def read(self, start: int, stop: int) -> AnyArray:
        """Return rows start .. stop of the last axis: `(..., stop - start)`.

        Raises BioqError if the file is damaged.
        """
        try:
            return np.asarray(self.dataset[..., start:stop])
        except OSError as error:
            raise BioqError(
                f"{self.path}: {self.name} could not be read in rows {start:,} .. {stop:,} "
                f"({error}); the file is damaged, download it again"
            ) from error

    def block_rows(self) -> int:
        """Return the rows per block: whole chunks, in bounded memory."""
        itemsize = int(self.dataset.dtype.itemsize)
        row_bytes = max(math.prod(self.shape[:-1]) * itemsize, 1)
        wanted = max(BLOCK_BYTES // row_bytes, 1)
        if self.dataset.chunks is None:
            return wanted
        chunk_bytes = math.prod(self.dataset.chunks) * itemsize
        if chunk_bytes > MOST_CHUNK_BYTES:
            raise BioqError(
                f"{self.path}: {self.name} is stored in chunks of {chunk_bytes:,} bytes, each of "
                f"which must fit in memory; expected at most {MOST_CHUNK_BYTES:,}; "
                "rewrite the file in smaller chunks (h5repack -l CHUNK=...)"
            )
        chunk = int(self.dataset.chunks[-1])
        if chunk <= wanted:
            return wanted - wanted % chunk
        if chunk * row_bytes <= MOST_BLOCK_BYTES:
            return chunk
        return max(MOST_BLOCK_BYTES // row_bytes, 1)


@dataclass(frozen=True)
class V5Array:
    """A numeric array of a MATLAB v5 file, read by pieces of its first axis, from the start."""

    path: Path
    name: str
    shape: tuple[int, ...]
    """C order."""
    dtype: np.dtype[Any]
    element: "_Element"
    data_at: int
    """Offset of the numbers in the (inflated) element."""

    def planes(self, step: int) -> Iterator[tuple[int, AnyArray]]:
        """Yield (first plane, piece `(n, ...)`) over the first axis, `n` a multiple of `step`.

        Raises BioqError if the file is cut short or damaged.
        """
        plane = self.shape[1:]
        plane_bytes = max(math.prod(plane) * self.dtype.itemsize, 1)
        step *= max(BLOCK_BYTES // 4 // (plane_bytes * step), 1)
        with open(self.path, "rb") as file:
            stream = _Stream(file, self.path, self.element)
            stream.skip(self.data_at)
            for first in range(0, self.shape[0], step):
                planes = min(step, self.shape[0] - first)
                numbers = np.frombuffer(stream.read(planes * plane_bytes), dtype=self.dtype)
                yield first, numbers.reshape(planes, *plane)
            stream.finish()


@dataclass(frozen=True)
class NotNumeric:
    """A variable of another kind: a cell array, a structure, text, a sparse matrix."""

    name: str
    kind: str


Variable = Hdf5Array | V5Array | NotNumeric


@contextlib.contextmanager
def open_mat(path: Path) -> Iterator[Mapping[str, Variable]]:
    """Open a .mat file and yield its variables by name; they are valid until the block ends.

    Raises BioqError for a file that is missing, not a .mat file, cut short or damaged.
    """
    path = Path(path)
    require_file(path, "a .mat file")
    try:
        with open(path, "rb") as file:
            header = file.read(128)
        is_hdf5 = bool(h5py.is_hdf5(path))
    except OSError as error:
        raise BioqError(f"{path}: could not be read: {error.strerror}; give a .mat file") from error
    version = header[124:128]
    if is_hdf5:
        with _open_hdf5(path) as variables:
            yield variables
    elif version in (b"\x00\x01IM", b"\x01\x00MI"):
        yield _v5_variables(path, "<" if version.endswith(b"IM") else ">")
    elif version in (b"\x00\x02IM", b"\x02\x00MI"):
        raise BioqError(
            f"{path}: has the header of a MATLAB v7.3 file but no HDF5 content after it; "
            "the file is cut short or damaged, download it again"
        )
    else:
        raise BioqError(
            f"{path}: {_guess(header)}; expected a .mat file of MATLAB v5 or v7.3 (HDF5)"
        )


def _guess(header: bytes) -> str:
    """Return a description of a file that is not a .mat file."""
    if not header:
        return "is empty"
    if header.startswith(GZIP_MAGIC):
        return "is gzip data, which must be unpacked first"
    if header.lstrip()[:1] == b"<":
        return "is a web page, so the download failed"
    return f"begins with {header[:8]!r}"


@contextlib.contextmanager
def _open_hdf5(path: Path) -> Iterator[Mapping[str, Variable]]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(h5py.File(path, "r"))
            names = [name for name in file if not name.startswith("#")]
            variables = {name: _hdf5_variable(path, name, file[name]) for name in names}
        except (OSError, RuntimeError, KeyError) as error:
            raise BioqError(
                f"{path}: is an HDF5 file that cannot be opened ({error}); "
                "it is cut short or damaged, download it again"
            ) from error
        yield variables


def _hdf5_variable(path: Path, name: str, node: Any) -> Variable:
    if not isinstance(node, h5py.Dataset):
        sparse = "MATLAB_sparse" in node.attrs
        return NotNumeric(name, "sparse matrix" if sparse else "group")
    if node.dtype.kind not in "buif":
        return NotNumeric(name, f"array of {node.dtype}")
    return Hdf5Array(path, name, tuple(node.shape), node)


_MATRIX, _COMPRESSED = 14, 15
_TYPE_OF_TAG = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_KIND_OF_CLASS = {1: "cell array", 2: "structure", 3: "object", 4: "text", 5: "sparse matrix"}
_FIRST_NUMERIC, _LAST_NUMERIC = 6, 15
_MOST_HEAD_BYTES = 1 << 16
"""Flags, dimensions and a name take less; compressed bytes could be inflated to gigabytes."""
_COMPLEX = 0x0800


@dataclass(frozen=True)
class _Element:
    """A top-level element: the offset and number of its bytes, their compression and order."""

    at: int
    size: int
    compressed: bool
    order: str


class _Stream:
    """The bytes of an element, inflated if they are compressed."""

    def __init__(self, file: BinaryIO, path: Path, element: _Element):
        file.seek(element.at)
        self._file = file
        self._path = path
        self._left = element.size
        self._inflate = zlib.decompressobj() if element.compressed else None
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        pieces = []
        missing = size
        while missing:
            piece = self._some(missing)
            if not piece:
                raise self.damaged("it ends too early")
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, size: int) -> None:
        while size:
            size -= len(self.read(min(size, 1 << 20)))

    def finish(self) -> None:
        """Read to the end, which checks the checksum of compressed bytes."""
        if self._inflate is not None:
            while self._some(1 << 20):
                pass
            if not self._inflate.eof:
                raise self.damaged("it ends too early")

    def _some(self, most: int) -> bytes:
        if self._inflate is None:
            piece = self._file.read(min(most, self._left))
            self._left -= len(piece)
            return piece
        while not self._inflate.eof:
            if not self._waiting:
                self._waiting = self._file.read(min(1 << 18, self._left))
                self._left -= len(self._waiting)
            drained = not self._waiting
            try:
                piece = self._inflate.decompress(self._waiting, most)
            except zlib.error as error:
                raise self.damaged(str(error)) from error
            self._waiting = self._inflate.unconsumed_tail
            if piece:
                return piece
            if drained:
                break
        return b""

    def damaged(self, why: str) -> BioqError:
        return BioqError(
            f"{self._path}: a variable cannot be read: {why}; "
            "the file is cut short or damaged, download it again"
        )


def _v5_variables(path: Path, order: str) -> dict[str, Variable]:
    """Read the head of every variable of a v5 file."""
    variables: dict[str, Variable] = {}
    size = path.stat().st_size
    at = 128
    with open(path, "rb") as file:
        while at < size:
            file.seek(at)
            tag = file.read(8)
            kind, length = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, 0)
            if len(tag) < 8 or at + 8 + length > size:
                raise BioqError(
                    f"{path}: has {size:,} bytes, its variable at byte {at:,} needs "
                    f"{at + 8 + length:,}; the file is cut short, download it again"
                )
            element = _Element(at + 8, length, kind == _COMPRESSED, order)
            if kind in (_MATRIX, _COMPRESSED):
                variable = _v5_variable(_Stream(file, path, element), path, element)
                variables[variable.name] = variable
            at += 8 + length
    return variables


def _v5_variable(stream: _Stream, path: Path, element: _Element) -> Variable:
    """Read the head of one variable: flags, dimensions, name, tag of the numbers."""
    head = _Head(stream, element.order)
    if element.compressed:
        kind, _, _ = head.tag()
        if kind != _MATRIX:
            raise BioqError(f"{path}: holds a compressed element of type {kind}; it is damaged")
    first = head.value()[:4]
    if len(first) < 4:
        raise stream.damaged("it has no flags")
    flags = struct.unpack(f"{element.order}I", first)[0]
    matlab_class = flags & 0xFF
    if matlab_class > _LAST_NUMERIC:
        return NotNumeric("(object)", "object")
    stored_dims = head.value()
    if len(stored_dims) % 4:
        raise stream.damaged("its dimensions are not whole numbers")
    dims = np.frombuffer(stored_dims, dtype=f"{element.order}i4")
    if len(dims) < 2 or (dims < 0).any():
        raise stream.damaged("it has fewer than two dimensions, or a negative dimension")
    name = ascii(head.value().rstrip(b"\x00").decode("latin-1"))[1:-1]
    if matlab_class < _FIRST_NUMERIC:
        return NotNumeric(name, _KIND_OF_CLASS.get(matlab_class, "variable of an unknown kind"))
    if flags & _COMPLEX:
        return NotNumeric(name, "complex array")
    kind, size, _ = head.tag()
    dtype = np.dtype(element.order + _TYPE_OF_TAG.get(kind, "V1"))
    shape = tuple(int(length) for length in dims[::-1])
    if dtype.kind == "V" or size != math.prod(shape) * dtype.itemsize:
        raise BioqError(
            f"{path}: {name} has shape {shape[::-1]} but {size:,} bytes of type {kind}; "
            "the file is damaged, download it again"
        )
    return V5Array(path, name, shape, dtype, element, head.done)


class _Head:
    """Reads the small sub-elements at the head of a matrix, and counts the bytes."""

    def __init__(self, stream: _Stream, order: str):
        self._stream = stream
        self._order = order
        self.done = 0

    def tag(self) -> tuple[int, int, bytes]:
        """Return type, size and value; the value is empty unless it is part of the tag."""
        first = self._take(4)
        kind: int = struct.unpack(f"{self._order}I", first)[0]
        if kind >> 16:
            return kind & 0xFFFF, kind >> 16, self._take(4)
        size: int = struct.unpack(f"{self._order}I", self._take(4))[0]
        return kind, size, b""

    def value(self) -> bytes:
        """Return the value of the next sub-element, without padding."""
        _, size, packed = self.tag()
        if packed:
            return packed[:size]
        if size > _MOST_HEAD_BYTES:
            raise self._stream.damaged("its head is too long")
        return self._take(size + -size % 8)[:size]

    def _take(self, size: int) -> bytes:
        self.done += size
        return self._stream.read(size)
