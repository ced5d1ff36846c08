"""The target table: one row per target of a model, in the order of the labels."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # 66 MB that reading batches does not need
    import pandas as pd

from bioq.errors import BioqError, UsageError, did_you_mean, nearest, some
from bioq.files.text import about_invisible, read_text
from bioq.options import MOST_TARGETS

_CONTROL = re.compile("[\x00-\x1f\x7f]")
NAME = "name"
"""The first column of every target table; all other columns are annotation, kept as text."""

_MOST_SUGGESTED = 3
_MOST_CELLS = 10_000_000
"""Cells of a target table: each takes up to 60 bytes of memory."""


@dataclass(frozen=True)
class TargetRows:
    """The checked cells of a target table; `len()` is the number of targets."""

    columns: list[str]
    """`name`, then the annotation."""
    cells: list[list[str]]
    """One list per target, in the order of the columns."""
    lines: list[int]
    """The line of every target in the file."""

    def __len__(self) -> int:
        return len(self.cells)

    def table(self) -> pd.DataFrame:
        """Return the rows as a table; imports pandas, which reading rows does not need."""
        import pandas as pd

        return pd.DataFrame(self.cells, columns=self.columns, dtype=str)


def read_target_table(path: str | Path, *, by_hand: bool = False) -> pd.DataFrame:
    """Read a tab-separated target table; every column as text, empty cells as "".

    A byte order mark and blank lines are ignored. Raises BioqError, with the line, if the file is
    not a table, has no column `name`, or a name is empty or repeated; in a table that is written
    `by_hand` also for a cell of several lines and for control characters in a name.
    """
    return _read_named_rows(Path(path), needed=(NAME,), by_hand=by_hand).table()


def read_target_rows(path: str | Path) -> TargetRows:
    """Read and check a target table as `read_target_table` does, without pandas."""
    return _read_named_rows(Path(path), needed=(NAME,), by_hand=False)


def read_hand_written_rows(path: Path, *, needed: tuple[str, ...]) -> TargetRows:
    """Read and check a table that is written by hand, see `read_target_table`, and has the columns
    `needed`."""
    return _read_named_rows(path, needed=needed, by_hand=True)


def select_targets(table: pd.DataFrame, patterns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the rows of a target table that match any of the patterns, in table order.

    Without patterns: every row. See `matching_targets`. Raises UsageError for a pattern that
    matches no target.
    """
    if not patterns:
        return np.arange(len(table))
    chosen = np.zeros(len(table), dtype=bool)
    for pattern in patterns:
        matches = matching_targets(table, pattern)
        if not matches.any():
            raise UsageError(_no_match(table, pattern))
        chosen |= matches
    return np.flatnonzero(chosen)


def matching_targets(table: pd.DataFrame, pattern: str) -> npt.NDArray[np.bool_]:
    """Return which targets of a table match a pattern: bool `(targets,)`.

    A name that equals the pattern is the only match, whatever characters it has. Otherwise the
    pattern is a glob (`*`, `?`, `[seq]`; case counts) on the name, or `column=glob` on a column of
    annotation, where cells that equal the glob are the only matches.
    """
    exact = np.array(table[NAME] == pattern, dtype=bool)
    if exact.any():
        return exact
    column, glob = _column_and_glob(table, pattern)
    exact = np.array(table[column] == glob, dtype=bool)
    if exact.any():
        return exact
    matches = re.compile(translate(glob)).match  # fnmatchcase keeps 32,768 patterns in memory
    return np.array([matches(cell) is not None for cell in table[column]], dtype=bool)


def _column_and_glob(table: pd.DataFrame, pattern: str) -> tuple[str, str]:
    """Split `column=glob` at the end of the longest column name; other patterns are of names."""
    columns = [column for column in table.columns if pattern.startswith(f"{column}=")]
    column = max(columns, key=len, default=None)
    return (NAME, pattern) if column is None else (column, pattern[len(column) + 1 :])


def _no_match(table: pd.DataFrame, pattern: str) -> str:
    column, glob = _column_and_glob(table, pattern)
    brackets = "; in a pattern, [ab] is the letter a or b, and [[] is the letter [" * ("[" in glob)
    like = _nearest_patterns(table, pattern)
    near = did_you_mean([repr(each) for each in like])
    where = f"{near}'bioq targets' lists the targets of a run or a data set"
    if column != NAME:
        values = some(dict.fromkeys(cell for cell in table[column] if cell), 5) or "nothing"
        return f"no target has {pattern!r}; column {column!r} holds {values}{brackets}; {where}"
    columns = [
        column for column in table.columns if column != NAME and not _is_measured(table[column])
    ]
    by_column = f", or choose by {'=, '.join(columns)}=" if columns else ""
    names = some(table[NAME], 5 if len(table) <= 5 else 2)
    word, equals, _ = pattern.partition("=")
    no_column = f", and the target table has no column {word!r}" if equals else ""
    return (
        f"no target is called {pattern!r}{no_column}; there are {names}{by_column}{brackets}; "
        f"{where}"
    )


def _is_measured(cells: Iterable[str]) -> bool:
    """Return whether cells are fractions or missing, such as scores: nobody chooses by them."""
    found = set(cells)
    numbers = re.compile(r"-?\d*\.?\d+(e[-+]?\d+)?|NA|nan|", re.IGNORECASE)
    return all(map(numbers.fullmatch, found)) and any("." in cell for cell in found)


def _nearest_patterns(table: pd.DataFrame, pattern: str) -> list[str]:
    """Return up to 3 patterns that match a target and are spelled most like `pattern`.

    These are names, COLUMN=VALUE, and `*PART*` for a part of a name (see `_parts`). Case is
    ignored. If `pattern` is a name or a piece of a name in other letters, only that is returned.
    """
    column, glob = _column_and_glob(table, pattern)
    word = glob.strip("*?")
    cells = {one: [cell for cell in dict.fromkeys(table[one]) if cell] for one in table.columns}
    of_column = "" if column == NAME else f"{column}="
    pieces = _spellings(word, cells[column])
    if pieces:
        return [f"{of_column}{piece}" for piece in pieces][:_MOST_SUGGESTED]
    candidates = {cell.lower(): f"{of_column}{cell}" for cell in reversed(cells[column])}
    if column == NAME:
        for one in table.columns[1:]:
            for cell in cells[one]:
                candidates.setdefault(cell.lower(), f"{one}={cell}")
                candidates.setdefault(f"{one}={cell}".lower(), f"{one}={cell}")
        for part in dict.fromkeys(part for name in cells[NAME] for part in _parts(name)):
            candidates.setdefault(part.lower(), f"*{part}*")
    near = nearest(word, candidates, _MOST_SUGGESTED)
    return list(dict.fromkeys(candidates[name] for name in near))


def _spellings(word: str, cells: Sequence[str]) -> list[str]:
    """Return the cells that are `word`, case ignored; otherwise patterns of the pieces of cells
    that are."""
    low = word.lower()
    same = [cell for cell in cells if cell.lower() == low]
    if same or not word:
        return same
    found = [cell[cell.lower().index(low) :][: len(word)] for cell in cells if low in cell.lower()]
    return [f"*{escape(piece)}*" for piece in dict.fromkeys(found)]


def _parts(name: str) -> list[str]:
    """Return the parts of a name, also `Ctcf` of `wgEncodeGm12878Ctcf`, of 3 letters or more."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    inner = [part for word in words for part in re.findall(r"[A-Z][a-z0-9]+|[A-Z0-9]+", word)]
    return [part for part in [*words, *inner] if len(part) > 2]


def write_target_table(table: pd.DataFrame, file: Path | TextIO) -> None:
    """Write a target table as tab-separated text."""
    table.to_csv(file, sep="\t", index=False, lineterminator="\n")


def _read_named_rows(path: Path, *, needed: tuple[str, ...], by_hand: bool) -> TargetRows:
    header, rows = _read_rows(path, by_hand=by_hand)
    if not header:
        raise BioqError(f"{path}: is empty; expected a first line with the names of the columns")
    for column in needed:
        if column not in header:
            raise BioqError(f"{path}:1: has no column {column!r}; {_about_header(header, column)}")
    for column, count in Counter(header).items():
        if count > 1:
            raise BioqError(f"{path}:1: has two columns {column!r}; every column needs a name")
    if not rows:
        raise BioqError(f"{path}: has no rows; expected one target per row")
    name_column = header.index(NAME)
    line_of: dict[str, int] = {}
    for line, row in rows:
        if len(row) > len(header):
            raise BioqError(
                f"{path}:{line}: has {len(row)} columns, but line 1 names {len(header)}; "
                "columns are separated by tabs"
            )
        row += [""] * (len(header) - len(row))
        name = row[name_column]
        _require_name(f"{path}:{line}", name, line_of, by_hand=by_hand)
        line_of[name] = line
        row.insert(0, row.pop(name_column))
    header.insert(0, header.pop(name_column))
    return TargetRows(header, [row for _, row in rows], [line for line, _ in rows])


def _require_name(where: str, name: str, line_of: Mapping[str, int], *, by_hand: bool) -> None:
    """Raise BioqError, which begins with `where`, for a name that is wrong or on another line."""
    if not name.strip():
        raise BioqError(f"{where}: the name is empty; every target needs a name")
    if by_hand and _CONTROL.search(name):
        raise BioqError(
            f"{where}: the name is {name!r}{about_invisible(name)}; remove the character"
        )
    if name in line_of:
        raise BioqError(
            f"{where}: the name {name!r} is also on line {line_of[name]}; "
            "every target needs a different name"
        )


def _about_header(header: Sequence[str], column: str) -> str:
    """Return what a first line without a column has, and how to correct it."""
    like = [cell for cell in header if _plain(cell) == column]
    if like:
        return f"found {like[0]!r}{about_invisible(like[0])}; write {column!r}"
    table = "a target table is tab-separated and its first line names its columns"
    found = f"found {', '.join(header[:5])!r}"
    only = header[0] if len(header) == 1 else ""
    for separator, what in ((";", "semicolons"), (",", "commas"), (" ", "spaces")):
        if column in map(_plain, only.split(separator)):
            return f"{found}: its columns are separated by {what}; {table}: save it with tabs"
    if len(header) > 2 and header[1].isdigit() and header[2].isdigit():
        return f"{found}: these are peaks; {table}: write a sheet that has the name of this file"
    return f"{found}; {table}"


def _plain(cell: str) -> str:
    """Return the name of a column without marks, blanks and capital letters around it."""
    return "".join(letter for letter in cell if letter.isalnum()).lower()


def _read_rows(path: Path, *, by_hand: bool) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the fields of the first line, and (line number, fields) of the lines that follow.

    Columns without a name and without a cell at the end, as Excel adds them, are left out.
    """
    text = read_text(path, "a tab-separated target table")
    lines, columns = text.count("\n"), text.split("\n", 1)[0].count("\t") + 1
    if lines > MOST_TARGETS or lines * columns > _MOST_CELLS:  # before memory is taken for each
        raise BioqError(
            f"{path}: has {lines:,} lines and {columns:,} columns; expected at most "
            f"{MOST_TARGETS:,} targets and {_MOST_CELLS:,} cells"
        )
    rows = list(_parsed(path, text, by_hand=by_hand))
    header = rows.pop(0)[1] if rows else []
    while header and not header[-1].strip():
        if any(cell.strip() for _, row in rows for cell in row[len(header) - 1 :]):
            break
        header.pop()
    for _, row in rows:
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
    return header, [(line, row) for line, row in rows if any(cell.strip() for cell in row)]


def _longest_cell(text: str, line: int) -> int:
    """Return the length of the longest cell of a line, counted from 1, without a copy of it."""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    longest = 0
    while start <= end:
        stop = text.find("\t", start, end)
        stop = end if stop < 0 else stop
        longest, start = max(longest, stop - start), stop + 1
    return longest


def _parsed(path: Path, text: str, *, by_hand: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields). Raises BioqError, with the line, for a quote without an end, and
    `by_hand` for a cell of several lines: two quotes that do not belong together make one."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            longest, most = _longest_cell(text, line), csv.field_size_limit()
            if longest > most:
                raise BioqError(
                    f"{path}:{line}: has a cell of {longest:,} characters, expected at most "
                    f"{most:,}; if it names peak files, move the table into their folder, so that "
                    "their paths are shorter"
                ) from error
            raise BioqError(
                f'{path}:{line}: a cell begins with a quote (") and no quote ends it ({error}); '
                "remove the quote, or put the cell in quotes and write each quote in it twice"
            ) from error
        if by_hand and reader.line_num > line:
            raise BioqError(
                f'{path}:{line}: a quote (") at the start of a cell is closed on line '
                f"{reader.line_num}, so {reader.line_num - line + 1:,} lines would be one row; "
                "remove the two quotes; a cell is on one line"
            )
        yield line, row


def target_paths(out: Path, names: Sequence[str], ending: str) -> list[Path]:
    """Return the file of every target: OUT without its ending, the target's name, the ending.

    Letters that have a meaning in paths become `_`. Raises UsageError if two names become equal.
    """
    stem = out.name[: -len(ending)]
    name_of: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^\w.+-]", "_", name)
        if name_of.setdefault(plain, name) != name:
            raise UsageError(
                f"{out}: the targets {name_of[plain]!r} and {name!r} would both go to "
                f"{stem}.{plain}{ending}; choose one of them with --targets"
            )
    return [out.with_name(f"{stem}.{plain}{ending}") for plain in name_of]
