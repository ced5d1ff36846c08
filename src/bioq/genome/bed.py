"""Intervals of BED files in memory: peaks, with their summits or blocks, regions and bins."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.files.text import BYTE_ORDER_MARK, open_content
from bioq.genome.bed_forms import (
    SAMPLED_LINES,
    Form,
    form_of,
    has_summit_column,
    is_signal,
    parse_blocks,
    without_fillers,
)
from bioq.genome.bed_joined import JoinedLines
from bioq.genome.bed_lines import (
    columns_of,
    interval_lines,
    is_comment,
    parse_interval,
    whole_number,
)
from bioq.genome.bed_tracks import Tracks, tracks_of
from bioq.genome.notation import MOST_DIGITS
from bioq.options import path_to

_MOST_BYTES = 1 << 30
_SCANNED_BYTES = 1 << 16
_CONTIG, _START, _END, _SUMMIT = "f0", "f1", "f2", "f9"
"""PyArrow's names of the columns that are read."""
NO_SUMMIT = -1
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bed:
    """The intervals of a BED file, in file order: its items, or their blocks."""

    path: Path
    contigs: tuple[str, ...]
    """The contig names in the file, in order of appearance."""
    contig: Numbers
    """`(n,)` numbers into `contigs`."""
    start: Numbers
    """`(n,)`, 0-based; negative where an interval begins before its contig."""
    end: Numbers
    """`(n,)`, not included; always greater than start, and that of an item than 0."""
    summit: Numbers
    """`(n,)` the summit of a narrowPeak, counted from start; -1 if the file has none, or if summits
    were not requested. In real files some summits are outside their peak: check before use."""
    form: Form = "BED"
    """The form in which the file was read: the rows are the blocks of BED12 and gappedPeak."""
    item: Numbers | None = None
    """`(n,)` the number of the item of every block, from 0; None if the rows are items."""
    item_extents: Numbers | None = None
    """`(items, 2)` start and end of every item that has blocks; None if the rows are items."""
    has_absolute_summits: bool = False
    """Whether the file has the summits as positions on the contig, not counted from start."""
    tracks: Tracks = field(default_factory=Tracks)
    has_signal: bool = False
    """Whether it looks like a bedGraph of a signal: see `is_signal`."""
    header: str = ""
    """The first line, if it is a row of column names."""
    text: bytes = field(default=b"", repr=False)
    """The text that was read, for line numbers: a pipe cannot be read again."""

    def __len__(self) -> int:
        return len(self.start)

    def extents(self) -> tuple[Numbers, Numbers]:
        """Return the start and the end of each row's item: `(n,)`."""
        if self.item is None or self.item_extents is None:
            return self.start, self.end
        start, end = self.item_extents[self.item].T
        return start, end

    def line(self, row: int) -> int:
        """Return the line number of row `row` in the file, counted from 1."""
        item = row if self.item is None else int(self.item[row])
        lines = interval_lines(_lines(self.text), str(self.path))
        return next(islice(lines, item, None))[0]


def read_bed(path: str | Path, *, summits: bool = False, blocks: bool = False) -> Bed:
    """Read the intervals of a BED file.

    `track`, `browser`, `#` and blank lines are skipped, and a first line of column names. Columns
    are separated as `bed_lines.columns_of` describes. Quotes are ordinary characters. Columns after
    the third are not read, except as below, so their content does not matter.

    Args:
        path: The file, plain, gzip or bgzip.
        summits: Read the tenth column of a file that is narrowPeak. If all summits are inside their
            peak as positions on the contig and half are not if they are counted from start, the
            file has positions; they are converted.
        blocks: Read the blocks of a file that is BED12 or gappedPeak: see `bed_forms`.

    Returns:
        The intervals, 0-based and half-open, in file order.

    Raises:
        BioqError: With the line, as `bed_lines.parse_interval`, for a summit that is not a whole
            number, for damaged blocks and for two lines in one: see `JoinedLines`.
    """
    path = path_to("path", path)
    text = _read(path)
    form: Form = "BED"
    has_signal = False
    if summits or blocks:
        sampled = islice(interval_lines(_lines(text), str(path)), SAMPLED_LINES)
        rows = [columns_of(line) for _, line in sampled]
        form, has_signal = form_of(rows, path), is_signal(rows)
        if not (summits if form == "narrowPeak" else blocks):
            form = "BED"
    bed = _parse_quickly(path, text, form)
    bed = bed if bed is not None else _parse_exactly(path, text, form)
    return replace(bed, tracks=tracks_of(_lines(text)), has_signal=has_signal)


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


def _parse_quickly(path: Path, text: bytes, form: Form) -> Bed | None:
    """Parse tab-separated lines with PyArrow; None for a text that `_parse_exactly` must read."""
    import pyarrow as pa

    headers: list[str] = []
    first = _first_data(path, text, headers)
    end_of_line = text.find(b"\n", first)
    columns = text.count(b"\t", first, end_of_line if end_of_line >= 0 else None) + 1
    has_summits = form == "narrowPeak"
    if columns < 3 or form in ("BED12", "gappedPeak"):
        return None
    if has_summits and not has_summit_column(columns):
        return None
    lines = memoryview(text)[first:]
    numbers = (_START, _END, *([_SUMMIT] if has_summits else []))
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
    is_right &= np.maximum(end, summit) < 10**MOST_DIGITS
    if not is_right.all() or any(is_comment(name) or name.strip(b" ") != name for name in names):
        return None
    if any(not name or name.startswith(BYTE_ORDER_MARK) for name in names):
        return None
    if len(start) == 1:  # it may be two lines: see JoinedLines
        return None
    summit, is_absolute = _from_start(start, end, summit)
    return Bed(
        path,
        _names(names),
        contig.indices.to_numpy().astype(np.int64),
        start,
        end,
        summit,
        form,
        has_absolute_summits=is_absolute,
        header="".join(headers),
        text=text,
    )


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


def _first_data(path: Path, text: bytes, headers: list[str]) -> int:
    """Return where the first line with an interval begins; add a line of names to `headers`."""
    lines = interval_lines(_lines(text), str(path), found_header=headers.append)
    number, _ = next(lines, (0, b""))
    if not number:
        return len(text)
    position = 0
    for _ in range(number - 1):
        position = text.find(b"\n", position) + 1
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

    pattern = f"^(-1|[0-9]{{1,{MOST_DIGITS}}})$"
    matches = (compute.match_substring_regex(column, pattern) for column in table.columns)
    return all(compute.all(match).as_py() for match in matches)


def _names(contigs: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(name.decode("utf-8", "replace") for name in contigs)


def _lines(text: bytes) -> Iterator[bytes]:
    """Yield the lines of a text without line ends."""
    position = 0
    while (end := text.find(b"\n", position)) >= 0:
        yield text[position:end]
        position = end + 1
    yield text[position:]


def _parse_exactly(path: Path, text: bytes, form: Form) -> Bed:
    """Parse line by line, and name the first wrong line."""
    contigs: dict[bytes, int] = {}
    headers: list[str] = []
    has_blocks = form in ("BED12", "gappedPeak")
    rows, extents = [], []
    joined = JoinedLines(str(path))
    lines = interval_lines(_lines(text), str(path), found_header=headers.append)
    for item, (number, line) in enumerate(lines):
        where = f"{path}:{number}"
        columns, start, end = parse_interval(line, where)
        joined.add(number, columns)
        contig = contigs.setdefault(columns[0], len(contigs))
        if has_blocks:
            try:
                blocks = parse_blocks(columns, start, end, where)
            except BioqError:
                joined.require_single(number, columns)  # a better reason
                raise
            if form == "gappedPeak":
                blocks = without_fillers(blocks, start, end)
            rows += [(contig, first, last, NO_SUMMIT, item) for first, last in blocks]
            extents.append((start, end))
            continue
        summit = NO_SUMMIT
        is_narrow = form == "narrowPeak" and has_summit_column(len(columns))
        if is_narrow and columns[9] != b"-1":
            summit = whole_number(columns[9], f"{where}: summit (column 10)")
        rows.append((contig, start, end, summit, item))
    joined.finish()
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    numbers, starts, ends, summits, items = table.T
    summits, is_absolute = _from_start(starts, ends, summits)
    return Bed(
        path,
        _names(contigs),
        numbers,
        starts,
        ends,
        summits,
        form,
        item=items if has_blocks else None,
        item_extents=np.array(extents, dtype=np.int64).reshape(-1, 2) if has_blocks else None,
        has_absolute_summits=is_absolute,
        header="".join(headers),
        text=text,
    )


def _from_start(start: Numbers, end: Numbers, summit: Numbers) -> tuple[Numbers, bool]:
    """Return the summits counted from start, and whether they were positions on the contig.

    At least half of the summits of such a file are past the end of their peak if they are counted
    from start. A summit just past the end is a mistake that some programs make.
    """
    given = summit > NO_SUMMIT
    if 2 * (given & (summit > end - start)).sum() < max(given.sum(), 1):
        return summit, False
    if (given & ((summit < start) | (summit >= end))).any():
        return summit, False
    return np.where(given, summit - start, NO_SUMMIT), True
