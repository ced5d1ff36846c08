"""Reads the tables of numbers in folders that BioQ wrote, in memory and time that are bounded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

from bioq.errors import BioqError, reason_of
from bioq.files.inside import read_kept

MOST_CELLS = 10_000_000
"""Cells of a table. A history of 100,000 epochs, or scores of 100,000 targets, has a few million;
a cell takes up to 100 bytes."""


def read_numbers(
    folder: Path,
    name: str,
    *,
    numbers_from: str,
    remedy: str,
    needed: Sequence[str] = (),
    separator: str = ",",
) -> pd.DataFrame:
    """Return the table in a file of a folder.

    The columns before `numbers_from` are text; this column and those after it are numbers, NaN
    where a cell is empty or NA. Raises BioqError for a file without these columns and those that
    are `needed`, with more than MOST_CELLS cells or, with its line, a cell that is not a number.
    """
    import pandas as pd

    file = folder / name
    content = read_kept(folder, name, remedy)
    lines = content.count(b"\n") + content.count(b"\r") + 1
    if lines * (content.split(b"\n", 1)[0].count(separator.encode()) + 1) > MOST_CELLS:
        raise BioqError(f"{file}: has more than {MOST_CELLS:,} cells; {remedy}")
    try:
        table = pd.read_csv(io.BytesIO(content), sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, MemoryError, OverflowError) as error:
        raise BioqError(f"{file}: is not a table ({reason_of(error)}); {remedy}") from error
    if not isinstance(table.index, pd.RangeIndex) or table.empty:
        problem = "has no rows" if table.empty else "has more cells than columns in a line"
        raise BioqError(f"{file}: {problem}; {remedy}")
    missing = [column for column in (*needed, numbers_from) if column not in table.columns]
    if missing:
        raise BioqError(f"{file}: has no column {missing[0]!r}; {remedy}")
    for column in table.columns[list(table.columns).index(numbers_from) :]:
        table[column] = _numbers(table[column], file, remedy)
    return table


def _numbers(cells: pd.Series[str], file: Path, remedy: str) -> pd.Series[float]:
    """Return the numbers of a column. Raises BioqError for the first cell that is none."""
    import numpy as np
    import pandas as pd

    given = cells.mask(cells.isin(["", "NA", "nan"]))
    numbers = pd.to_numeric(given, errors="coerce")
    bad = given.notna() & ~np.isfinite(numbers.astype(float))
    if bad.any():
        row = int(bad.to_numpy().argmax())
        found = f"{str(cells.name)[:40]!r} is {cells.iloc[row][:40]!r}"
        raise BioqError(f"{file}:{row + 2}: {found}, expected a number; {remedy}")
    return numbers
