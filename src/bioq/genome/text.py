"""Text in pieces of bounded size, plain or gzip: a FASTA's, and lines."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bioq.errors import BioqError
from bioq.progress import Advance, progress

_BLOCK_BYTES = 1 << 22
LINE_BYTES = 1 << 26
"""The longest line that is held in memory."""


def bounded_lines(text: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it is longer than LINE_BYTES: then its beginning alone."""
    while line := text.readline(LINE_BYTES):
        is_cut = rest = len(line) == LINE_BYTES and not line.endswith(b"\n")
        while rest:
            more = text.readline(LINE_BYTES)
            rest = bool(more) and not more.endswith(b"\n")
        yield line, is_cut


def too_long(where: str) -> BioqError:
    """Return the error for a line of which more is needed than its beginning."""
    return BioqError(f"{where}: the line is longer than {LINE_BYTES:,} bytes; is the file damaged?")


def fasta_pieces(
    path: Path, *, compressed: bool, show_progress: bool = True, label: str = ""
) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (line number, text, is a header): whole header lines, sequence in large pieces.

    `label` is what messages call the file, by default its path.
    A byte order mark is passed over. Raises BioqError for a file that cannot be read or whose
    compression is damaged.
    """
    line, at_line_start, rest = 1, True, b""
    for block in _blocks(path, compressed, show_progress, label or str(path)):
        text, position, rest = rest + block, 0, b""
        while position < len(text):
            is_header = at_line_start and text[position] == ord(">")
            if is_header:
                end = text.find(b"\n", position) + 1
                if not end:
                    rest = text[position:]
                    if len(rest) > LINE_BYTES:
                        raise too_long(f"{label or path}:{line}")
                    break
            else:
                next_header = text.find(b"\n>", position)
                end = next_header + 1 if next_header >= 0 else len(text)
            piece = text[position:end]
            yield line, piece, is_header
            line += piece.count(b"\n")
            at_line_start = piece.endswith(b"\n")
            position = end
    if rest:
        yield line, rest, True


def _silent(done: int, note: str = "") -> None:
    """Report nothing."""


def _blocks(path: Path, compressed: bool, show_progress: bool, label: str) -> Iterator[bytes]:
    """Yield the text of a file in blocks, with progress; the first without a byte order mark."""
    try:
        with open(path, "rb") as raw, contextlib.ExitStack() as stack:
            advance: Advance = _silent
            if show_progress:
                size = path.stat().st_size
                advance = stack.enter_context(progress(f"read {Path(label).name}", size, "bytes"))
            text = gzip.GzipFile(fileobj=raw) if compressed else raw
            done, mark = 0, b"\xef\xbb\xbf"
            while block := text.read(_BLOCK_BYTES):
                yield block.removeprefix(mark)
                mark = b""
                advance(raw.tell() - done)
                done = raw.tell()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BioqError(
            f"{label}: its gzip compression is cut short or damaged ({error}); "
            "copy or download it again"
        ) from error
    except OSError as error:
        raise BioqError(f"{label}: could not be read: {error.strerror}") from error
