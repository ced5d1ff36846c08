"""UCSC's 2bit genomes, read in place.

The format: https://genome.ucsc.edu/FAQ/FAQformat.html#format7. Bases are T, C, A, G = 0 .. 3, the
first in the highest bits; runs of unknown bases and of lower case are listed separately.
"""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.genome.runs import Flags, Runs

MAGIC = 0x1A412743
_HEADER_BYTES = 16
_SHIFTS = np.array([6, 4, 2, 0], dtype=np.uint8)
# The four codes of each packed byte, from the order T, C, A, G.
_CODES_OF_BYTE = dna.encode("TCAG")[(np.arange(256, dtype=np.uint8)[:, None] >> _SHIFTS) & 3]

Read = Callable[[str, int, int], dna.Bytes]
ReadMasked = Callable[[str, int, int], tuple[dna.Bytes, Flags]]


def byte_order(head: bytes) -> str | None:
    """Return the byte order of a 2bit file that begins with `head`, or None if it is not 2bit."""
    for order in "<>":
        if len(head) >= 4 and struct.unpack_from(f"{order}I", head)[0] == MAGIC:
            return order
    return None


def open_twobit(path: Path) -> tuple[dict[str, int], Read, ReadMasked]:
    """Return the lengths of the contigs, a function that reads bases, and one that reads bases and
    whether they are in lower case.

    Raises BioqError for a file that is cut short, damaged, or has a contig twice.
    """
    with open(path, "rb") as file:
        raw = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        order = byte_order(raw[:4]) or "<"
        contigs = {
            name: _Contig(path, raw, order, offset) for name, offset in _index(path, raw, order)
        }
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise BioqError(
            f"{path}: this 2bit file is cut short or damaged; copy or download it again"
        ) from error
    if not any(contig.length for contig in contigs.values()):
        raise BioqError(f"{path}: holds no bases; expected a genome")
    lengths = {name: contig.length for name, contig in contigs.items()}
    return (
        lengths,
        lambda name, start, end: contigs[name].read(start, end),
        lambda name, start, end: contigs[name].read_masked(start, end),
    )


def _index(path: Path, raw: mmap.mmap, order: str) -> list[tuple[str, int]]:
    """Return (name, offset of its record) of every contig."""
    _, version, count, _ = struct.unpack_from(f"{order}4I", raw)
    if version not in (0, 1):
        raise BioqError(f"{path}: 2bit version {version}; expected 0, or 1 (64-bit offsets)")
    word = struct.Struct(order + ("Q" if version else "I"))
    at, entries, seen = _HEADER_BYTES, [], set()
    for _ in range(count):
        end = at + 1 + raw[at]
        name = raw[at + 1 : end].decode("utf-8")
        if name in seen:
            raise BioqError(
                f"{path}: holds the contig {name!r} twice; every contig needs a different name"
            )
        seen.add(name)
        entries.append((name, word.unpack_from(raw, end)[0]))
        at = end + word.size
    return entries


class _Contig:
    """A contig's record: sizes and unknown runs in memory, the rest read from the file."""

    def __init__(self, path: Path, raw: mmap.mmap, order: str, offset: int):
        word = np.dtype(f"{order}u4")

        def in_file(count: int) -> npt.NDArray[np.unsignedinteger[Any]]:
            nonlocal offset
            numbers = np.frombuffer(raw, dtype=word, count=count, offset=offset)
            offset += count * word.itemsize
            return numbers

        def words(count: int) -> npt.NDArray[np.int64]:
            return in_file(count).astype(np.int64)

        self.length, runs = (int(number) for number in words(2))
        starts = words(runs)
        self._unknown = Runs(starts, starts + words(runs))
        (masked,) = (int(number) for number in words(1))
        self._lower = in_file(masked), in_file(masked)
        offset += word.itemsize  # a reserved word
        size = dna.packed_bytes(self.length)
        self._packed: dna.Bytes = np.frombuffer(raw, dtype=np.uint8, count=size, offset=offset)

    def read(self, start: int, end: int) -> dna.Bytes:
        first = start // 4
        packed = self._packed[first : dna.packed_bytes(end)]
        codes: dna.Bytes = _CODES_OF_BYTE[packed].reshape(-1)[start - first * 4 : end - first * 4]
        self._unknown.mark_unknown(codes, start)
        return codes

    def read_masked(self, start: int, end: int) -> tuple[dna.Bytes, Flags]:
        starts, lengths = (numbers.astype(np.int64) for numbers in self._lower)
        return self.read(start, end), Runs(starts, starts + lengths).flags(start, end)
