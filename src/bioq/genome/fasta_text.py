"""The text of a FASTA, read once from start to end: header lines and pieces of sequence."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bioq.files.streams import label_of
from bioq.files.text import LINE_BYTES, open_text, too_long
from bioq.progress import Advance, progress

FASTA_BLANKS = b"\r\n \t"
"""The bytes of a FASTA between bases, which readers skip."""
_BLOCK_BYTES = 1 << 22


class FastaPiece(NamedTuple):
    """A header line of a FASTA, or a piece of sequence: part of a line, or many lines."""

    line: int
    """The line of the first letter, counted from 1."""
    column: int
    """The column of the first letter, counted from 1."""
    text: bytes
    is_header: bool


def fasta_pieces(
    path: Path, what: str = "FASTA", *, show_progress: bool = True, label: str = ""
) -> Iterator[FastaPiece]:
    """Yield whole header lines, and the sequence in large pieces.

    `label` is the name of the file in messages, by default its path. Raises BioqError as
    `open_content` does.
    """
    label = label or label_of(path)
    line, column, rest = 1, 1, b""
    for block in _blocks(path, what, show_progress, label):
        text, position, rest = rest + block, 0, b""
        while position < len(text):
            is_header = column == 1 and text[position] == ord(">")
            if is_header:
                end = text.find(b"\n", position) + 1
                if not end:
                    rest = text[position:]
                    if len(rest) > LINE_BYTES:
                        raise too_long(f"{label}:{line}")
                    break
            else:
                next_header = text.find(b"\n>", position)
                end = next_header + 1 if next_header >= 0 else len(text)
            piece = text[position:end]
            yield FastaPiece(line, column, piece, is_header)
            lines = piece.count(b"\n")
            column = len(piece) - piece.rfind(b"\n") if lines else column + len(piece)
            line += lines
            position = end
    if rest:
        yield FastaPiece(line, 1, rest, True)


def _blocks(path: Path, what: str, show_progress: bool, label: str) -> Iterator[bytes]:
    """Yield the text of a file in blocks, with progress."""
    with contextlib.ExitStack() as stack:
        advance: Advance | None = None
        if show_progress and path.is_file():
            size = path.stat().st_size
            advance = stack.enter_context(progress(f"read {Path(label).name}", size, "bytes"))
        text = stack.enter_context(open_text(path, what, label=label, advance=advance))
        while block := text.read(_BLOCK_BYTES):
            yield block
