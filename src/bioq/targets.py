"""The target table: one row for each thing a model predicts, in label order."""

from pathlib import Path

import pandas as pd

from bioq.errors import BioqError

NAME = "name"
"""The first column of every target table; the rest is annotation, kept as text."""


def read_target_table(path: str | Path) -> pd.DataFrame:
    """Read a tab-separated target table; every column as text, empty cells as "".

    Raises BioqError if it is not a table, has no column `name`, or a name is empty or repeated.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BioqError(f"{path}: no such file; expected a tab-separated target table") from error
    except (ValueError, OSError) as error:
        reason = str(error).strip().replace("\n", " ")
        raise BioqError(f"{path}: is not a tab-separated UTF-8 table ({reason})") from error
    if NAME not in table.columns:
        found = ", ".join(table.columns[:5])
        raise BioqError(
            f"{path}:1: has no column 'name'; found {found!r}; "
            "a target table is tab-separated and its first line names its columns"
        )
    if not len(table):
        raise BioqError(f"{path}: has no rows; expected one target a row")
    for row, name in enumerate(table[NAME]):
        if not name.strip():
            raise BioqError(f"{path}:{row + 2}: the name is empty; every target needs a name")
    repeated = table[NAME][table[NAME].duplicated(keep=False)]
    if len(repeated):
        first, second = repeated.index[repeated == repeated.iloc[0]][:2]
        raise BioqError(
            f"{path}:{second + 2}: the name {repeated.iloc[0]!r} stands on line {first + 2} too; "
            "every target needs a name of its own"
        )
    return table[[NAME, *(column for column in table.columns if column != NAME)]]


def write_target_table(table: pd.DataFrame, path: Path) -> None:
    """Write a target table as tab-separated text."""
    table.to_csv(path, sep="\t", index=False, lineterminator="\n")
