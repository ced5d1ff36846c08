"""HDF5 files on a disk that may be full: an OSError instead of a crash.

HDF5 can crash the process after a failed write, when it frees its objects. So it writes to a file
object that hides the failure, and `Hdf5File` raises the error after each call.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from bioq.files import uninterrupted


class Hdf5File:
    """A new HDF5 file. A block of `writing` either writes everything or raises an OSError."""

    def __init__(self, path: Path, **options: Any):
        self._file = _QuietFile(path)
        with uninterrupted():
            self._root = h5py.File(self._file, "w", **options)

    @contextlib.contextmanager
    def writing(self) -> Iterator[h5py.File]:
        """Yield the root of the file; raise the OSError of a failed write when the block ends."""
        with uninterrupted():
            yield self._root
        self._check()

    def close(self) -> None:
        with uninterrupted():
            self._root.close()
            self._file.close()
        self._check()

    def _check(self) -> None:
        if self._file.error is not None:
            raise self._file.error


class _QuietFile(io.RawIOBase):
    """A file for HDF5: after the first failed write, `error` is set and writes stay in memory."""

    def __init__(self, path: Path):
        self._disk = open(path, "w+b", buffering=0)  # noqa: SIM115 closed by close()
        self._unwritten: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def write(self, content: Any, /) -> int:
        view = memoryview(content).cast("B")
        at, written = self._disk.tell(), 0
        while written < len(view) and self.error is None:
            try:
                written += self._disk.write(view[written:])
            except OSError as error:
                self.error = error
        if written < len(view):
            self._unwritten.append((at, bytes(view)))
            self._disk.seek(at + len(view))
        return len(view)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        at = self._disk.tell()
        length = self._disk.readinto(view) or 0
        for start, content in self._unwritten:
            first, last = max(start, at), min(start + len(content), at + len(view))
            if first < last:
                view[first - at : last - at] = content[first - start : last - start]
                length = max(length, last - at)
        self._disk.seek(at + length)
        return length

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._disk.seek(offset, whence)

    def tell(self) -> int:
        return self._disk.tell()

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return self._disk.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def close(self) -> None:
        self._disk.close()
        super().close()
