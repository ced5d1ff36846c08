"""Which form of BED a file is, by the content of its columns: narrowPeak, BED12 or gappedPeak.

Columns after the sixth have another meaning in each form. narrowPeak: ten columns, 7 to 9 numbers,
10 the summit counted from start, -1 for none (UCSC, "ENCODE narrowPeak"). IDR (nboley/idr, "Output
file format") adds numbers to narrowPeak: 2, and 4 per replicate. So it has 20 columns or more.
BED12: 7 and 8 thickStart and thickEnd, 9 itemRgb, 10 blockCount, 11 blockSizes, 12 blockStarts
counted from start (UCSC, "BED format"). gappedPeak is BED12 and three numbers (UCSC, "ENCODE
gappedPeak").
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from bioq.errors import BioqError
from bioq.genome.bed_lines import whole_number
from bioq.genome.notation import MOST_DIGITS

Form = Literal["BED", "narrowPeak", "BED12", "gappedPeak"]
SAMPLED_LINES = 1000
"""The first intervals of a file, which decide its form."""
_NARROW_PEAK_COLUMNS = 10
_IDR_COLUMNS = 20
_IDR_COLUMNS_PER_REPLICATE = 4
_BED12_COLUMNS, _GAPPED_PEAK_COLUMNS = 12, 15
_NUMBER = re.compile(
    rb"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?inf(inity)?|nan|\.", re.IGNORECASE
)
_COLOUR = re.compile(rb"\.|[0-9]+|[0-9]+,[0-9]+,[0-9]+,?")
_SUMMIT = re.compile(rb"-1|[0-9]{1,%d}" % MOST_DIGITS)


def form_of(rows: Sequence[list[bytes]], path: Path) -> Form:
    """Return the form of a file with these columns in its first lines.

    It is BED12 or gappedPeak if its name has .gappedPeak, one line has several blocks, which no
    other columns look like, or half of the lines have one block; and narrowPeak if half of the
    lines have its columns: the rest is damaged.
    A file that may be narrowPeak or BED9 with one more column (7 and 8 are positions inside their
    interval, 9 a colour) is narrowPeak only if its name has .narrowPeak.
    """
    if not rows:
        return "BED"
    blocks = [_blocks(row) for row in rows]
    if ".gappedpeak" in path.name.lower() or max(blocks) > 1 or _half([*map(bool, blocks)]):
        gapped = _half([len(row) == _GAPPED_PEAK_COLUMNS for row in rows])
        return "gappedPeak" if gapped else "BED12"
    if _half([_has_summit(row) for row in rows]):
        is_named = ".narrowpeak" in path.name.lower()
        return "narrowPeak" if is_named or not _half([*map(_has_thick_part, rows)]) else "BED"
    return "BED"


def is_signal(rows: Sequence[list[bytes]]) -> bool:
    """Return whether these lines look like a bedGraph that has a value everywhere: four columns,
    the last one a number that is 0 in some, and most intervals begin where the last one ended."""
    if len(rows) < 2 or not all(len(row) == 4 and _NUMBER.fullmatch(row[3]) for row in rows):
        return False
    adjacent = [row[:2] == [last[0], last[2]] for last, row in pairwise(rows)]
    contigs = len({row[0] for row in rows})
    has_zero = any(b"0" in row[3] and not row[3].strip(b"+-0.") for row in rows)
    return has_zero and 2 * sum(adjacent) >= len(rows) - contigs > 0


def parse_blocks(columns: list[bytes], start: int, end: int, where: str) -> list[tuple[int, int]]:
    """Return (start, end) of every block of an item of BED12 or gappedPeak.

    Raises BioqError, which begins with `where`, for an item whose blocks are not as many as its
    blockCount, have no base, or are not inside the item.
    """
    if len(columns) < _BED12_COLUMNS:
        raise BioqError(
            f"{where}: has {len(columns)} columns; the file is BED12 or gappedPeak, with blocks in "
            "columns 10 to 12"
        )
    count = whole_number(columns[9], f"{where}: blockCount (column 10)")
    sizes = _numbers(columns[10], f"{where}: blockSizes (column 11):")
    starts = _numbers(columns[11], f"{where}: blockStarts (column 12):")
    if not count == len(sizes) == len(starts) or not count:
        raise BioqError(
            f"{where}: blockCount (column 10) is {count}, but there are {len(sizes)} blockSizes "
            f"(column 11) and {len(starts)} blockStarts (column 12); expected the same number"
        )
    blocks = []
    for size, offset in zip(sizes, starts, strict=True):
        if not size or offset + size > end - start:
            raise BioqError(
                f"{where}: the block of {size} bases at {offset} is not inside its item of "
                f"{end - start} bases; is the line damaged?"
            )
        blocks.append((start + offset, start + offset + size))
    return blocks


def without_fillers(blocks: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return the blocks of a gappedPeak without those of one base that fill its two ends.

    BED12 needs a block at each end of the item, so MACS adds blocks of one base there (MACS,
    "callpeak", NAME_peaks.gappedPeak, columns 10 to 12). They are not peaks.
    """
    fillers = ((start, start + 1), (end - 1, end))
    return [block for block in blocks if block not in fillers] or blocks


def has_summit_column(columns: int) -> bool:
    """Return whether a line of narrowPeak, or of IDR's narrowPeak, may have so many columns."""
    more = columns - _IDR_COLUMNS
    return columns == _NARROW_PEAK_COLUMNS or more >= 0 == more % _IDR_COLUMNS_PER_REPLICATE


def _half(answers: list[bool]) -> bool:
    return 2 * sum(answers) >= len(answers)


def _has_summit(row: list[bytes]) -> bool:
    return (
        has_summit_column(len(row))
        and all(_NUMBER.fullmatch(cell) for cell in row[6:9] + row[10:])
        and _SUMMIT.fullmatch(row[9]) is not None
    )


def _has_thick_part(row: list[bytes]) -> bool:
    """Return whether columns 7 to 9 are thickStart, thickEnd and itemRgb of BED9."""
    positions = row[1:3] + row[6:8]
    if len(row) < 9 or not all(cell.isdigit() for cell in positions):
        return False
    start, end, thick_start, thick_end = map(int, positions)
    return start <= thick_start <= thick_end <= end and _COLOUR.fullmatch(row[8]) is not None


def _blocks(row: list[bytes]) -> int:
    """Return the number of blocks, 0 if columns 7 to 12 are not those of BED12; MACS writes 0 in
    columns 7 to 9.

    A single block is the item itself: three other numbers may look like a part of it.
    """
    if len(row) < _BED12_COLUMNS or not _COLOUR.fullmatch(row[8]):
        return 0
    if not all(cell.isdigit() or cell == b"." for cell in row[6:8]):
        return 0
    try:
        start, end = int(row[1]), int(row[2])
        blocks = parse_blocks(row, start, end, "")
    except (BioqError, ValueError):
        return 0
    return len(blocks) if len(blocks) > 1 or blocks == [(start, end)] else 0


def _numbers(cell: bytes, what: str) -> list[int]:
    """Return the numbers of a list with commas, of which one may follow the last number."""
    numbers = cell.removesuffix(b",").split(b",")
    if all(map(bytes.isdigit, numbers)):
        return list(map(int, numbers))
    return [whole_number(number.strip(), what) for number in numbers]
