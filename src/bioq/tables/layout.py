"""The content of a table of scores, and what a file format must provide to write it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME

Kind = Literal["text", "integer", "number"]
"""Type of a column: str, int64, float64 (NaN where a value is not defined; in text, a column of
float32 has the digits of float32)."""

Dtype = Literal["float32", "float16"]

NUMPY_TYPE: Mapping[Kind, type[np.generic]] = {"integer": np.int64, "number": np.float64}

Columns = Mapping[str, npt.NDArray[Any]]
"""Column name -> `(rows,)`; text is an array of str, of type object or a string type."""

Scores = Mapping[str, npt.NDArray[np.floating[Any]]]
"""Score name -> `(rows, targets)`."""


@dataclass(frozen=True)
class Layout:
    """The columns, scores and targets of a table."""

    columns: Mapping[str, Kind]
    """The columns that describe a row, in order."""
    targets: pd.DataFrame
    """The target table of the scores: their second axis."""
    scores: tuple[str, ...] = ()
    """Names of the scores, each `(rows, targets)`; AnnData's X is the first score, its layers are
    the further scores."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values about the whole table; text files do not store them."""
    dtype: Dtype = "float32"
    """Type of the scores in the file."""
    marks_formulas: bool = False
    """Whether text files have a mark before cells that a spreadsheet takes for formulas: see
    `formulas`. For files that others than the author of the input open."""

    def score_columns(self, score: str) -> list[str]:
        """Return the column names of a score in a format with one column per target: SCORE:TARGET.

        They do not depend on the other scores and targets of the table.
        """
        return [f"{score}:{name}" for name in self.targets[NAME]]


class TableWriter(Protocol):
    """Appends rows, which `Table` has checked and converted to the types of the layout."""

    def write(self, columns: Columns, scores: Scores) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class TableFormat:
    """A file format of tables. To add a format, list it in `bioq.tables.FORMATS`."""

    ending: str
    media_type: str
    is_flat: bool
    """Whether the file has rows and columns alone, and no arrays."""
    open_writer: Callable[[Path, Layout], TableWriter]


def plain_text(values: npt.NDArray[Any]) -> list[str]:
    """Return text for a table: no tab or line break inside a cell."""
    return [_BREAKS.sub(" ", str(value)) for value in values]


_BREAKS = re.compile(r"[\t\r\n]")
