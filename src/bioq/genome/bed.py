"""BED, narrowPeak and broadPeak files, plain or gzip."""

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import BioqError

_MOST_BYTES = 1 << 30
_HEADER = re.compile(rb"(#|(track|browser)([ \t]|$))")
_MOST_DIGITS = 18
_DIGITS = re.compile(rb"[0-9]{1,%d}" % _MOST_DIGITS)
_NARROW_PEAK_COLUMNS = 10
"""A narrowPeak has exactly ten columns, the tenth its summit: UCSC, ENCODE narrowPeak format.
BED12 has a tenth column too, which is something else."""
NO_SUMMIT = -1


@dataclass(frozen=True)
class Bed:
    """The intervals of a BED file, in file order."""

    path: Path
    contigs: tuple[str, ...]
    """The contig names that the file uses."""
    contig: npt.NDArray[np.int64]
    """`(n,)` numbers into `contigs`."""
    start: npt.NDArray[np.int64]
    """`(n,)`, 0-based."""
    end: npt.NDArray[np.int64]
    """`(n,)`, not included; always after start."""
    summit: npt.NDArray[np.int64]
    """`(n,)` narrowPeak's summit counted from start, -1 where the file gives none. Real files hold
    some that are not in their peak, so whoever uses it must check."""

    def __len__(self) -> int:
        return len(self.start)

    def line(self, row: int) -> int:
        """Return the line of the file that row `row` stands on, counted from 1."""
        return _data_lines(_read(self.path))[row][0]


def read_bed(path: str | Path) -> Bed:
    """Read the first three columns of a BED file, and the summit of a narrowPeak.

    `track`, `browser`, `#` and blank lines are passed over; columns are separated by tabs, or by
    spaces in a line without tabs. An interval of no bases (start = end) is an error.
    Raises BioqError, with the line, for fewer than three columns, a number that is no whole
    number, a negative start, or an end that is not after its start.
    """
    path = Path(path)
    text = _read(path)
    bed = _parse_fast(path, text)
    return bed if bed is not None else _parse_exactly(path, text)


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            text = (gzip.GzipFile(fileobj=file) if is_gzip else file).read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise BioqError(f"{path}: no such file; expected a BED file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BioqError(
            f"{path}: its gzip compression is cut short or damaged ({error}); "
            "copy or download it again"
        ) from error
    except OSError as error:
        raise BioqError(f"{path}: could not be read: {error.strerror}") from error
    if len(text) > _MOST_BYTES:
        raise BioqError(
            f"{path}: holds more than {_MOST_BYTES:,} bytes{' once unpacked' * is_gzip}; a file of "
            "peaks or bins is held in memory whole, so give the first three columns alone, or the "
            "contigs in files of their own"
        )
    return text.removeprefix(b"\xef\xbb\xbf")


def _parse_fast(path: Path, text: bytes) -> Bed | None:
    """Parse a file whose lines all have the same columns and no fault; None for anything else."""
    position = 0
    while _HEADER.match(text, position):
        position = text.find(b"\n", position) + 1 or len(text)
    text = text[position:].rstrip(b"\r\n")
    if not text:
        return None
    letters = np.frombuffer(text + b"\n", dtype=np.uint8)
    line_end = np.flatnonzero(letters == ord("\n"))
    line_start = np.concatenate([[0], line_end[:-1] + 1])
    may_be_header = np.isin(letters[line_start], np.frombuffer(b"#tb", dtype=np.uint8)).any()
    if may_be_header and any(word in text for word in (b"\n#", b"\ntrack", b"\nbrowser")):
        return None
    tab = np.flatnonzero(letters == ord("\t"))
    columns = text[: line_end[0]].count(b"\t") + 1
    if columns < 3 or len(tab) != len(line_end) * (columns - 1):
        return None
    tabs = tab.reshape(len(line_end), columns - 1)
    if (tabs[:, 0] < line_start).any() or (tabs[:, -1] > line_end).any():
        return None
    line_end = line_end - (letters[line_end - 1] == ord("\r"))
    stops = np.column_stack([tabs, line_end])
    start = _whole_numbers(letters, tabs[:, 0] + 1, stops[:, 1])
    end = _whole_numbers(letters, tabs[:, 1] + 1, stops[:, 2])
    if start is None or end is None or (end <= start).any():
        return None
    summit = np.full(len(start), NO_SUMMIT, dtype=np.int64)
    if columns == _NARROW_PEAK_COLUMNS:
        begins = tabs[:, 8] + 1
        given = (line_end - begins != 2) | (letters[begins] != ord("-"))  # anything but -1
        numbers = _whole_numbers(letters, begins[given], line_end[given])
        if numbers is None or (letters[begins[~given] + 1] != ord("1")).any():
            return None
        summit[given] = numbers
    contig, example = _group_names(letters, line_start, tabs[:, 0])
    names = _names(text[line_start[row] : tabs[row, 0]] for row in example)
    return Bed(path, names, contig, start, end, summit)


def _group_names(
    letters: npt.NDArray[np.uint8], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number the names at letters first .. last - 1 by first appearance.

    Returns each row's number `(n,)` and, for each number, the first row that has it.
    """
    width = last - first
    number = np.zeros(len(first), dtype=np.int64)
    for begin in range(0, int(width.max()), 8):  # eight letters at a time, as one integer
        word = np.zeros(len(first), dtype=np.uint64)
        for place in range(begin, min(begin + 8, int(width.max()))):
            letter = letters[np.minimum(first + place, last)].astype(np.uint64)
            word |= np.where(width > place, letter, 0) << np.uint64(8 * (place - begin))
        word_number, words = pd.factorize(word)
        number = pd.factorize(number * len(words) + word_number)[0].astype(np.int64)
    example = np.empty(int(number.max()) + 1, dtype=np.int64)
    example[number[::-1]] = np.arange(len(number))[::-1]  # of equal numbers the last written stays
    return number, example


def _whole_numbers(
    letters: npt.NDArray[np.uint8], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Return the numbers that stand at letters first .. last - 1; None if one is no number."""
    width = last - first
    if len(width) and (width.min() < 1 or width.max() > _MOST_DIGITS):
        return None
    numbers = np.zeros(len(first), dtype=np.int64)
    for place in range(int(width.max(initial=0))):
        digit = letters[np.minimum(first + place, last - 1)] - np.uint8(ord("0"))
        if (digit > 9).any():
            return None
        numbers = np.where(width > place, numbers * 10 + digit, numbers)
    return numbers


def _names(contigs: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(name.decode("utf-8", "replace") for name in contigs)


def _data_lines(text: bytes) -> list[tuple[int, bytes]]:
    """Return (number, line) of the lines that hold an interval."""
    lines = enumerate(text.replace(b"\r\n", b"\n").split(b"\n"), start=1)
    return [(number, line) for number, line in lines if is_interval(line)]


def _parse_exactly(path: Path, text: bytes) -> Bed:
    """Parse line by line, and name the first line that is wrong."""
    numbers: dict[bytes, int] = {}
    rows = []
    for number, line in _data_lines(text):
        where = f"{path}:{number}"
        fields, start, end = parse_interval(line, where)
        summit = NO_SUMMIT
        if len(fields) == _NARROW_PEAK_COLUMNS and fields[9] != b"-1":
            summit = _whole_number(fields[9], f"{where}: summit (column 10)")
        rows.append((numbers.setdefault(fields[0], len(numbers)), start, end, summit))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Bed(path, _names(numbers), table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def is_interval(line: bytes) -> bool:
    """Whether a line is not blank, a comment, `track` or `browser`."""
    return bool(line.strip()) and not _HEADER.match(line)


def parse_interval(line: bytes, where: str) -> tuple[list[bytes], int, int]:
    """Return (fields, start, end) of a line; `where` is FILE:LINE, for the errors.

    Raises BioqError as `read_bed` does.
    """
    fields = line.split(b"\t") if b"\t" in line else line.split()
    if len(fields) < 3:
        raise BioqError(
            f"{where}: has {len(fields)} column{'s' * (len(fields) != 1)}; "
            "BED needs at least three: contig, start and end, separated by tabs"
        )
    start = _whole_number(fields[1], f"{where}: start")
    end = _whole_number(fields[2], f"{where}: end")
    if end <= start:
        place = "before" if end < start else "equal to"
        raise BioqError(
            f"{where}: end {end} is {place} start {start}; "
            "BED intervals need start < end (0-based, end not included)"
        )
    return fields, start, end


def _whole_number(field: bytes, what: str) -> int:
    if not _DIGITS.fullmatch(field):
        _refuse(field.decode("utf-8", "replace"), what)
    return int(field)


def _refuse(found: str, what: str) -> NoReturn:
    if re.fullmatch(r"-[0-9]+", found):
        raise BioqError(f"{what} {found} is negative; positions count from 0")
    raise BioqError(f"{what} {found!r} is not a whole number; expected digits only")
