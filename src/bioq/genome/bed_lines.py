"""The lines of a BED file: which of them are intervals, their columns, and what is not BED."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from bioq.errors import BioqError
from bioq.files.text import BYTE_ORDER_MARK
from bioq.genome.notation import MOST_DIGITS

_HEADER = re.compile(rb"(#|(track|browser)([ \t]|$))")
_FILE_END = b"\0\x1a \t"
_HEADER_STARTS = b"#tb"
_COMMENT = ord("#")
_NUMBER = re.compile(rb"-?[0-9]{1,%d}" % MOST_DIGITS)
_COLUMN_WORD = r"['\"]?((chrom|chr|peak|region|tx)[._ ]?)?({})([._ ]?(pos|position|coord))?['\"]?"
_START_WORD = re.compile(_COLUMN_WORD.format("start|begin|from"), re.IGNORECASE)
_END_WORD = re.compile(_COLUMN_WORD.format("end|stop|to"), re.IGNORECASE)
_CIGAR = re.compile(rb"\*|([0-9]+[MIDNSHP=X])+")
_ALLELE = re.compile(rb"([ACGTNacgtn,.*]|<[^<>]*>)+")
_JOINED_END = re.compile(rb"[0-9]+[^0-9eE.,].*")
_REGION = re.compile(rb"\S+:[0-9,]+-[0-9,]+")

_VCF = "VCF: 'bioq variants' scores it; for regions make BED with bcftools query"
_GFF = "GFF or GTF, whose starts are counted from 1: write contig, start - 1 and end"
_SAM = "SAM or a Picard interval_list, whose starts are counted from 1: convert it to BED"
_MACS = (
    "a table of MACS (.xls), whose starts are counted from 1: give the .narrowPeak or .broadPeak "
    "of the same run"
)
_RANGES = "a table of R's GRanges, whose starts are counted from 1: write BED with rtracklayer"
_SECOND = (
    "a table with the contig in its second column, as of HOMER, SAF or UCSC: write the columns "
    "contig, start (counted from 0) and end"
)
_WIGGLE = "wiggle: convert it to BED"
_REGIONS = "a list of regions CONTIG:START-END, counted from 1: write contig, start - 1 and end"
_COMMAS = "a table with commas: separate contig, start and end with tabs"
_LENGTHS = "a table of contig lengths, with 2 columns: write contig, 0 and length"
_TWO_LINES = (
    "; two lines seem to be joined here: a file without a line end after its last line was joined "
    "with another file (cat); put a line end between them"
)
_PAIRS = "BEDPE, with two intervals per line: write each as a line of BED"
# The first bytes of a line before the first interval -> what the file is. Binary formats are named
# when a file is opened: see `files.formats`.
_FIRST_BYTES = (
    (re.compile(rb"##fileformat=VCF|#CHROM\tPOS\t"), _VCF),
    (re.compile(rb"##gff-version"), _GFF),
    (re.compile(rb"@(HD|SQ|RG|PG|CO)\t"), _SAM),
    (re.compile(rb"(fixed|variable)Step[ \t]"), _WIGGLE),
)


def is_interval(line: bytes) -> bool:
    """Return whether a line is not blank, a comment, `track` or `browser`.

    A line whose second and third columns are positions is an interval of a contig with that name:
    BED allows the names (BED v1.0, section 1.5), and UCSC's lines have words there.
    """
    if not line or line.isspace():
        return False
    if line[0] not in _HEADER_STARTS or not _HEADER.match(line):
        return True
    return line[0] != _COMMENT and _are_positions(columns_of(line))


def is_comment(line: bytes) -> bool:
    """Return whether a line is a comment, `track` or `browser`."""
    return _HEADER.match(line) is not None


def interval_lines(
    lines: Iterable[bytes], label: str, *, found_header: Callable[[str], None] | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, line) of the lines with an interval.

    The first of them is left out if its start and end are the names of columns (`chrom start end`);
    `found_header` is called with it. Raises BioqError, which begins with `label` and the line, if
    the lines up to there are of another format.
    """
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        _require_bed(line, f"{label}:{number}")
        if is_interval(line):
            if not _is_header(columns_of(line)):
                yield number, line
            elif found_header is not None:
                found_header(_shown(line).replace("\t", " "))
            break
    for number, line in numbered:
        if is_interval(line):
            yield number, line


def about_header(label: str | Path, header: str) -> str:
    """Return the line that reports a first line of column names, which is left out."""
    return f"{label}: its first line is read as names of columns: {header}"


def columns_of(line: bytes) -> list[bytes]:
    """Return the columns of a line, without empty columns at its end.

    They are separated by tabs; by blanks in a line without tabs, and in a line that has start and
    end only so (`chr1 100<tab>200`) and has no empty column.
    """
    line = line.rstrip(b" \t")
    if b"\t" not in line:
        return line.split()
    columns = line.split(b"\t")
    if b" " in line:
        columns[0] = columns[0].strip(b" ")
        if not _are_positions(columns) and all(column.strip() for column in columns):
            by_blanks = line.split()
            if _are_positions(by_blanks):
                return by_blanks
    return columns


def parse_interval(line: bytes, where: str) -> tuple[list[bytes], int, int]:
    """Return (columns, start, end) of a line; `where` is FILE:LINE, for the errors.

    `start` may be negative: some tools extend intervals past the start of a contig. Raises
    BioqError for fewer than three columns, an empty name of the contig, a position that is not a
    whole number, an end that is not greater than its start, or an end that is not greater than 0.
    """
    if line.startswith(BYTE_ORDER_MARK):
        raise BioqError(
            f"{where}: begins with a byte order mark (U+FEFF, invisible): files were joined here; "
            "remove the mark: sed 's/\\xef\\xbb\\xbf//' IN > OUT"
        )
    columns = columns_of(line)
    if len(columns) < 3 and not line.strip(_FILE_END):
        raise BioqError(
            f"{where}: holds only zero bytes, or the character that ends a file of DOS (Ctrl-Z); "
            "if no line is missing, remove this one"
        )
    if len(columns) < 3:
        raise BioqError(
            f"{where}: has {len(columns)} column{'s' * (len(columns) != 1)}; BED needs at least "
            f"three: contig, start and end, separated by tabs{_seems(columns)}"
        )
    if not _are_positions(columns):
        _refuse(columns, where)
    start, end = int(columns[1]), int(columns[2])
    if end <= start:
        order = "before" if end < start else "equal to"
        remedy = (
            f"; for a point between two bases give the base on its right, {start} {start + 1}; if "
            f"positions are counted from 1, {start - 1} {start}"
        )
        raise BioqError(
            f"{where}: end {end} is {order} start {start}; BED intervals need start < end "
            f"(0-based, end not included){remedy * (end == start > 0)}"
        )
    if end <= 0:
        raise BioqError(f"{where}: end {end} is before the first base of {_shown(columns[0])}")
    if not columns[0]:
        raise BioqError(f"{where}: the contig's name, the first column, is empty")
    return columns, start, end


def whole_number(cell: bytes, what: str) -> int:
    """Return a number, 0 or more; BioqError, which begins with `what`, for another cell."""
    if not _NUMBER.fullmatch(cell):
        raise BioqError(f"{what} {_not_a_number(cell)}")
    if cell.startswith(b"-"):
        raise BioqError(f"{what} {_shown(cell)} is negative; expected 0 or more")
    return int(cell)


def _are_positions(columns: list[bytes]) -> bool:
    if len(columns) < 3:
        return False
    start, end = columns[1], columns[2]
    if start.isdigit() and end.isdigit():  # much faster than the pattern
        return len(start) <= MOST_DIGITS and len(end) <= MOST_DIGITS
    return _NUMBER.fullmatch(start) is not None and _NUMBER.fullmatch(end) is not None


def _refuse(columns: list[bytes], where: str) -> NoReturn:
    """Raise the error for a start or end that is not a whole number."""
    what, cell = "start", columns[1]
    if _NUMBER.fullmatch(cell):
        what, cell = "end", columns[2]
    raise BioqError(f"{where}: {what} {_not_a_number(cell)}{_seems(columns)}")


def _not_a_number(cell: bytes) -> str:
    """Return the end of the error for a cell that is not a whole number, and how to write it."""
    text = f"{_shown(cell)!r} is not a whole number; expected digits only"
    try:
        number = float(cell.replace(b",", b""))
    except ValueError:
        return text
    return f"{text}: {number:.0f}" if number.is_integer() and abs(number) < 1e15 else text


def _is_header(columns: list[bytes]) -> bool:
    names = [_shown(column) for column in columns[1:3]]
    return (
        len(names) == 2
        and _START_WORD.fullmatch(names[0]) is not None
        and _END_WORD.fullmatch(names[1]) is not None
    )


def _require_bed(line: bytes, where: str) -> None:
    """Raise BioqError if a line before the first interval shows that the file is not BED."""
    if line.startswith(b">"):
        raise BioqError(
            f"{where}: begins with '>', as FASTA does; BED is expected; for sequences leave out "
            "the genome"
        )
    for first_bytes, what in _FIRST_BYTES:
        if first_bytes.match(line):
            raise BioqError(f"{where}: the file seems to be {what}")
    if is_interval(line):
        what = _other_table(columns_of(line))
        if what:
            raise BioqError(f"{where}: the file seems to be {what}")


def _other_table(columns: list[bytes]) -> str:
    """Return what a file is whose first line has these columns, if it is not BED."""
    if _is_header(columns):
        names = [_shown(column).strip("\"'").lower() for column in columns]
        if "seqnames" in names or names[3:4] == ["width"]:
            return _RANGES
        return _MACS if names[3:4] == ["length"] else ""
    if _is_header(columns[1:]):
        return _SECOND
    if _is_pair(columns):
        return _PAIRS
    return _LENGTHS if len(columns) == 2 and columns[1].isdigit() else ""


def _is_pair(columns: list[bytes]) -> bool:
    """Return whether two intervals on one contig are in a line, the second not before the first.

    A name may equal its contig, as 1, and numbers such as a score and a count may follow it.
    """
    if columns[3:4] != columns[:1] or len(columns) < 6:
        return False
    if not all(map(_NUMBER.fullmatch, [columns[1], *columns[4:6]])):
        return False
    return int(columns[1]) <= int(columns[4]) < int(columns[5])


def _seems(columns: list[bytes]) -> str:
    """Return what the file of a line that is not BED seems to be; empty if that is not clear."""
    is_digits = [column.isdigit() for column in columns[:5]] + [False] * 5
    what = ""
    if is_digits[1] and is_digits[3] and is_digits[4] and _JOINED_END.fullmatch(columns[2]):
        return _TWO_LINES
    if len(columns) == 1 and _REGION.fullmatch(columns[0]):
        what = _REGIONS
    elif len(columns) < 3 and columns and columns[0].count(b",") > 1:
        what = _COMMAS
    elif len(columns) > 7 and is_digits[3] and is_digits[4] and columns[6] in b"+-.?":
        what = _GFF
    elif len(columns) > 9 and is_digits[1] and is_digits[3] and _CIGAR.fullmatch(columns[5]):
        what = _SAM
    elif len(columns) > 4 and is_digits[1] and all(map(_ALLELE.fullmatch, columns[3:5])):
        what = _VCF
    elif is_digits[2] and is_digits[3]:
        what = _SECOND
    return f"; the file seems to be {what}" * bool(what)


def _shown(cell: bytes) -> str:
    return cell[:60].decode("utf-8", "replace")
