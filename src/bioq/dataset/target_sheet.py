"""The sheet of targets that people write: a target table with the peak files of every target."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

from bioq.dataset.targets import NAME, read_hand_written_rows
from bioq.errors import BioqError, shown
from bioq.files.streams import is_stream
from bioq.files.text import about_invisible

PEAKS = "peaks"
"""The column that gives each target's peak file, or several files with `SEPARATOR` between them."""
REPLICATES = "replicates"
"""The column that gives in how many of several peak files a bin must be positive."""
MINUS = "minus_peaks"
"""The column of peak files whose positive bins are not positive for the target."""
SEPARATOR = ";"
_UNION, _INTERSECTION = "union", "intersection"


@dataclass(frozen=True)
class PeakFiles:
    """The peak files of a target: a bin is positive if it is positive by at least `least` of the
    files `peaks`, and by no file of `minus`."""

    peaks: tuple[Path, ...]
    least: int = 1
    minus: tuple[Path, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, in the order of the sheet."""
        return self.peaks + self.minus


@dataclass(frozen=True)
class TargetSheet:
    """A target table with the peak files of every target."""

    path: Path
    targets: pd.DataFrame
    """`name`, then the sheet's annotation, without the column `peaks`; in the column `minus_peaks`
    the names of the files without their folders."""
    files: tuple[PeakFiles, ...]
    """One entry per target, in the order of the table."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every peak file, as often as a target has it, in the order of the table."""
        return tuple(path for files in self.files for path in files.all)


def read_target_sheet(path: str | Path) -> TargetSheet:
    """Read a sheet of targets: `name`, `peaks` (files, relative to the sheet) and annotation.

    A cell of `peaks` has one file, or several with `;` between them; then the column `replicates`
    has `union`, `intersection` or the number of files in which a bin must be positive. The column
    `minus_peaks` has files whose positive bins are not positive for the target. The files of a
    sheet in a pipe are relative to the working folder.

    Raises BioqError, with the line, for a bad table (see `read_target_table`), a missing column
    `peaks`, a missing peak file, and for replicates that are not named.
    """
    path = Path(path)
    folder = Path() if is_stream(path) else path.parent
    rows = read_hand_written_rows(path, needed=(NAME, PEAKS))
    files = []
    for cells, line in zip(rows.cells, rows.lines, strict=True):
        cell_of = dict(zip(rows.columns, cells, strict=True))
        files.append(_peak_files(f"{path}:{line}", cell_of, folder))
    table = rows.table().drop(columns=PEAKS)
    if MINUS in table:
        names = [SEPARATOR.join(path.name for path in target.minus) for target in files]
        table[MINUS] = names
    return TargetSheet(path, table, tuple(files))


def _peak_files(where: str, cells: Mapping[str, str], folder: Path) -> PeakFiles:
    """Return the files of a row; raise BioqError, which begins with `where`, for a wrong cell."""
    name = cells[NAME]
    peaks = tuple(_files_in(where, name, cells[PEAKS], folder))
    if not peaks:
        raise BioqError(f"{where}: {name!r} has no peak file in column {PEAKS!r}")
    minus = tuple(_files_in(where, name, cells.get(MINUS, ""), folder))
    subtracted = set(map(os.path.realpath, minus))
    both = [path for path in peaks if os.path.realpath(path) in subtracted]
    if both:
        raise BioqError(
            f"{where}: {name!r} has the file {both[0]} in the columns {PEAKS!r} and {MINUS!r}, so "
            "no bin could be positive; remove it from one of them"
        )
    least = _least(where, name, len(peaks), cells.get(REPLICATES, "")) if len(peaks) > 1 else 1
    return PeakFiles(peaks, least, minus)


def _least(where: str, name: str, files: int, cell: str) -> int:
    """Return in how many of several files a bin must be positive."""
    word = cell.strip().lower()
    if word in (_UNION, _INTERSECTION):
        return 1 if word == _UNION else files
    if word.isascii() and word.isdigit() and 1 <= int(word) <= files:
        return int(word)
    found = shown(cell) if word else "nothing"
    raise BioqError(
        f"{where}: {name!r} has {files} peak files and {found} in column {REPLICATES!r}; expected "
        f"{_UNION} (a bin is positive in any of the files), {_INTERSECTION} (in all of them), or "
        f"1 to {files} (in at least as many)"
    )


def _files_in(where: str, name: str, cell: str, folder: Path) -> Iterator[Path]:
    """Yield the files of a cell. A file that is called like the whole cell is the only one."""
    parts = [cell]
    if SEPARATOR in cell and not os.path.exists(folder / cell):
        parts = [part.strip() for part in cell.split(SEPARATOR)]
    seen: set[str] = set()
    for part in parts:
        if not part.strip():
            continue
        _require_file(where, name, part, folder)
        real = os.path.realpath(folder / part)
        if real in seen:
            raise BioqError(f"{where}: {name!r} has the peak file {part} twice; name it once")
        seen.add(real)
        yield folder / part


def _require_file(where: str, name: str, cell: str, folder: Path) -> None:
    file = folder / cell
    if os.path.exists(file) and not os.path.isdir(file):
        return
    if "://" in cell:
        problem = f"is an address; download it and give its path here: {cell}"
        raise BioqError(f"{where}: the peak file of {name!r} {problem}")
    problem = "is a folder" if os.path.isdir(file) else "does not exist"
    several = ""
    if "," in cell:
        several = f"; if the cell names several files, write {SEPARATOR} between them"
    raise BioqError(
        f"{where}: the peak file of {name!r} {problem}: {_about_path(cell, file)}; paths are "
        f"relative to the sheet's folder, or absolute{several}"
    )


def _about_path(cell: str, file: Path) -> str:
    """Return a path that is not a file for a message, with the reason if it is invisible."""
    note = about_invisible(cell)
    return f"{str(file)!r}{note}" if note else str(file)
