"""Downloads a large file, resumes where it broke off, and unpacks the DeepSEA bundle.

The DeepSEA site publishes no checksum of its bundle: the length is always checked, a SHA-256 where
the caller knows one, and the one found is printed.
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
TRIES = 6
"""Tries in a row that bring nothing new before the download gives up."""
TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20
_BUSY = (408, 425, 429)

FreeBytes = Callable[[Path], int]
Sleep = Callable[[float], None]


def fetch_deepsea(out: Path, *, url: str = DEEPSEA_URL, sha256: str | None = None) -> None:
    """Download the DeepSEA training bundle and unpack it as the folder `out`.

    The archive lies beside `out` until it is unpacked; a broken-off download resumes from it. The
    .mat files inside are compressed already, so about as much room again is needed to unpack.
    Raises BioqError if `out` exists, the disk has no room or the server does not answer.
    """
    out = Path(out)
    files.require_absent(out)
    archive = out.with_name(url.rsplit("/", 1)[-1] or "bundle.tar.gz")
    if archive.exists():
        _check_sha256(archive, sha256, url)
    else:
        fetch(url, archive, sha256=sha256, room_factor=2.0)
    _unpack(archive, out)
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
    """Download `url` as the file `out`, which appears only when it is whole.

    What has come so far stays as `out` + `.part`; a later call goes on from there if the server
    still has the same file. The disk must have `room_factor` times the length free.
    Raises BioqError if `out` exists, the server refuses or keeps breaking off, the disk has no
    room, or the length or checksum is not the expected one.
    """
    out = Path(out)
    files.require_absent(out)
    if not url.startswith(("http://", "https://")):
        raise BioqError(f"{url}: is no web address; expected one that begins with http")
    part = _Part(out, url)
    with _disk_errors(part):
        out.parent.mkdir(parents=True, exist_ok=True)
        _download_all(part, room_factor, free_bytes, sleep)
        part.finish(sha256)


def _download_all(part: "_Part", room_factor: float, free_bytes: FreeBytes, sleep: Sleep) -> None:
    """Download what is missing, again and again as long as something new comes."""
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
                    "run the same command again to go on"
                ) from broken
            say(f"{part.url}: {broken}; trying again from byte {part.bytes_done():,}")
            sleep(min(2.0**tries, 60.0))


class _Broken(Exception):
    """The connection failed in a way that another try may mend."""


@dataclass(frozen=True)
class _Version:
    """What the server calls the file that a `.part` is the beginning of."""

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
    """The unfinished file `out` + `.part`, and beside it a note of what it is the beginning of."""

    def __init__(self, out: Path, url: str):
        self.out = out
        self.url = url
        self.path = out.with_name(f"{out.name}.part")
        self._note = out.with_name(f"{out.name}.part.json")

    def bytes_done(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> _Version | None:
        """Return what was noted; None if there is nothing to go on from."""
        try:
            version = _Version(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if version.url == self.url and self.bytes_done() else None

    def start(self, version: _Version) -> None:
        """Begin anew."""
        self.remove()
        self._note.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, sha256: str | None) -> None:
        """Check the checksum and give the file its name."""
        _check_sha256(self.path, sha256, self.url)
        files.sync(self.path)
        self.path.rename(self.out)
        self.remove()


def _download(part: _Part, room_factor: float, free_bytes: FreeBytes) -> None:
    """Ask for what is missing and append it. Raises _Broken where another try may help."""
    version = part.version()
    done = part.bytes_done() if version else 0
    if version and version.length == done:
        return
    request = urllib.request.Request(part.url, headers={"User-Agent": "bioq"})
    if version:
        request.add_header("Range", f"bytes={done}-")
        if version.validator:
            request.add_header("If-Range", version.validator)
    with _asked(request, part) as answer:
        start, total = _range_of(answer)
        if version is None or (start, total) != (done, version.length):
            if start:  # a piece of another file than the one begun
                part.remove()
                raise _Broken("the file on the server has changed")
            version = _Version.of(part.url, total, answer.headers)
            part.start(version)
            done = 0
        _check_room(part, total, done, room_factor, free_bytes)
        _append(part, answer, done, total)


def _asked(request: urllib.request.Request, part: _Part) -> http.client.HTTPResponse:
    """Send the request; tell the answers that are final from those worth another try."""
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins behind the end: the file is another one now
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
    """Return where the bytes of this answer begin and the length of the whole file."""
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
        say(f"{part.url}: the server does not say how long the file is; its end is taken on trust")
        return
    needed = int(total * room_factor) - done
    free = free_bytes(part.out.parent)
    if free < needed:
        raise BioqError(
            f"{part.out.parent}: has {free:,} bytes free, {needed:,} are needed for {part.url}; "
            "make room or choose another disk"
        )


def _append(part: _Part, answer: http.client.HTTPResponse, done: int, total: int | None) -> None:
    """Append the answer to the part. Raises _Broken if it ends before its length."""
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
    """Turn a full disk, a missing permission and the like into one line."""
    try:
        yield
    except OSError as error:
        raise BioqError(
            f"{part.out}: could not be written: {error.strerror or error}; "
            f"{part.bytes_done():,} bytes are kept; mend this and run the same command again"
        ) from error


def _check_sha256(path: Path, expected: str | None, url: str) -> None:
    found = files.sha256(path)
    if expected is not None and found != expected.lower():
        path.unlink()
        raise BioqError(
            f"{url}: the SHA-256 of the download is {found}, expected {expected}; it was "
            "removed; download it again, or check the expected value"
        )
    state = "as expected" if expected else "not compared: no expected value was given"
    say(f"{path.name}: {path.stat().st_size:,} bytes, SHA-256 {found} ({state})")


def _unpack(archive: Path, out: Path) -> None:
    """Unpack a tar archive as the new folder `out`; no member may leave it."""
    try:
        with (
            files.new_folder(out) as folder,
            tarfile.open(archive) as tar,
            progress(f"unpack {archive.name}", archive.stat().st_size, "bytes") as advance,
        ):
            for member in tar:
                tar.extract(member, folder, filter="data")
                advance(member.size)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0].rstrip(":") if str(error) else "it ends too early"
        raise BioqError(
            f"{archive}: cannot be unpacked ({reason}); remove it and download it again"
        ) from error
