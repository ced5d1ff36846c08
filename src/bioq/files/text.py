"""Text files as every reader of BioQ opens them: plain, gzip or bgzip, with any line ends.

Lines may end in `\\n`, `\\r\\n` or `\\r`; readers see `\\n` only. Any other format is named in the
error (`formats`). Files are read once from start to end, so pipes work (`streams`).
"""

import contextlib
import functools
import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from bioq.errors import BioqError
from bioq.files import inside
from bioq.files.formats import GZIP_MAGIC, HEAD_BYTES, refuse_other_formats
from bioq.files.near import near_path
from bioq.files.streams import label_of, open_raw
from bioq.progress import Advance, say

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every BGZF file: SAM specification, section 4.1.2."""
LINE_BYTES = 1 << 26
"""The longest line that is held in memory."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BUFFER_BYTES = 1 << 20
_WATCHED_BYTES = 1 << 18
"""Bytes between two calls of `advance`, which may end the reading after a time: 0.1 s of a VCF's
header lines."""
_BGZIP_HEAD_BYTES = 18
_END = BGZF_END.rstrip(b"\0")  # zeros may follow
_END_BYTES = len(_END)
_LINE_END = re.compile(r"\r\n|\r|\n")

Compression = Literal["none", "gzip", "bgzip"]


@dataclass(frozen=True)
class Content:
    """The decompressed bytes of an open file."""

    stream: io.BufferedReader
    compression: Compression
    label: str
    """The name of the file in messages."""

    def text(self) -> io.BufferedReader:
        """Return the remaining bytes as text: lines end in `\\n`, no byte order mark."""
        return _buffered(_LineEnds(self.stream))


@contextlib.contextmanager
def open_content(
    path: Path,
    what: str,
    *,
    label: str = "",
    advance: Advance | None = None,
    accepts: Collection[str] = (),
    warn: Callable[[str], None] | None = None,
) -> Iterator[Content]:
    """Yield the bytes of a plain, gzip or bgzip file; `-` is standard input.

    `what` is the kind of file that is expected, and `label` the name of the file in messages, by
    default its path. `advance` receives the bytes of the file as they are read. `accepts` names
    the formats of `formats` that the caller reads. A bgzip file without the block that ends it is
    read, as by htslib, with a warning: `warn` receives it, by default it is printed to stderr.
    Raises BioqError, while opening or reading, for a file that does not exist, cannot be read,
    has damaged gzip data or is in another format.
    """
    label = label or label_of(path)
    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(open_raw(path))
            file = _File(_FullReads(raw), advance)
            stack.callback(file.detach)  # standard input stays open
            head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
        except FileNotFoundError as error:
            raise BioqError(f"{label}: no such file; {near_path(path)}expected {what}") from error
        except OSError as error:
            reason = error.strerror or error
            raise BioqError(f"{label}: could not be read: {reason}; expected {what}") from error
        refuse_other_formats(head, label, what, accepts=accepts)
        if not head.startswith(GZIP_MAGIC):
            yield Content(_buffered(_Checked(file, label)), "none", label)
            return
        compression: Compression = "bgzip" if is_bgzip(head) else "gzip"
        bgzip = file if compression == "bgzip" else None
        checked = _Checked(gzip.GzipFile(fileobj=file), label, bgzip, warn)
        stream = _buffered(checked)
        head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        refuse_other_formats(head, label, what, accepts=accepts, unpacked=True)
        yield Content(stream, compression, label)


@contextlib.contextmanager
def open_text(
    path: Path, what: str, *, label: str = "", advance: Advance | None = None
) -> Iterator[io.BufferedReader]:
    """Yield a file as text whose lines end in `\\n`; arguments and errors as `open_content`."""
    with open_content(path, what, label=label, advance=advance) as content:
        yield content.text()


def read_text(path: Path, what: str) -> str:
    """Return a small UTF-8 text file, for example a table.

    Raises BioqError as `open_content` does, for a file larger than `inside.SMALL_BYTES`, and, with
    the line, for bytes that are not UTF-8.
    """
    with open_text(path, what) as text:
        content = text.read(inside.SMALL_BYTES + 1)
    if len(content) > inside.SMALL_BYTES:
        raise BioqError(f"{path}: is larger than {inside.SMALL_BYTES:,} bytes; expected {what}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BioqError(
            f"{path}:{line}: has the byte 0x{content[error.start]:02X}, which is not UTF-8 text; "
            f"expected {what}: save the file as UTF-8 (Excel: 'CSV UTF-8'), or, if it is Latin-1, "
            "'iconv -f LATIN1 -t UTF-8 IN > OUT'"
        ) from error


def about_invisible(text: str) -> str:
    """Return a note that names the characters of a text that a terminal does not show, or nothing.

    They are blanks at the two ends, blanks other than the space, and control and format characters
    such as a byte order mark.
    """
    ends = {"start": text.startswith(" "), "end": text.endswith(" ")}
    edges = [f"a space at its {end}" for end, has_space in ends.items() if has_space]
    hidden = dict.fromkeys(letter for letter in text if letter != " " and not letter.isprintable())
    named = [f"{_character_name(letter)} (U+{ord(letter):04X})" for letter in hidden]
    return f", with {' and '.join([*edges, *named])}" if edges or named else ""


def _character_name(letter: str) -> str:
    if letter == "\ufeff":
        return "a byte order mark"
    return unicodedata.name(letter, "a control character").lower()


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, _BUFFER_BYTES)


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, without their ends; `str.splitlines` splits in more places."""
    return _LINE_END.split(text)


def is_bgzip(head: bytes) -> bool:
    """Return whether a file that begins with `head` (18 bytes or more) is bgzip."""
    is_gzip = len(head) >= _BGZIP_HEAD_BYTES and head[:2] == GZIP_MAGIC
    return is_gzip and head[3] & 4 > 0 and head[12:14] == b"BC"


def has_bgzip_end(path: Path, label: str = "") -> bool:
    """Return whether a bgzip file ends with the block that ends it; if not, warn."""
    with open(path, "rb") as file:
        file.seek(max(file.seek(0, 2) - _BUFFER_BYTES, 0))
        last = file.read().rstrip(b"\0")[-_END_BYTES:]
    if last != _END:
        _say_once(_without_bgzip_end(label or str(path)), last)
    return last == _END


def _without_bgzip_end(label: str) -> str:
    return (
        f"{label}: the empty block that ends a bgzip file is not there; if the file was "
        "cut short, data is missing: copy or download it again"
    )


@functools.lru_cache  # one warning, although a file is read twice
def _say_once(line: str, last: bytes) -> None:
    """Print a warning about a file that ends in the bytes `last`."""
    say(f"warning: {line}")


def bounded_lines(text: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, is cut): of a line longer than LINE_BYTES, only its beginning."""
    while line := text.readline(LINE_BYTES):
        is_cut = rest = len(line) == LINE_BYTES and not line.endswith(b"\n")
        while rest:
            more = text.readline(LINE_BYTES)
            rest = bool(more) and not more.endswith(b"\n")
        yield line, is_cut


def too_long(where: str) -> BioqError:
    """Return the error for a line that is needed whole and is longer than LINE_BYTES."""
    return BioqError(f"{where}: the line is longer than {LINE_BYTES:,} bytes; is the file damaged?")


class _FullReads(io.RawIOBase):
    """Reads as many bytes as are requested: one read of a pipe may return fewer, and the first
    bytes decide how a file is opened."""

    def __init__(self, raw: io.RawIOBase):
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view, filled = memoryview(buffer), 0
        while filled < len(view):
            count = self._raw.readinto(view[filled:])
            if not count:
                break
            filled += count
        return filled


class _File(io.BufferedReader):
    """An open file: reports its progress, and keeps its last bytes."""

    def __init__(self, raw: io.RawIOBase, advance: Advance | None):
        super().__init__(raw, _BUFFER_BYTES)
        self._advance = advance
        self.last = b""
        """The last bytes that were read, without the zeros that may follow them."""

    def read(self, size: int | None = -1, /) -> bytes:
        return self._noted(super().read(size))

    def read1(self, size: int = -1, /) -> bytes:
        is_watched = self._advance is not None and size > _WATCHED_BYTES
        return self._noted(super().read1(_WATCHED_BYTES if is_watched else size))

    def _noted(self, content: bytes) -> bytes:
        if content:
            ending = content.rstrip(b"\0") if content.endswith(b"\0") else content
            self.last = (self.last + ending[-_END_BYTES:])[-_END_BYTES:]
            if self._advance is not None:
                self._advance(len(content))
        return content


class _Checked(io.RawIOBase):
    """Decompressed bytes whose errors are BioqErrors that name the file."""

    def __init__(
        self,
        source: _File | gzip.GzipFile,
        label: str,
        bgzip: _File | None = None,
        warn: Callable[[str], None] | None = None,
    ):
        self._warn = warn
        self._source = source
        self._label = label
        self._bgzip = bgzip
        """The file, if it should end with bgzip's last block; None once that was checked."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._source.read1(min(len(buffer), _BUFFER_BYTES))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BioqError(
                f"{self._label}: its gzip compression is cut short or damaged ({error}); "
                "copy or download it again"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise BioqError(f"{self._label}: could not be read: {reason}") from error
        if not block and self._bgzip is not None:
            if self._bgzip.last != _END:
                line = _without_bgzip_end(self._label)
                if self._warn is None:
                    _say_once(line, self._bgzip.last)
                else:
                    self._warn(line)
            self._bgzip = None
        buffer[: len(block)] = block
        return len(block)


class _LineEnds(io.RawIOBase):
    """Text without its byte order mark, in which every line end is `\\n`."""

    def __init__(self, source: io.BufferedReader):
        self._source = source
        self._is_start = True
        self._after_return = False
        """Whether the last block ended in `\\r`: a `\\n` that follows belongs to it."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while block := self._source.read1(min(len(buffer), _BUFFER_BYTES)):
            text = self._with_line_ends(block)
            if text:
                buffer[: len(text)] = text
                return len(text)
        return 0

    def _with_line_ends(self, text: bytes) -> bytes:
        if self._is_start:
            text = text.removeprefix(BYTE_ORDER_MARK)
            self._is_start = False
        if self._after_return:
            text = text.removeprefix(b"\n")
            self._after_return = False
        if b"\r" in text:
            self._after_return = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return text
