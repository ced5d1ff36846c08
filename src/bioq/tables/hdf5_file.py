"""HDF5 files on disks that may be full: an OSError, and no crash.

HDF5 ends the whole process some time after a write that failed, when what it holds is freed.
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
    """A new HDF5 file. What is done in a block of `writing` is whole, or raises an OSError."""

    def __init__(self, path: Path, **options: Any):
        self._place = _Place(path)
        with uninterrupted():
            self._root = h5py.File(self._place, "w", **options)

    @contextlib.contextmanager
    def writing(self) -> Iterator[h5py.File]:
        """Yield the file's root; afterwards raise what the system said of a write that failed."""
        with uninterrupted():
            yield self._root
        self._check()

    def close(self) -> None:
        with uninterrupted():
            self._root.close()
            self._place.close()
        self._check()

    def _check(self) -> None:
        if self._place.error is not None:
            raise self._place.error


class _Place(io.RawIOBase):
    """What HDF5 takes for a file: writes that fail are kept in memory, until someone asks."""

    def __init__(self, path: Path):
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 closed by close()
        self._kept: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def write(self, content: Any, /) -> int:
        view = memoryview(content).cast("B")
        at, written = self._file.tell(), 0
        while written < len(view) and self.error is None:
            try:
                written += self._file.write(view[written:])
            except OSError as error:
                self.error = error
        if written < len(view):
            self._kept.append((at, bytes(view)))
            self._file.seek(at + len(view))
        return len(view)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        at = self._file.tell()
        found = self._file.readinto(view) or 0
        for start, content in self._kept:
            first, last = max(start, at), min(start + len(content), at + len(view))
            if first < last:
                view[first - at : last - at] = content[first - start : last - start]
                found = max(found, last - at)
        self._file.seek(at + found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def close(self) -> None:
        self._file.close()
        super().close()
