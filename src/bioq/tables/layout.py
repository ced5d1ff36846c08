"""What a table of scores holds: columns about its rows, and scores of rows and targets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME

Kind = Literal["text", "integer", "number", "flag"]
"""What a column holds: str, int64, float64 (NaN where there is none), bool."""

Dtype = Literal["float32", "float16"]

NUMPY_TYPE: Mapping[Kind, type[np.generic]] = {
    "integer": np.int64,
    "number": np.float64,
    "flag": np.bool_,
}

Columns = Mapping[str, npt.NDArray[Any]]
"""Column name -> `(rows,)`; text is an array of str, of type object or a string type."""

Scores = Mapping[str, npt.NDArray[np.floating[Any]]]
"""Score name -> `(rows, targets)`."""


@dataclass(frozen=True)
class Layout:
    """What every row of a table holds."""

    columns: Mapping[str, Kind]
    """The columns that describe a row, in order."""
    targets: pd.DataFrame
    """The target table of the scores: their second axis."""
    scores: tuple[str, ...] = ()
    """Names of the scores, each `(rows, targets)`; the first is AnnData's X, the others layers."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values about the whole table; every format but text keeps them."""
    dtype: Dtype = "float32"
    """Type of the scores in the file."""

    def score_columns(self, score: str) -> list[str]:
        """Return what the columns of a score are called in a format with one column a target.

        The targets' own names where there is one score, otherwise SCORE:TARGET.
        """
        names = [str(name) for name in self.targets[NAME]]
        if len(self.scores) == 1 and not set(names) & set(self.columns):
            return names
        return [f"{score}:{name}" for name in names]


class TableWriter(Protocol):
    """Appends rows to a table; what is given has been checked and is of the layout's types."""

    def write(self, columns: Columns, scores: Scores) -> None: ...

    def close(self) -> None: ...


def plain_text(values: npt.NDArray[Any]) -> list[str]:
    """Return text for a table: no tab or line break inside a cell."""
    return [_BREAKS.sub(" ", str(value)) for value in values]


_BREAKS = re.compile(r"[\t\r\n]")
