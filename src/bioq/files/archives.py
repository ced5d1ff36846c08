"""`unpack`: files of a zip or tar archive that somebody else has made.

Nothing in an archive is trusted: names lead nowhere but into the new folder, links and devices are
refused, and sizes are bounded before and while bytes are written.
"""

import contextlib
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from bioq.errors import BioqError, reason_of, shown
from bioq.files.inside import SMALL_BYTES
from bioq.files.typed import repeated

ENDINGS = (".zip", ".tar.gz", ".tgz", ".tar")
"""How the names of archives end; the contents decide."""
MOST_ENTRIES = 10_000
MOST_RATIO = 20
"""Unpacked bytes per byte of the archive, above SMALL_BYTES. Weights are packed to nine tenths,
tables of targets to a tenth; zeros to a thousandth."""
_MOST_AT_ONCE = 1 << 22
"""Bytes that a library may read in one piece: a name, a header, the directory of a zip."""
_CHUNK_BYTES = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, gzip.BadGzipFile, zlib.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError),
)
"""What the two libraries raise for an archive that is damaged, encrypted or of another method."""

Choose = Callable[[Sequence[str]], Mapping[str, str]]
"""From the names of all files to {name in the archive: path in the folder} of those to unpack."""


@dataclass(frozen=True)
class _Entry:
    """A file in an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path, choose: Choose, *, label: str) -> list[str]:
    """Write the files that `choose` chooses into a folder that exists; return the other names.

    `label` names the archive in messages. Raises BioqError for a file that is no zip and no tar
    (plain or gzip), is damaged, has a name that leads out of the folder, one name twice, a link or
    a device, more than MOST_ENTRIES entries, or bytes that are too many for its size.
    """
    most = max(SMALL_BYTES, MOST_RATIO * archive.stat().st_size)
    try:
        with _opened(archive, label, most) as entries:
            files = {entry.name: entry for entry in entries}
            chosen = choose(list(files))
            total = sum(files[name].size for name in chosen)
            if total > most:
                raise BioqError(
                    f"{label}: has {total:,} bytes unpacked, at most {most:,} are expected of an "
                    f"archive of {archive.stat().st_size:,}; make it again"
                )
            for name, path in chosen.items():
                _write(files[name], folder / path, label)
    except _DAMAGED as error:
        raise BioqError(
            f"{label}: cannot be unpacked ({reason_of(error) or 'it ends too early'}); download it "
            "again, or make the archive again"
        ) from error
    return [name for name in files if name not in chosen]


def _write(entry: _Entry, out: Path, label: str) -> None:
    """Write a file; raise BioqError if it has another size than the archive announces."""
    out.parent.mkdir(parents=True, exist_ok=True)
    opened, written = entry.open(), 0
    if opened is None:
        raise BioqError(f"{label}: {shown(entry.name)} is not a file; make the archive again")
    with opened, open(out, "xb") as file:
        while chunk := opened.read(min(_CHUNK_BYTES, entry.size + 1 - written)):
            written += len(chunk)
            if written > entry.size:
                break
            file.write(chunk)
    if written != entry.size:
        raise BioqError(
            f"{label}: {shown(entry.name)} has not the {entry.size:,} bytes that the archive "
            "announces; make the archive again"
        )


@contextlib.contextmanager
def _opened(archive: Path, label: str, most: int) -> Iterator[list[_Entry]]:
    """Yield the files of an archive, their names checked."""
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(open(archive, "rb"))
        start = raw.read(262)
        raw.seek(0)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            zipped = stack.enter_context(zipfile.ZipFile(_Bounded(raw, label, most)))
            entries = _entries_of_zip(zipped, label)
        elif start.startswith(b"\x1f\x8b") or start[257:] == b"ustar":
            plain: Any = stack.enter_context(gzip.open(raw)) if start[:1] == b"\x1f" else raw
            bounded: Any = _Bounded(plain, label, most)
            tar = stack.enter_context(tarfile.open(fileobj=bounded, mode="r:"))
            entries = _entries_of_tar(tar, label)
            while bounded.read(_CHUNK_BYTES):  # to the end, where gzip has its checksum
                pass
        else:
            raise BioqError(f"{label}: is no zip and no tar archive; expected {', '.join(ENDINGS)}")
        twice = repeated(entry.name for entry in entries)
        if twice is not None:
            raise BioqError(f"{label}: has {shown(twice)} twice; make the archive again")
        yield entries


def _entries_of_zip(zipped: zipfile.ZipFile, label: str) -> list[_Entry]:
    infos = zipped.infolist()
    _require_few(len(infos), label)
    entries = []
    for info in infos:
        kind = info.external_attr >> 28  # the type of a file of Unix: 8 a file, 4 a folder, 0 none
        _require_plain(info.filename, kind in (0, 4, 8), label)
        if not info.is_dir():
            entries.append(_Entry(info.filename, info.file_size, partial(zipped.open, info)))
    return entries


def _entries_of_tar(tar: tarfile.TarFile, label: str) -> list[_Entry]:
    entries = []
    for number, member in enumerate(tar, start=1):
        _require_few(number, label)
        is_file = member.isreg() and not member.issparse()
        name = member.name.removeprefix("./")
        _require_plain(name, is_file or member.isdir(), label)
        if is_file:
            entries.append(_Entry(name, member.size, partial(tar.extractfile, member)))
    return entries


def _require_few(entries: int, label: str) -> None:
    if entries > MOST_ENTRIES:
        raise BioqError(f"{label}: has more than {MOST_ENTRIES:,} files; expected one run folder")


def _require_plain(name: str, is_plain: bool, label: str) -> None:
    """Raise BioqError for a name that leads out of a folder, a link or a device."""
    parts = name.rstrip("/").split("/")
    if name != "." and (not name.isprintable() or "\\" in name or {"", ".", ".."} & {*parts}):
        raise BioqError(
            f"{label}: has the name {shown(name)}, which leads out of the folder; BioQ unpacks no "
            "such archive"
        )
    if not is_plain:
        raise BioqError(
            f"{label}: {shown(name)} is a link or a device, expected files and folders only; make "
            "the archive of a copy: 'cp -rL FOLDER COPY'"
        )


class _Bounded:
    """A file of which a library reads no large piece at once, and nothing behind the bound."""

    def __init__(self, file: Any, label: str, most: int):
        self._file, self._label, self._most = file, label, most
        self.seekable, self.tell = lambda: True, file.tell

    def read(self, size: int = -1) -> bytes:
        asked = _MOST_AT_ONCE + 1 if size < 0 else size
        content: bytes = self._file.read(min(asked, _MOST_AT_ONCE + 1))
        if asked > _MOST_AT_ONCE and len(content) > _MOST_AT_ONCE:
            raise BioqError(f"{self._label}: has a header that is too long; make it again")
        self._require_within(self._file.tell())
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0:
            if offset < 0:
                raise ValueError("a part begins before the archive")
            self._require_within(offset)
        position: int = self._file.seek(offset, whence)
        return position

    def _require_within(self, offset: int) -> None:
        if offset > self._most:
            raise BioqError(
                f"{self._label}: has more than {self._most:,} bytes unpacked, too many for its "
                "size; make the archive again"
            )
