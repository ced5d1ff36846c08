"""Files and folders that appear complete or not at all; small text, JSON and checksums."""

import contextlib
import fnmatch
import glob
import hashlib
import json
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioq.errors import BioqError, NotWrittenError, UsageError, reason_of, shown
from bioq.files.inside import read_kept
from bioq.files.typed import parse_json, require_types

_CHUNK_BYTES = 1 << 22
_temporaries: set[Path] = set()
"""The temporary files and folders of this process that have no other name yet."""


@dataclass(frozen=True)
class FolderKind:
    """What is in a folder that a command writes: --force removes a folder with these names only."""

    marker: str
    """The path of a file in every folder of this kind."""
    names: tuple[str, ...]
    """The names of the other files and folders in it; * and ? are wildcards."""

    def foreign(self, folder: Path) -> list[Path]:
        """Return what is in a folder and does not belong to this kind, in order."""
        own = (self.marker.split("/")[0], *self.names, ".*.part", ".DS_Store")
        return sorted(
            path
            for path in folder.iterdir()
            if not any(fnmatch.fnmatchcase(path.name, name) for name in own)
        )


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` when the block ends without an error.

    An existing file is replaced, in one step. Raises NotWrittenError if the file cannot be written.
    """
    path = Path(path)
    partial = _temporary(path)
    try:  # entered before the file exists: a signal in between leaves nothing
        with _named_errors(path, partial):
            os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            yield partial
            os.chmod(partial, 0o666 & ~_umask())
            sync(partial)
            os.replace(partial, path)
    finally:
        _remove_temporary(partial)


@contextlib.contextmanager
def new_folder(path: Path, *, replaces: FolderKind | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, renamed to it when the block ends without an error.

    If `path` exists it is replaced, when the block ends, only if it is a folder of the kind
    `replaces` (see `require_absent`). Raises BioqError if it must not be replaced, and
    NotWrittenError if the folder cannot be written.
    """
    path = Path(path)
    with _named_errors(path):
        require_absent(path, replaces=replaces)
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = _temporary(path)
    try:
        with _named_errors(path, partial):
            os.mkdir(partial, 0o700)
            yield partial
            os.chmod(partial, 0o777 & ~_umask())
            if replaces is None:
                os.rename(partial, path)
            else:
                _put_in_place(partial, path)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            sync(path.parent)
    finally:
        _remove_temporary(partial)


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename a folder to `path`; a folder that is there is moved away first and then removed."""
    if not path.exists():
        os.rename(partial, path)
        return
    replaced = temporary_name(path)
    with uninterrupted():  # between the two names the folder has neither
        os.rename(path, replaced)
        try:
            os.rename(partial, path)
        except OSError:
            os.rename(replaced, path)
            raise
    shutil.rmtree(replaced, ignore_errors=True)


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that no file has yet: `.NAME.XXXX.part`."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


def _temporary(path: Path) -> Path:
    """Return a temporary name, which `remove_temporaries` knows."""
    temporary = temporary_name(path)
    _temporaries.add(temporary)
    return temporary


def _remove_temporary(path: Path) -> None:
    """Remove a temporary file or folder, if it was made and has no other name now."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
    _temporaries.discard(path)


def remove_temporaries() -> None:
    """Remove every temporary file and folder of this process, because a signal ends it.

    The exception of a signal can be raised between `new_file` or `new_folder` and the block of its
    `with`. Python then closes the context manager when nothing refers to it, which may be never.
    """
    with uninterrupted():
        for path in list(_temporaries):
            if f".{os.getpid()}-" in path.name:  # not of the process it was forked from
                _remove_temporary(path)


def remove_partial(folder: Path, process: int, *, was_new: bool) -> None:
    """Remove what a killed process left in a folder that it wrote: temporary files, and temporary
    folders that were to take the folder's name.

    Of a folder that was not new and is missing now, one of those may be the old folder: all stay.
    """
    left = [*folder.rglob(f".*.{process}-*.part")]
    if was_new or folder.exists():
        left += folder.parent.glob(f".{glob.escape(folder.name)}.{process}-*.part")
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def require_absent(path: Path, *, force: bool = False, replaces: FolderKind | None = None) -> None:
    """Raise BioqError if `path` exists: BioQ replaces nothing without --force.

    `force`: a file may be replaced. `replaces`: a folder may be replaced if it is of this kind and
    has nothing else; any other folder, a link, and a folder that has the working directory are
    never replaced. A pipe or a device is never replaced: a complete file is renamed to its name,
    and is not written into it. Also raises it for a path of bytes that are not UTF-8, which
    safetensors, JSON and Arrow cannot take, and for a folder that cannot be made in a file.
    """
    require_utf8(path)
    above = next((each for each in path.parents if os.path.lexists(each)), None)
    if above is not None and not above.is_dir():
        raise BioqError(f"{path}: could not be written: {above} is not a folder")
    if not (path.exists() or path.is_symlink()):
        return
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise BioqError(
            f"{path}: is a pipe or a device, and the output is a file that appears when it is "
            "complete; give the name of a file, and read that"
        )
    if path.is_dir():
        if force:
            raise BioqError(f"{path}: is a folder; give the name of a file")
        if replaces is None:
            raise BioqError(
                f"{path}: exists already; give a folder that does not exist, or --force to "
                "replace this one"
            )
        reason = _why_kept(path, replaces)
        if reason:
            raise BioqError(f"{path}: is not replaced: {reason}; give a folder that does not exist")
    elif replaces is not None:
        raise BioqError(f"{path}: is a file; give the name of a folder that does not exist")
    elif not force:
        raise BioqError(f"{path}: exists already; give another name, or --force to replace it")


def _why_kept(folder: Path, kind: FolderKind) -> str:
    """Return why a folder must not be replaced by one of a kind; "" if it may be."""
    if folder.is_symlink():
        return "it is a link to another folder"
    if not (folder / kind.marker).is_file():
        return f"it has no {kind.marker}, so it is not a folder that BioQ wrote"
    if Path.cwd().is_relative_to(real(folder)):
        return "it is the folder in which the command runs"
    foreign = kind.foreign(folder)
    more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
    return f"it has files of yours, {foreign[0].name}{more}; move them" if foreign else ""


def require_utf8(path: Path) -> None:
    """Raise BioqError for a path whose bytes are not UTF-8; Python has them as half characters."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise BioqError(
            f"{path}: the name has bytes that are not UTF-8; rename the file or folder, or give "
            "another name"
        ) from error


def real(path: str | Path) -> Path:
    """Return the absolute path without links; of links in a circle, a path with these links.

    Path.resolve raises an error for these, which is not one of the operating system.
    """
    return Path(os.path.realpath(path))


def refuse_input(out: Path, *sources: str | Path | None) -> None:
    """Raise UsageError if writing `out` would remove an input: `out` is one of the files or folders
    `sources`, or a folder that has one of them. Sources that are None or no file are left out."""
    if not out.exists():
        return
    for source in sources:
        if source is None or not os.path.exists(source):
            continue
        if os.path.samefile(out, source):
            raise UsageError(f"{out}: is the input; give another name for the output")
        if out.is_dir() and real(source).is_relative_to(real(out)):
            raise UsageError(
                f"{out}: has {source}, which this command reads; give another name for the output"
            )


def require_folder_for(path: Path) -> None:
    """Raise BioqError if the parent folder of `path` does not exist."""
    if not path.parent.is_dir():
        raise BioqError(f"{path}: there is no folder {path.parent}; make it first")


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block ends, for libraries that fail when interrupted.

    HDF5 reports an exception in a signal handler as a failed write; Triton's compiler crashes.
    """
    delayed: list[int] = []

    def delay(number: int, _: object) -> None:
        delayed.append(number)

    if threading.current_thread() is not threading.main_thread():  # no other thread gets signals
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not None]
    before = {number: signal.signal(number, delay) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for received in delayed:
            signal.raise_signal(received)


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a folder against other BioQ processes; yield whether this process may use it.

    Yields False if `wait` is False and another process holds the lock. The lock is released when
    the process exits, for whatever reason. Yields True without locking if the folder does not exist
    or the file system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
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


def read_json(
    file: Path,
    *,
    what: str,
    kind: str,
    version: int,
    remedy: str,
    older: tuple[int, ...] = (),
    shape: Any = Mapping[str, Any],
) -> dict[str, Any]:
    """Return a JSON object whose `format` and `format_version` are `kind` and `version`.

    `older` versions are read too. The fields have the types of the annotation `shape`
    (`files.typed`). Raises BioqError, which ends with `remedy`, if `file` is not `what` or has
    another version or a field of another type.
    """
    content = read_json_text(file, f"is not {what}", remedy)
    if not isinstance(content, dict) or not {"format", "format_version"} <= content.keys():
        raise BioqError(f"{file}: is not {what} (it has no format and format_version); {remedy}")
    recorded_kind, recorded_version = content["format"], content["format_version"]
    if recorded_kind != kind:
        raise BioqError(f"{file}: format is {shown(recorded_kind)}, expected {kind!r}; {remedy}")
    if isinstance(recorded_version, int | float) and recorded_version not in (version, *older):
        raise BioqError(
            f"{file}: format_version {shown(recorded_version)}, this BioQ reads {version}; "
            f"use the BioQ that wrote it, or {remedy}"
        )
    require_types(recorded_version, int, file, remedy, at="format_version")
    require_types(content, shape, file, remedy)
    return content


def read_json_text(file: Path, problem: str, remedy: str) -> Any:
    """Return the JSON value in a file of a folder that BioQ wrote (`files.inside`).

    Raises BioqError if it cannot be read or, with `problem` and `remedy`, is not JSON.
    """
    text = read_kept(file.parent, file.name, remedy)
    try:
        return parse_json(text)
    except ValueError as error:
        raise BioqError(f"{file}: {problem} ({reason_of(error)}); {remedy}") from error


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, in one step. Raises NotWrittenError if that fails."""
    with new_file(file) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def sync(path: Path) -> None:
    """Flush a file or folder from the operating system's cache to the disk."""
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
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
    """Raise an error of the operating system as one line that names the file.

    NotWrittenError for `path` itself; BioqError if the error belongs to another file that the block
    used while `partial`, the temporary name of `path`, was being written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # from zlib or gzip, not from the operating system
            raise
        reason = os.strerror(error.errno)  # the texts of HDF5 and Arrow have many lines
        culprit = Path(os.fsdecode(error.filename)) if error.filename else path
        if partial and not (culprit == path or culprit.is_relative_to(partial)):
            message = f"{culprit}: could not be used: {reason}; {path} was not written"
            raise BioqError(message) from error
        raise NotWrittenError(path, reason) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
