"""Downloads a file over the web, resumes an interrupted download, and checks what arrived.

The length is always checked, a checksum if the caller has one. An https address is never followed
to an address without encryption, and nothing but http and https is read. Headers of a request,
which may be a password, are sent to no other server than that of the address.
"""

import contextlib
import http.client
import json
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path

from bioq import files
from bioq.errors import BioqError, reason_of
from bioq.files.checksum import Checksum, check_checksum
from bioq.files.redirects import Redirects
from bioq.files.web_address import as_sent, require_web_address, without_query
from bioq.progress import progress, say

TRIES = 6
"""Consecutive tries without a new byte after which the download fails."""
TIMEOUT_S = 60.0
MOST_TEXT_BYTES = 1 << 20
"""The largest text that `read_text` takes."""
_AGENT = {"User-Agent": "bioq"}
_CHUNK_BYTES = 1 << 20
_BUSY = (408, 425, 429)
_ABSENT = (404, 410)

FreeBytes = Callable[[Path], int]
Sleep = Callable[[float], None]


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def fetch(
    url: str,
    out: Path,
    *,
    checksum: Checksum | None = None,
    check: Callable[[Path], None] = lambda path: None,
    remedy: str = "",
    if_refused: str = "",
    headers: Mapping[str, str] | None = None,
    most_bytes: int | None = None,
    room_factor: float = 1.0,
    free_bytes: FreeBytes = lambda folder: shutil.disk_usage(folder).free,
    sleep: Sleep = _sleep,
) -> None:
    """Download `url` as the file `out`, which appears only when it is complete.

    An incomplete download is kept as `out` + `.part`; a later call resumes it if the server still
    has the same file. The disk must have `room_factor` times the length free. `check` gets the
    complete file before it has its name, and raises BioqError for a file with other content, which
    is removed. `remedy` is the end of every message: what else the user can do; `if_refused` is
    what to check if the server answers with an error. `headers` are sent with each request to the
    server of `url`.
    Raises BioqError if `out` exists, the server refuses or keeps closing the connection, the file
    has more than `most_bytes`, the disk has too little space, or the length or checksum differs
    from the expected value.
    """
    out = Path(out)
    files.require_absent(out)
    require_web_address(url)
    part = _Part(out, url, f"; {remedy}" if remedy else "", if_refused, headers or {}, most_bytes)
    with _disk_errors(part):
        out.parent.mkdir(parents=True, exist_ok=True)
        _download_all(part, room_factor, free_bytes, sleep)
        part.finish(checksum, check)


def read_text(
    url: str,
    *,
    remedy: str = "",
    if_refused: str = "",
    headers: Mapping[str, str] | None = None,
) -> str | None:
    """Return a small text of a server, such as a list of checksums; None if it has no such file.

    One try, so that a machine without a network gets the error at once. Raises BioqError, which
    ends with `remedy`, if the server does not answer or answers with an error, for which
    `if_refused` is what to check, and if the text is larger than MOST_TEXT_BYTES.
    """
    require_web_address(url)
    shown = without_query(url)
    ending = f"; {remedy}" if remedy else ""
    try:
        with _open(_request(url, headers)) as answer:
            content: bytes = answer.read(MOST_TEXT_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _ABSENT:
            return None
        is_refused = 400 <= error.code < 500 and error.code not in _BUSY
        advice = (if_refused or "check the address") if is_refused else "try again later"
        raise BioqError(
            f"{shown}: the server answered {error.code} {error.reason}; {advice}{ending}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise BioqError(
            f"{shown}: no answer ({_reason(error)}); check the network{ending}"
        ) from error
    if len(content) > MOST_TEXT_BYTES:
        raise BioqError(f"{shown}: is larger than {MOST_TEXT_BYTES:,} bytes; check the address")
    return content.decode("utf-8", "replace")


def _request(url: str, headers: Mapping[str, str] | None) -> urllib.request.Request:
    return urllib.request.Request(as_sent(url), headers={**_AGENT, **(headers or {})})


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    opener = urllib.request.build_opener(Redirects)
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    except ValueError as error:  # of the address of a redirect
        raise BioqError(
            f"{without_query(request.full_url)}: the server redirects to an address that cannot be "
            f"read ({reason_of(error)}); check the address"
        ) from error
    return answer


def _reason(error: Exception) -> object:
    """Return why there is no answer: the system's words, if it has some."""
    reason = getattr(error, "reason", None) or error
    return getattr(reason, "strerror", None) or reason


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
                    f"{part.shown}: {TRIES} tries in a row brought nothing new ({broken}); "
                    f"{part.bytes_done():,} bytes are kept in {part.path}; "
                    f"run the same command again to continue{part.ending}"
                ) from broken
            say(f"{part.shown}: {broken}; trying again from byte {part.bytes_done():,}")
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

    def __init__(
        self,
        out: Path,
        url: str,
        ending: str,
        if_refused: str,
        headers: Mapping[str, str],
        most_bytes: int | None,
    ):
        self.out = out
        self.url = url
        self.shown = without_query(url)
        """As messages write it."""
        self.headers = headers
        self.most_bytes = most_bytes
        self.ending = ending
        """The end of a message: what else the user can do."""
        self.if_refused = if_refused
        self.path = out.with_name(f"{out.name}.part")
        self._note = out.with_name(f"{out.name}.part.json")

    def bytes_done(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

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

    def require_not_more(self, length: int | None) -> None:
        """Raise BioqError, and remove the part, if the file has more bytes than it may have."""
        if length is not None and self.most_bytes is not None and length > self.most_bytes:
            self.remove()
            raise BioqError(
                f"{self.shown}: the server gives {length:,} bytes or more, expected "
                f"{self.most_bytes:,}; check the address{self.ending}"
            )

    def finish(self, checksum: Checksum | None, check: Callable[[Path], None]) -> None:
        """Check the file and rename it to `out`; remove it if it is another file."""
        try:
            check_checksum(self.path, checksum, self.shown, label=self.out.name, ending=self.ending)
            check(self.path)
        except BioqError:
            self.remove()
            raise
        files.sync(self.path)
        self.path.rename(self.out)
        self.remove()


def _download(part: _Part, room_factor: float, free_bytes: FreeBytes) -> None:
    """Request the missing bytes and append them. Raises _Broken if another try may succeed."""
    version = part.version()
    done = part.bytes_done() if version else 0
    if version and version.length == done:
        return
    request = _request(part.url, part.headers)
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
        part.require_not_more(total)
        _check_room(part, total, done, room_factor, free_bytes)
        _append(part, answer, done, total)


def _send(request: urllib.request.Request, part: _Part) -> http.client.HTTPResponse:
    """Send a request. Raises _Broken if another try may succeed, else BioqError."""
    try:
        answer = _open(request)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins past the end: the file has changed
            part.remove()
            raise _Broken("the file on the server has changed") from error
        if error.code >= 500 or error.code in _BUSY:
            raise _Broken(f"the server answered {error.code} {error.reason}") from error
        raise BioqError(
            f"{part.shown}: the server answered {error.code} {error.reason}; "
            f"{part.if_refused or 'check the address'}{part.ending}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        is_without_network = isinstance(getattr(error, "reason", None), socket.gaierror)
        if is_without_network and not part.bytes_done():  # another try would be the same
            raise BioqError(
                f"{part.shown}: no answer ({_reason(error)}); check the network{part.ending}"
            ) from error
        raise _Broken(f"no answer ({_reason(error)})") from error
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
        say(f"{part.shown}: the server gives no length of the file, so its length is not checked")
        return
    needed = int(total * room_factor) - done
    free = free_bytes(part.out.parent)
    if free < needed:
        raise BioqError(
            f"{part.out.parent}: has {free:,} bytes free, {needed:,} are needed for {part.shown}; "
            f"free space or choose another disk{part.ending}"
        )


def _append(part: _Part, answer: http.client.HTTPResponse, done: int, total: int | None) -> None:
    """Append an answer to the part. Raises _Broken if it ends before its length."""
    with (
        open(part.path, "ab") as file,
        progress(f"download {part.out.name}", total, "bytes", done=done) as advance,
    ):
        while chunk := _piece(answer):
            file.write(chunk)
            done += len(chunk)
            part.require_not_more(done)
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
            f"{part.ending}"
        ) from error
