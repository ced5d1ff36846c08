"""Pipes, terminals and standard input: files that can be read once, from start to end.

What reads them says on stderr for which data it waits. Inside `kept_streams` such a file is copied
at its first use, so that it can be read again.
"""

import contextlib
import io
import os
import select
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from bioq.errors import BioqError
from bioq.progress import progress, say

STDIN = Path("-")
_STDIN_NAMES = (STDIN, *map(Path, ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")))
WAIT_S = 2.0
"""A reader that gets no data for this time says what it waits for."""
LARGE_BYTES = 1_000_000_000
"""The size of a copy is printed when it reaches this size."""
_CHUNK_BYTES = 1 << 20

_copies: ContextVar["_Copies | None"] = ContextVar("_copies", default=None)


class _Copies:
    """The copies of the streams that one piece of work reads."""

    def __init__(self) -> None:
        self.files: dict[object, Path] = {}
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def of(self, path: Path) -> Path:
        key = _identity(path)
        if key not in self.files:
            if self.folder is None:
                self.folder = tempfile.TemporaryDirectory(prefix="bioq-")
            copy = Path(self.folder.name, str(len(self.files)))
            _copy(path, copy)
            self.files[key] = copy
        return self.files[key]

    def remove(self) -> None:
        if self.folder is not None:
            self.folder.cleanup()


@contextlib.contextmanager
def kept_streams() -> Iterator[None]:
    """Inside this block, on this thread, a stream can be read any number of times.

    It is copied to a temporary file when it is first opened; the copies are removed when the
    outermost block ends. A block is a command's whole work (`build_from_peaks`, `input_file`).
    Readers get the path that the user gave, so that messages name it, and `open_raw` opens the
    copy; no reader has an argument for it. Threads started inside the block do not see the copies.
    """
    if _copies.get() is not None:
        yield
        return
    copies = _Copies()
    before = _copies.set(copies)
    try:
        yield
    finally:
        _copies.reset(before)
        copies.remove()


def is_stream(path: Path) -> bool:
    """Return whether a path is neither a regular file nor a folder: a pipe, a terminal, a socket,
    or `-`, standard input. Such a file can be read once only."""
    if path == STDIN or _is_closed(path):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:  # reading the file reports it
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def require_file(path: Path, what: str) -> None:
    """Raise BioqError for a stream; `what` is read in any order and not only from start to end."""
    if is_stream(path):
        raise BioqError(
            f"{label_of(path)}: is a pipe, and {what} is read in any order; write it to a file and "
            "give the file"
        )


def _is_closed(path: Path) -> bool:
    """Return whether a path is standard input and that is closed: the system then gives its number
    to a file that BioQ opens, and /dev/stdin is that file."""
    return path in _STDIN_NAMES and sys.stdin is None


def stored(path: Path) -> Path:
    """Return a file that can be read again: the path itself, or, inside `kept_streams`, the copy
    of a stream. Raises BioqError for a stream that cannot be read or copied."""
    copies = _copies.get()
    return copies.of(path) if copies is not None and is_stream(path) else path


def input_name(path: Path) -> str:
    """Return the name of an input for metadata; a number such as /dev/fd/63 is not a name."""
    if path == STDIN or path == Path("/dev/stdin"):
        return "stdin"
    return "pipe" if path.parent.name == "fd" and is_stream(path) else path.name


def label_of(path: Path) -> str:
    """Return the name of a file in messages."""
    return "standard input" if path == STDIN else str(path)


@contextlib.contextmanager
def open_raw(path: Path) -> Iterator[io.RawIOBase]:
    """Yield a file or stream, unbuffered; `-` is standard input, which stays open.

    Raises OSError if it cannot be opened, and BioqError for standard input that is closed.
    """
    path = stored(path)
    if is_stream(path):
        with _open_stream(path) as stream:
            yield stream
    else:
        with open(path, "rb", buffering=0) as file:
            yield file


@contextlib.contextmanager
def _open_stream(path: Path) -> Iterator[io.RawIOBase]:
    label = label_of(path)
    with contextlib.ExitStack() as stack:
        if _is_closed(path):
            raise BioqError(f"{label}: is closed; give a file")
        if path != STDIN:
            with _waiting(label):  # a named pipe opens when a program opens its other end
                raw = stack.enter_context(open(path, "rb", buffering=0))
            yield _Stream(raw, raw.read, label)
        else:
            buffer: Any = sys.stdin.buffer
            yield _Stream(buffer, buffer.read1, label)


class _Stream(io.RawIOBase):
    """A stream that says once if its data does not come."""

    def __init__(self, file: Any, read: Callable[[int], bytes | None], label: str):
        self._file = file
        self._read = read
        """Waits for data, then returns what there is; nothing at the end."""
        self._label = label
        self._is_silent = False
        """Whether nothing more is said."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._is_silent and not self._has_data():
            self._is_silent = True
            _say_waiting(self._label)
        content = self._read(len(buffer)) or b""
        buffer[: len(content)] = content
        return len(content)

    def _has_data(self) -> bool:
        """Wait WAIT_S for data or the end; return whether the next read will not wait."""
        try:
            return bool(select.select([self._file], [], [], WAIT_S)[0])
        except (OSError, ValueError, TypeError):  # not a file of the operating system
            return True


def _say_waiting(label: str) -> None:
    say(f"waiting for data from {label}")


@contextlib.contextmanager
def _waiting(label: str) -> Iterator[None]:
    """Say that data from `label` is awaited if this block takes more than WAIT_S."""
    timer = threading.Timer(WAIT_S, _say_waiting, [label])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _identity(path: Path) -> object:
    """Return a value that is the same for every path of a stream, as - and /dev/stdin, as long as
    the stream is open: later, another pipe may have the same number."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STDIN else path.stat()
    except (AttributeError, OSError, ValueError):  # a replaced or closed standard input
        return str(path)
    return status.st_dev, status.st_ino


def _copy(source: Path, target: Path) -> None:
    label, folder = label_of(source), target.parent.parent
    copied, is_large = 0, False
    with (
        _open_stream(source) as stream,
        progress(f"copy {label}", None, "bytes") as advance,
        _named_errors(label, folder),
        open(target, "wb") as file,
    ):
        while chunk := stream.read(_CHUNK_BYTES):
            file.write(chunk)
            copied += len(chunk)
            advance(len(chunk))
            if copied >= LARGE_BYTES and not is_large:
                is_large = True
                say(
                    f"{label}: is copied to a temporary file in {folder}, {copied / 1e9:,.1f} GB "
                    "so far; a file needs no copy"
                )


@contextlib.contextmanager
def _named_errors(label: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BioqError(
            f"{label}: could not be copied to a temporary file in {folder}: "
            f"{error.strerror or error}; set TMPDIR to a folder with more space, or give a file"
        ) from error
