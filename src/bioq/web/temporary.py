"""The one folder of all temporary files of a server."""

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bioq.web.trouble import say_seldom

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX, _LOCK = "bioq-serve-", "lock"


class TemporaryFolder:
    """A folder for all temporary files of this process, made again if a program removes it."""

    def __init__(self) -> None:
        self._above = tempfile.gettempdir()
        self._making = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._folder, self._lock = self._make()

    def renew(self) -> None:
        """Make another folder if a program, such as a cleaner of /tmp, has removed this one."""
        if self._is_there():
            return
        with self._making:
            if self._is_there():
                return
            lock = self._lock
            try:
                os.makedirs(self._above, mode=0o700, exist_ok=True)
                self._folder, self._lock = self._make()
                lock.close()  # results may still be in the earlier folder: it is removed at the end
            except OSError as error:  # the request ends where it needs a file, with its own line
                say_seldom(f"bioq serve: cannot make a folder in {self._above}: {error.strerror}")
                return
        say_seldom("bioq serve: the folder of temporary files was removed; it is made again")

    def _is_there(self) -> bool:
        # The same file: nobody else can put a folder of the same name in its place.
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed by another thread
            name = _LOCK if fcntl is not None else "new"
            return os.path.samestat(os.lstat(self._folder / name), os.fstat(self._lock.fileno()))
        return False

    def _make(self) -> tuple[Path, BinaryIO]:
        folder = Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix=_PREFIX, dir=self._above, ignore_cleanup_errors=True
                )
            )
        )
        lock = self._stack.enter_context(open(folder / "new", "wb"))  # noqa: SIM115
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends, for whatever reason
            # Renamed, so that the folder never appears without a held lock.
            (folder / "new").rename(folder / _LOCK)
        tempfile.tempdir = str(folder)
        return folder, lock

    def close(self) -> None:
        """Remove the folder."""
        self._stack.close()


@contextlib.contextmanager
def temporary_folder() -> Iterator[TemporaryFolder]:
    """Put all temporary files of this process into one folder, and remove it at the end."""
    _remove_left_over()
    before = tempfile.tempdir
    folder = TemporaryFolder()
    try:
        yield folder
    finally:
        folder.close()
        tempfile.tempdir = before


def _remove_left_over() -> None:
    """Remove the folders of servers that were killed: no process holds their lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), open(folder / _LOCK, "rb") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
