"""Files that appear whole or not at all, and their checksums."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bioq.errors import BioqError

_CHUNK_BYTES = 1 << 22
SMALL_BYTES = 1 << 26
"""The largest text that is read whole: of tables and motifs that somebody wrote or downloaded."""


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` when the block ends without an error.

    An existing file is replaced, in one step. The temporary name is `.NAME.XXXX.part`.
    """
    path = Path(path)
    partial = _temporary(path)
    try:  # named before it is made: a signal in between leaves nothing
        with _named_errors(path, partial):
            os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            yield partial
            os.chmod(partial, 0o666 & ~_umask())
            sync(partial)
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, renamed to it when the block ends without an error.

    Raises BioqError if `path` exists already: nothing of the user's is ever overwritten.
    """
    path = Path(path)
    with _named_errors(path):
        require_absent(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = _temporary(path)
    try:
        with _named_errors(path, partial):
            os.mkdir(partial, 0o700)
            yield partial
            os.chmod(partial, 0o777 & ~_umask())
            os.rename(partial, path)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def require_absent(path: Path) -> None:
    """Raise BioqError if `path` exists: nothing of the user's is ever overwritten."""
    if path.exists() or path.is_symlink():
        raise BioqError(
            f"{path}: exists already; give a folder that does not exist, or remove this one first"
        )


def require_folder_for(path: Path) -> None:
    """Raise BioqError if the folder that `path` is to be written into does not exist."""
    if not path.parent.is_dir():
        raise BioqError(f"{path}: there is no folder {path.parent}; make it first")


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM wait until the block ends, for libraries that they break.

    HDF5 takes what a signal raises for a write that failed; a compiler of machine code crashes.
    """
    seen: list[int] = []

    def wait(number: int, _: object) -> None:
        seen.append(number)

    if threading.current_thread() is not threading.main_thread():  # signals are the main one's
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not None]
    before = {number: signal.signal(number, wait) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in seen:
            signal.raise_signal(missed)


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a folder against other processes of BioQ's; yields whether that worked.

    It does not without `wait` where another process holds it. The system lets go of it when the
    process ends, however it ends. Where there is no folder, or no locks, nothing is held.
    """
    if sys.platform == "win32":
        yield True
        return
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield True
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True
    finally:
        os.close(handle)


def read_small_text(path: Path, *, what: str) -> str:
    """Return the text of a small UTF-8 file without its byte order mark.

    Raises BioqError for one so large that it cannot be `what`, and OSError and UnicodeDecodeError
    as Python does.
    """
    with open(path, "rb") as file:
        content = file.read(SMALL_BYTES + 1)
    if len(content) > SMALL_BYTES:
        raise BioqError(f"{path}: is larger than {SMALL_BYTES:,} bytes; expected {what}")
    return content.decode("utf-8-sig")


def read_json(file: Path, *, what: str, kind: str, version: int, remedy: str) -> dict[str, Any]:
    """Read a JSON object that says its `format` and `format_version`, and compare them.

    Raises BioqError if `file` is not `what`, or of another version; it ends with `remedy`.
    """
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        found_kind, found_version = content["format"], content["format_version"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise BioqError(
            f"{file}: is not {what} ({type(error).__name__}: {error}); {remedy}"
        ) from error
    if found_kind != kind:
        raise BioqError(f"{file}: format is {found_kind!r}, expected {kind!r}; {remedy}")
    if found_version != version:
        raise BioqError(
            f"{file}: format_version {found_version}, this BioQ reads {version}; "
            f"use the BioQ that wrote it, or {remedy}"
        )
    return content


def sync(path: Path) -> None:
    """Have the operating system write a file or folder through to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _named_errors(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Turn a full disk, a missing permission and the like into one line that names the file.

    That is `path`, or, where `partial` is being written, another file that the block used.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # zlib, gzip and friends: not the operating system's word
            raise
        reason = os.strerror(error.errno)  # HDF5's and Arrow's own words are many lines
        culprit = Path(os.fsdecode(error.filename)) if error.filename else path
        if partial and not (culprit == path or culprit.is_relative_to(partial)):
            message = f"{culprit}: could not be used: {reason}; {path} was not written"
        else:
            message = f"{path}: could not be written: {reason}; nothing was left behind"
        raise BioqError(message) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
