"""BED, narrowPeak and broadPeak files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.files.text import open_content

_MOST_BYTES = 1 << 30
_HEADER = re.compile(rb"(#|(track|browser)([ \t]|$))")
_MOST_DIGITS = 18
_DIGITS = re.compile(rb"[0-9]{1,%d}" % _MOST_DIGITS)
_NARROW_PEAK_COLUMNS = 10
"""A narrowPeak has exactly ten columns, and the tenth is the summit: UCSC, ENCODE narrowPeak
format. The tenth column of BED12 has another meaning."""
_SCANNED_BYTES = 1 << 16
_CONTIG, _START, _END, _SUMMIT = "f0", "f1", "f2", "f9"
"""PyArrow's names of the columns that are read."""
NO_SUMMIT = -1


@dataclass(frozen=True)
class Bed:
    """The intervals of a BED file, in file order."""

    path: Path
    contigs: tuple[str, ...]
    """The contig names in the file, in order of appearance."""
    contig: npt.NDArray[np.int64]
    """`(n,)` numbers into `contigs`."""
    start: npt.NDArray[np.int64]
    """`(n,)`, 0-based."""
    end: npt.NDArray[np.int64]
    """`(n,)`, not included; always greater than start."""
    summit: npt.NDArray[np.int64]
    """`(n,)` the summit of a narrowPeak, counted from start; -1 if the file has none. In real files
    some summits are outside their peak: check before use."""

    def __len__(self) -> int:
        return len(self.start)

    def line(self, row: int) -> int:
        """Return the line number of row `row` in the file, counted from 1."""
        return _data_lines(_read(self.path))[row][0]


def read_bed(path: str | Path) -> Bed:
    """Read the first three columns of a BED file, and the summit of a narrowPeak.

    `track`, `browser`, `#` and blank lines are skipped. Columns are separated by tabs, or by
    spaces in a line without tabs. Quotes are ordinary characters.
    Raises BioqError, with the line, for fewer than three columns, a position that is not a whole
    number, a negative start, or an end that is not greater than its start.
    """
    path = Path(path)
    text = _read(path)
    bed = _parse_quickly(path, text)
    return bed if bed is not None else _parse_exactly(path, text)


def _read(path: Path) -> bytes:
    with open_content(path, "a BED file") as content:
        text = content.text().read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        unpacked = " once unpacked" if content.compression != "none" else ""
        raise BioqError(
            f"{path}: holds more than {_MOST_BYTES:,} bytes{unpacked}; a file of peaks or bins is "
            "held in memory as a whole, so keep only its first three columns, or write each contig "
            "to a file of its own"
        )
    return text


def _parse_quickly(path: Path, text: bytes) -> Bed | None:
    """Parse tab-separated lines with PyArrow; None for a text that `_parse_exactly` must read."""
    import pyarrow as pa

    first = _first_data(text)
    end_of_line = text.find(b"\n", first)
    columns = text.count(b"\t", first, end_of_line if end_of_line >= 0 else None) + 1
    if columns < 3:
        return None
    lines = memoryview(text)[first:]
    numbers = (_START, _END, *([_SUMMIT] if columns == _NARROW_PEAK_COLUMNS else []))
    types = {_CONTIG: pa.dictionary(pa.int32(), pa.binary()), **dict.fromkeys(numbers, pa.int64())}
    try:
        table = _read_columns(lines, types)
        if _may_be_misread(text) and not _are_digits(_read_columns(lines, numbers)):
            return None
    except pa.ArrowInvalid:
        return None
    contig = table[_CONTIG].unify_dictionaries().combine_chunks()
    names = contig.dictionary.to_pylist()
    start, end, *summits = (table[name].to_numpy() for name in numbers)
    summit = summits[0] if summits else np.full(len(start), NO_SUMMIT, dtype=np.int64)
    is_right = (start >= 0) & (start < end) & (summit >= NO_SUMMIT)
    is_right &= np.maximum(end, summit) < 10**_MOST_DIGITS
    if not is_right.all() or any(_HEADER.match(name) for name in names):
        return None
    return Bed(path, _names(names), contig.indices.to_numpy().astype(np.int64), start, end, summit)


def _read_columns(lines: memoryview, types: Any) -> Any:
    """Return columns of tab-separated lines as a PyArrow table.

    `types` maps their names to types; a sequence of names gives text.
    Raises pyarrow.ArrowInvalid for lines of different widths and cells of another type.
    """
    import pyarrow as pa
    from pyarrow import csv

    types = types if isinstance(types, dict) else dict.fromkeys(types, pa.string())
    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(lines)),
        read_options=csv.ReadOptions(use_threads=False, autogenerate_column_names=True),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False),
        convert_options=csv.ConvertOptions(
            include_columns=list(types), column_types=types, null_values=[]
        ),
    )


def _first_data(text: bytes) -> int:
    """Return where the first line begins that is neither blank nor a header."""
    position = 0
    while text.startswith(b"\n", position) or _HEADER.match(text, position):
        position = text.find(b"\n", position) + 1 or len(text)
    return position


def _may_be_misread(text: bytes) -> bool:
    """Return whether PyArrow may read as a number what BED does not have: a cell with a space, one
    that begins with -0, or with 0 and another character (base 16, any number of zeros)."""
    if b" " in text:
        return True
    letters = np.frombuffer(text, dtype=np.uint8)
    for first in range(0, len(letters), _SCANNED_BYTES):
        part = letters[first : first + _SCANNED_BYTES + 2]
        tab = np.flatnonzero((part[:-2] == ord("\t")) & (part[1:-1] <= ord("0")))
        has_minus, second = part[tab + 1] == ord("-"), part[tab + 2]
        if np.where(has_minus, second == ord("0"), second >= ord("0")).any():
            return True
    return False


def _are_digits(table: Any) -> bool:
    """Return whether every cell of a table of text is a whole number, or -1."""
    from pyarrow import compute

    pattern = f"^(-1|[0-9]{{1,{_MOST_DIGITS}}})$"
    matches = (compute.match_substring_regex(column, pattern) for column in table.columns)
    return all(compute.all(match).as_py() for match in matches)


def _names(contigs: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(name.decode("utf-8", "replace") for name in contigs)


def _data_lines(text: bytes) -> list[tuple[int, bytes]]:
    """Return (line number, line) of the lines with an interval."""
    lines = enumerate(text.split(b"\n"), start=1)
    return [(number, line) for number, line in lines if is_interval(line)]


def _parse_exactly(path: Path, text: bytes) -> Bed:
    """Parse line by line, and name the first wrong line."""
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
    """Return whether a line is not blank, a comment, `track` or `browser`."""
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
        order = "before" if end < start else "equal to"
        raise BioqError(
            f"{where}: end {end} is {order} start {start}; "
            "BED intervals need start < end (0-based, end not included)"
        )
    return fields, start, end


def _whole_number(field: bytes, what: str) -> int:
    if not _DIGITS.fullmatch(field):
        _refuse(field.decode("utf-8", "replace"), what)
    return int(field)


def _refuse(cell: str, what: str) -> NoReturn:
    if re.fullmatch(r"-[0-9]+", cell):
        raise BioqError(f"{what} {cell} is negative; positions count from 0")
    raise BioqError(f"{what} {cell!r} is not a whole number; expected digits only")
