"""FASTA indexes: whether a .fai (and .gzi) fits its FASTA.

htslib accepts every index; the index of another version of the file silently gives wrong bases.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pysam

_MOST_BETWEEN_BYTES = 1 << 16
"""The longest header line, blank lines included, that is read between two contigs."""

ReadAt = Callable[[int, int], bytes]
"""(offset, number of bytes) in the uncompressed text -> the bytes."""


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


def read_fresh_index(
    fasta: Path, fai: Path, gzi: Path, *, compressed: bool
) -> dict[str, int] | None:
    """Return the lengths of the contigs if the index fits the FASTA, or None if it does not.

    The index fits if it is not older than the FASTA, and if the FASTA has exactly one header line,
    with the right name, between any two contigs of the index.
    """
    try:
        needed = (fai, gzi) if compressed else (fai,)
        written = fasta.stat().st_mtime_ns
        if any(index.stat().st_mtime_ns < written for index in needed):
            return None
        entries = [_entry(line) for line in fai.read_text("utf-8").splitlines()]
        with open(fasta, "rb") as file:
            if compressed:
                blocks = _read_gzi(gzi)
                if not _blocks_fit(file, blocks):
                    return None
                with pysam.BGZFile(str(fasta), "rb", None) as text:
                    fits = _entries_fit(entries, _read_at_of_bgzip(text, blocks))
            else:
                fits = _entries_fit(entries, _read_at_of_plain(file))
    except (OSError, ValueError, ArithmeticError, struct.error):  # a damaged index has any number
        return None
    return {entry.name: entry.length for entry in entries} if fits else None


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
        one_line = header.endswith("\n") and "\n" not in header[:-1]
        blank_before = end == 0 or between[:1] in b"\r\n"
        if not (header.startswith(">") and one_line and blank_before and words[:1] == [entry.name]):
            return False
        if entry.length and not read_at(entry.end - 1, 1).strip():
            return False
    return not read_at(ends[-1], _MOST_BETWEEN_BYTES).strip()


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


def _blocks_fit(file: BinaryIO, blocks: list[tuple[int, int]]) -> bool:
    """Return whether every block has the offset and the size that the .gzi gives."""
    for (_, before), (compressed, uncompressed) in pairwise(blocks):
        file.seek(compressed - 4)
        around = file.read(8)
        if around[4:] not in (b"\x1f\x8b\x08\x04", b""):
            return False
        if struct.unpack_from("<I", around)[0] != uncompressed - before:
            return False
    return True


def _read_at_of_bgzip(text: pysam.BGZFile, blocks: list[tuple[int, int]]) -> ReadAt:
    starts = [uncompressed for _, uncompressed in blocks]

    def read_at(offset: int, size: int) -> bytes:
        compressed, uncompressed = blocks[bisect_right(starts, offset) - 1]
        text.seek((compressed << 16) | (offset - uncompressed))
        return bytes(text.read(size))

    return read_at
