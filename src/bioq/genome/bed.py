"""BED, narrowPeak and broadPeak files, plain or gzip."""

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import BioqError

_HEADER = re.compile(rb"(#|(track|browser)([ \t]|$))")
_DIGITS = re.compile(rb"[0-9]{1,18}")
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
        text = path.read_bytes()
        if text.startswith(b"\x1f\x8b"):
            text = gzip.decompress(text)
    except FileNotFoundError as error:
        raise BioqError(f"{path}: no such file; expected a BED file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BioqError(
            f"{path}: its gzip compression is cut short or damaged ({error}); "
            "copy or download it again"
        ) from error
    except OSError as error:
        raise BioqError(f"{path}: could not be read: {error.strerror}") from error
    return text.removeprefix(b"\xef\xbb\xbf")


def _parse_fast(path: Path, text: bytes) -> Bed | None:
    """Parse a well-formed, tab-separated file; None for anything else."""
    position = 0
    while _HEADER.match(text, position):
        position = text.find(b"\n", position) + 1 or len(text)
    text = text[position:]
    columns = text[: text.find(b"\n") + 1 or len(text)].count(b"\t") + 1
    if columns < 3 or any(word in text for word in (b"\n#", b"\ntrack", b"\nbrowser")):
        return None
    wanted = [0, 1, 2, 9] if columns == _NARROW_PEAK_COLUMNS else [0, 1, 2]
    try:
        table = pd.read_csv(
            io.BytesIO(text),
            sep="\t",
            header=None,
            names=list(range(columns)),
            usecols=wanted,
            dtype={column: np.int64 if column else "category" for column in wanted},
            quoting=csv.QUOTE_NONE,
            na_filter=False,
            index_col=False,
        )
    except ValueError:
        return None
    contig = table[0].cat
    start, end = table[1].to_numpy(), table[2].to_numpy()
    summit = table[9].to_numpy() if 9 in wanted else np.full(len(start), NO_SUMMIT, dtype=np.int64)
    if not ((start >= 0) & (start < end) & (summit >= NO_SUMMIT)).all():
        return None
    names = tuple(str(name) for name in contig.categories)
    return Bed(path, names, contig.codes.to_numpy().astype(np.int64), start, end, summit)


def _data_lines(text: bytes) -> list[tuple[int, bytes]]:
    """Return (number, line) of the lines that hold an interval."""
    lines = enumerate(text.replace(b"\r\n", b"\n").split(b"\n"), start=1)
    return [(number, line) for number, line in lines if line.strip() and not _HEADER.match(line)]


def _parse_exactly(path: Path, text: bytes) -> Bed:
    """Parse line by line, and name the first line that is wrong."""
    numbers: dict[bytes, int] = {}
    rows = []
    for number, line in _data_lines(text):
        fields = line.split(b"\t") if b"\t" in line else line.split()
        where = f"{path}:{number}"
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
        summit = NO_SUMMIT
        if len(fields) == _NARROW_PEAK_COLUMNS and fields[9] != b"-1":
            summit = _whole_number(fields[9], f"{where}: summit (column 10)")
        rows.append((numbers.setdefault(fields[0], len(numbers)), start, end, summit))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    names = tuple(name.decode("utf-8", "replace") for name in numbers)
    return Bed(path, names, table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def _whole_number(field: bytes, what: str) -> int:
    if not _DIGITS.fullmatch(field):
        _refuse(field.decode("utf-8", "replace"), what)
    return int(field)


def _refuse(found: str, what: str) -> NoReturn:
    if re.fullmatch(r"-[0-9]+", found):
        raise BioqError(f"{what} {found} is negative; positions count from 0")
    raise BioqError(f"{what} {found!r} is not a whole number; expected digits only")
