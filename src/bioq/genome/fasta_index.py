"""FASTA indexes: whether a .fai (and .gzi) fits its FASTA.

htslib accepts every index, and computes the position of a base from the length of the first line.
The index of another version of the file, and a file with a blank or a single `\\r` in a line, give
wrong bases in silence.
"""

import contextlib
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bioq.genome.fasta_letters import LETTERS
from bioq.genome.fasta_text import FASTA_BLANKS
from bioq.genome.libraries import pysam

_LINE_END = re.compile("[\r\n]")
_MOST_BETWEEN_BYTES = 1 << 16
"""The longest header line, blank lines included, that is read between two contigs."""

ReadAt = Callable[[int, int], bytes]
"""(offset, number of bytes) in the uncompressed text -> the bytes."""
_PIECE_BYTES = 1 << 22
_LINE_ENDS = (b"\n", b"\r\n")


@dataclass(frozen=True)
class _Entry:
    """A line of a .fai: the offset of a contig's bases, and the layout of its lines."""

    name: str
    length: int
    offset: int
    line_bases: int
    line_bytes: int

    @property
    def end(self) -> int:
        """The offset just after the last base."""
        if not self.length:
            return self.offset
        lines, rest = divmod(self.length - 1, self.line_bases)
        return self.offset + lines * self.line_bytes + rest + 1


@dataclass(frozen=True)
class FastaIndex:
    """The index of a FASTA, compared with it."""

    fasta: Path
    entries: Mapping[str, _Entry]
    """By the contig's name, in file order."""
    blocks: Sequence[tuple[int, int]] | None
    """The (compressed, uncompressed) offset of every block of a bgzip file, otherwise None."""

    @property
    def lengths(self) -> dict[str, int]:
        return {entry.name: entry.length for entry in self.entries.values()}

    def irregular(self, names: Iterable[str]) -> str | None:
        """Return the first of some contigs whose text is not letters of DNA in lines as the index
        describes them; None if there is no such contig. Reads the contigs completely."""
        with _open_text(self.fasta, self.blocks) as read_at:
            for name in names:
                try:
                    is_regular = _is_regular(self.entries[name], read_at)
                except (OSError, ValueError):  # damaged compression
                    is_regular = False
                if not is_regular:
                    return name
        return None


def read_fresh_index(fasta: Path, fai: Path, gzi: Path, *, compressed: bool) -> FastaIndex | None:
    """Return an index if it fits the FASTA, or None if it does not.

    The index fits if it is not older than the FASTA, and if the FASTA has exactly one header line,
    with the right name, between any two contigs of the index. The bases are not read.
    """
    try:
        needed = (fai, gzi) if compressed else (fai,)
        written = fasta.stat().st_mtime_ns
        if any(index.stat().st_mtime_ns < written for index in needed):
            return None
        entries = [_entry(line) for line in fai.read_text("utf-8").splitlines()]
        blocks = _read_gzi(gzi) if compressed else None
        if blocks is not None and not _blocks_fit(fasta, blocks):
            return None
        with _open_text(fasta, blocks) as read_at:
            fits = _entries_fit(entries, read_at)
    except (OSError, ValueError, ArithmeticError, struct.error):  # a damaged index has any number
        return None
    return FastaIndex(fasta, {entry.name: entry for entry in entries}, blocks) if fits else None


def _entry(line: str) -> _Entry:
    name, *numbers = line.split("\t")
    length, offset, line_bases, line_bytes = map(int, numbers)
    return _Entry(name, length, offset, line_bases, line_bytes)


def _entries_fit(entries: list[_Entry], read_at: ReadAt) -> bool:
    """Return whether the text before, between and after the contigs is their headers only."""
    if not entries or len({entry.name for entry in entries}) != len(entries):
        return False
    ends = [0, *(entry.end for entry in entries)]
    for end, entry in zip(ends, entries, strict=False):
        if not 0 < entry.offset - end <= _MOST_BETWEEN_BYTES:
            return False
        between = read_at(end, entry.offset - end)
        header = between.decode("utf-8", "replace").lstrip("\r\n")
        words = header[1:].split(maxsplit=1)
        # htslib takes a single "\\r" for a part of the header, where it hides a contig.
        one_line = header.endswith("\n") and not _LINE_END.search(
            header.removesuffix("\n").removesuffix("\r")
        )
        blank_before = end == 0 or between[:1] in b"\r\n"
        if not (header.startswith(">") and one_line and blank_before and words[:1] == [entry.name]):
            return False
        if entry.length and not read_at(entry.end - 1, 1).strip():
            return False
    tail = read_at(ends[-1], _MOST_BETWEEN_BYTES)
    return len(tail) < _MOST_BETWEEN_BYTES and not tail.strip(FASTA_BLANKS)


def _is_regular(entry: _Entry, read_at: ReadAt) -> bool:
    """Return whether a contig consists of letters of DNA, in lines of the layout of its entry."""
    bases, line_bytes = entry.line_bases, entry.line_bytes
    is_one_line = entry.length <= bases
    if not is_one_line and line_bytes <= bases:
        return False
    step = _PIECE_BYTES if is_one_line else max(_PIECE_BYTES // line_bytes, 1) * line_bytes
    for first in range(entry.offset, entry.end, step):
        size = min(step, entry.end - first)
        text = read_at(first, size)
        lines = 0 if is_one_line else len(text) // line_bytes
        ends = np.frombuffer(text, np.uint8, lines * line_bytes).reshape(lines, line_bytes)
        line_end = text[bases:line_bytes] if lines else b"\n"
        if (
            len(text) != size
            or line_end not in _LINE_ENDS
            or text.translate(None, LETTERS) != line_end * lines
            or ends[:, bases:].tobytes() != line_end * lines
        ):
            return False
    return True


@contextlib.contextmanager
def _open_text(fasta: Path, blocks: Sequence[tuple[int, int]] | None) -> Iterator[ReadAt]:
    """Yield a function that reads the uncompressed text of a FASTA."""
    if blocks is None:
        with open(fasta, "rb") as file:
            yield _read_at_of_plain(file)
    else:
        with pysam.BGZFile(str(fasta), "rb", None) as text:
            yield _read_at_of_bgzip(text, blocks)


def _read_at_of_plain(file: BinaryIO) -> ReadAt:
    def read_at(offset: int, size: int) -> bytes:
        file.seek(offset)
        return file.read(size)

    return read_at


def _read_gzi(path: Path) -> list[tuple[int, int]]:
    """Return the (compressed, uncompressed) offset of every block: bgzip's manual page."""
    raw = path.read_bytes()
    (count,) = struct.unpack_from("<Q", raw)
    if len(raw) != 8 + 16 * count:
        raise ValueError("the .gzi has another size than its first number")
    return [(0, 0), *struct.iter_unpack("<QQ", raw[8:])]


def _blocks_fit(fasta: Path, blocks: Sequence[tuple[int, int]]) -> bool:
    """Return whether every block has the offset and the size that the .gzi gives."""
    with open(fasta, "rb") as file:
        for (_, before), (compressed, uncompressed) in pairwise(blocks):
            file.seek(compressed - 4)
            around = file.read(8)
            if around[4:] not in (b"\x1f\x8b\x08\x04", b""):
                return False
            if struct.unpack_from("<I", around)[0] != uncompressed - before:
                return False
    return True


def _read_at_of_bgzip(text: "pysam.BGZFile", blocks: Sequence[tuple[int, int]]) -> ReadAt:
    starts = [uncompressed for _, uncompressed in blocks]

    def read_at(offset: int, size: int) -> bytes:
        compressed, uncompressed = blocks[bisect_right(starts, offset) - 1]
        text.seek((compressed << 16) | (offset - uncompressed))
        return bytes(text.read(size))

    return read_at
