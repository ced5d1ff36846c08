"""Downloads a large file, resumes an interrupted download, and unpacks the DeepSEA bundle.

The DeepSEA site publishes no checksum of its bundle. The length is always checked; the SHA-256 is
checked if the caller gives one, and always printed.
"""

import contextlib
import gzip
import http.client
import json
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path

from bioq import files
from bioq.errors import BioqError
from bioq.progress import progress, say

DEEPSEA_URL = "http://deepsea.princeton.edu/media/code/deepsea_train_bundle.v0.9.tar.gz"
SOURCE = "source.json"
_BUNDLE = files.FolderKind(SOURCE, ("*.mat", "*.txt", "README*", "deepsea_train"))
"""The file beside the unpacked ones that records their address."""
TRIES = 6
"""Consecutive tries without a new byte after which the download fails."""
TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20
_BUSY = (408, 425, 429)

FreeBytes = Callable[[Path], int]
Sleep = Callable[[float], None]


def fetch_deepsea(
    out: Path, *, url: str = DEEPSEA_URL, sha256: str | None = None, force: bool = False
) -> None:
    """Download the DeepSEA training bundle and unpack it as the folder `out`.

    The archive is stored beside `out` until it is unpacked; an interrupted download is resumed. The
    .mat files in it are already compressed, so unpacking needs about the same space again.
    `out`/source.json records the address; with `force` a folder that has this file is replaced.
    Raises BioqError if `out` exists, the disk has too little space or the server does not answer.
    """
    out = Path(out)
    replaces = _BUNDLE if force else None
    files.require_absent(out, replaces=replaces)
    archive = out.with_name(url.rsplit("/", 1)[-1] or "bundle.tar.gz")
    if archive.exists():
        _check_sha256(archive, sha256, url)
    else:
        fetch(url, archive, sha256=sha256, room_factor=2.0)
    _unpack(archive, out, url, replaces)
    archive.unlink()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        say(f"{path}: {path.stat().st_size:,} bytes")


def fetch(
    url: str,
    out: Path,
    *,
    sha256: str | None = None,
    room_factor: float = 1.0,
    free_bytes: FreeBytes = lambda folder: shutil.disk_usage(folder).free,
    sleep: Sleep = time.sleep,
) -> None:
    """Download `url` as the file `out`, which appears only when it is complete.

    An incomplete download is kept as `out` + `.part`; a later call resumes it if the server still
    has the same file. The disk must have `room_factor` times the length free.
    Raises BioqError if `out` exists, the server refuses or keeps closing the connection, the disk
    has too little space, or the length or checksum differs from the expected value.
    """
    out = Path(out)
    files.require_absent(out)
    if not url.startswith(("http://", "https://")):
        raise BioqError(f"{url}: is not a web address; expected http://... or https://...")
    part = _Part(out, url)
    with _disk_errors(part):
        out.parent.mkdir(parents=True, exist_ok=True)
        _download_all(part, room_factor, free_bytes, sleep)
        part.finish(sha256)


def _download_all(part: "_Part", room_factor: float, free_bytes: FreeBytes, sleep: Sleep) -> None:
    """Download the missing bytes; try again until `TRIES` consecutive tries bring no new byte."""
    most = part.bytes_done()
    tries = 0
    while True:
        try:
            _download(part, room_factor, free_bytes)
            return
        except _Broken as broken:
            tries = 0 if part.bytes_done() > most else tries + 1
            most = max(most, part.bytes_done())
            if tries >= TRIES:
                raise BioqError(
                    f"{part.url}: {TRIES} tries in a row brought nothing new ({broken}); "
                    f"{part.bytes_done():,} bytes are kept in {part.path}; "
                    "run the same command again to continue"
                ) from broken
            say(f"{part.url}: {broken}; trying again from byte {part.bytes_done():,}")
            sleep(min(2.0**tries, 60.0))


class _Broken(Exception):
    """The connection failed, but another try may succeed."""


@dataclass(frozen=True)
class _Version:
    """The version of the server's file whose beginning is in a `.part`."""

    url: str
    length: int | None
    validator: str | None
    """Strong ETag or date, for If-Range."""

    @classmethod
    def of(cls, url: str, length: int | None, headers: Message) -> "_Version":
        etag = headers.get("ETag")
        strong = etag if etag and not etag.startswith("W/") else None
        return cls(url, length, strong or headers.get("Last-Modified"))


class _Part:
    """The incomplete file `out` + `.part`, and a note beside it with the version of the file."""

    def __init__(self, out: Path, url: str):
        self.out = out
        self.url = url
        self.path = out.with_name(f"{out.name}.part")
        self._note = out.with_name(f"{out.name}.part.json")

    def bytes_done(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> _Version | None:
        """Return the recorded version; None if there is no download to resume."""
        try:
            version = _Version(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if version.url == self.url and self.bytes_done() else None

    def start(self, version: _Version) -> None:
        """Start from the first byte."""
        self.remove()
        self._note.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, sha256: str | None) -> None:
        """Check the checksum and rename the file to `out`."""
        _check_sha256(self.path, sha256, self.url)
        files.sync(self.path)
        self.path.rename(self.out)
        self.remove()


def _download(part: _Part, room_factor: float, free_bytes: FreeBytes) -> None:
    """Request the missing bytes and append them. Raises _Broken if another try may succeed."""
    version = part.version()
    done = part.bytes_done() if version else 0
    if version and version.length == done:
        return
    request = urllib.request.Request(part.url, headers={"User-Agent": "bioq"})
    if version:
        request.add_header("Range", f"bytes={done}-")
        if version.validator:
            request.add_header("If-Range", version.validator)
    with _send(request, part) as answer:
        start, total = _range_of(answer)
        if version is None or (start, total) != (done, version.length):
            if start:  # a piece of another file than that of the .part
                part.remove()
                raise _Broken("the file on the server has changed")
            version = _Version.of(part.url, total, answer.headers)
            part.start(version)
            done = 0
        _check_room(part, total, done, room_factor, free_bytes)
        _append(part, answer, done, total)


def _send(request: urllib.request.Request, part: _Part) -> http.client.HTTPResponse:
    """Send a request. Raises _Broken if another try may succeed, else BioqError."""
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins past the end: the file has changed
            part.remove()
            raise _Broken("the file on the server has changed") from error
        if error.code >= 500 or error.code in _BUSY:
            raise _Broken(f"the server answered {error.code} {error.reason}") from error
        raise BioqError(
            f"{part.url}: the server answered {error.code} {error.reason}; check the address"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"no answer ({getattr(error, 'reason', None) or error})") from error
    return answer


def _range_of(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the offset of the first byte of an answer and the length of the whole file."""
    if answer.status == 206:
        try:
            span, total = answer.headers["Content-Range"].removeprefix("bytes ").split("/")
            return int(span.split("-")[0]), int(total)
        except (AttributeError, ValueError) as error:
            raise _Broken("the server gave no usable Content-Range") from error
    length = answer.headers.get("Content-Length")
    return 0, int(length) if length is not None and length.isdigit() else None


def _check_room(
    part: _Part, total: int | None, done: int, room_factor: float, free_bytes: FreeBytes
) -> None:
    if total is None:
        say(f"{part.url}: the server gives no length of the file, so its length is not checked")
        return
    needed = int(total * room_factor) - done
    free = free_bytes(part.out.parent)
    if free < needed:
        raise BioqError(
            f"{part.out.parent}: has {free:,} bytes free, {needed:,} are needed for {part.url}; "
            "free space or choose another disk"
        )


def _append(part: _Part, answer: http.client.HTTPResponse, done: int, total: int | None) -> None:
    """Append an answer to the part. Raises _Broken if it ends before its length."""
    with (
        open(part.path, "ab") as file,
        progress(f"download {part.out.name}", total or 0, "bytes") as advance,
    ):
        advance(done)
        while chunk := _piece(answer):
            file.write(chunk)
            done += len(chunk)
            advance(len(chunk))
    if total is not None and done != total:
        raise _Broken(f"the connection ended at {done:,} of {total:,} bytes")


def _piece(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke ({error})") from error


@contextlib.contextmanager
def _disk_errors(part: _Part) -> Iterator[None]:
    """Raise a BioqError for an error of the disk, such as a full disk or a missing permission."""
    try:
        yield
    except OSError as error:
        raise BioqError(
            f"{part.out}: could not be written: {error.strerror or error}; "
            f"{part.bytes_done():,} bytes are kept; correct this and run the same command again"
        ) from error


def _check_sha256(path: Path, expected: str | None, url: str) -> None:
    actual = files.sha256(path)
    if expected is not None and actual != expected.lower():
        path.unlink()
        raise BioqError(
            f"{url}: the SHA-256 of the download is {actual}, expected {expected}; it was "
            "removed; download it again, or check the expected value"
        )
    state = "as expected" if expected else "not compared: no expected value was given"
    say(f"{path.name}: {path.stat().st_size:,} bytes, SHA-256 {actual} ({state})")


def _unpack(archive: Path, out: Path, url: str, replaces: files.FolderKind | None) -> None:
    """Unpack a tar archive as the folder `out`, with its address; refuse members outside it."""
    try:
        with (
            files.new_folder(out, replaces=replaces) as folder,
            tarfile.open(archive) as tar,
            progress(f"unpack {archive.name}", archive.stat().st_size, "bytes") as advance,
        ):
            for member in tar:
                tar.extract(member, folder, filter="data")
                advance(member.size)
            files.write_json(folder / SOURCE, {"url": url})
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0].rstrip(":") if str(error) else "it ends too early"
        raise BioqError(
            f"{archive}: cannot be unpacked ({reason}); remove it and download it again"
        ) from error
