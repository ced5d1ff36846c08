"""Files that appear whole or not at all, and their checksums."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bioq.errors import BioqError

_CHUNK_BYTES = 1 << 22


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` when the block ends without an error.

    An existing file is replaced, in one step. The temporary name is `.NAME.XXXX.part`.
    """
    path = Path(path)
    with _named_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        with _named_errors(path, partial):
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
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        with _named_errors(path, partial):
            yield partial
            os.chmod(partial, 0o777 & ~_umask())
            os.rename(partial, path)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_absent(path: Path) -> None:
    """Raise BioqError if `path` exists: nothing of the user's is ever overwritten."""
    if path.exists() or path.is_symlink():
        raise BioqError(
            f"{path}: exists already; give a folder that does not exist, or remove this one first"
        )


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
        culprit = Path(os.fsdecode(error.filename)) if error.filename else path
        if partial and not (culprit == path or culprit.is_relative_to(partial)):
            message = f"{culprit}: could not be used: {error.strerror}; {path} was not written"
        else:
            message = f"{path}: could not be written: {error.strerror}; nothing was left behind"
        raise BioqError(message) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
