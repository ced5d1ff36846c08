"""Tables of scores, written row by row in small memory: text, Parquet, HDF5 and AnnData.

>>> layout = Layout({"name": "text"}, targets, ("probability",))          # doctest: +SKIP
>>> with open_table(Path("scores.parquet"), layout) as table:             # doctest: +SKIP
...     table.write({"name": names}, {"probability": probability})
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from bioq.errors import NotWrittenError, UsageError, did_you_mean, nearest
from bioq.files import new_file
from bioq.tables import hdf5, parquet, text
from bioq.tables.layout import (
    NUMPY_TYPE,
    Columns,
    Dtype,
    Kind,
    Layout,
    Scores,
    TableFormat,
    TableWriter,
)

__all__ = [
    "ENDINGS",
    "FLAT_ENDINGS",
    "FORMATS",
    "Columns",
    "Dtype",
    "Kind",
    "Layout",
    "Scores",
    "Table",
    "TableFormat",
    "TableWriter",
    "named_errors",
    "open_table",
    "table_ending",
]

FORMATS: tuple[TableFormat, ...] = (*text.FORMATS, *parquet.FORMATS, *hdf5.FORMATS)
ENDINGS = tuple(format.ending for format in FORMATS)
FLAT_ENDINGS = tuple(format.ending for format in FORMATS if format.is_flat)


class Table:
    """An open table; `write` appends rows in order."""

    def __init__(self, path: Path, layout: Layout, writer: TableWriter):
        self.rows = 0
        self._path = path
        self._layout = layout
        self._writer = writer

    def write(self, columns: Columns, scores: Scores | None = None) -> None:
        """Append rows.

        Args:
            columns: Every column of the layout, `(rows,)`.
            scores: Every score, `(rows, targets)`.
        """
        scores = {} if scores is None else scores
        layout = self._layout
        if set(columns) != set(layout.columns) or set(scores) != set(layout.scores):
            raise ValueError(
                f"{self._path}: rows have {[*columns, *scores]}; "
                f"the layout has {[*layout.columns, *layout.scores]}"
            )
        ready = {name: _typed(columns[name], kind) for name, kind in layout.columns.items()}
        rows = {len(values) for values in ready.values()}
        shapes = {values.shape for values in scores.values()}
        if len(rows) != 1 or shapes - {(*rows, len(layout.targets))}:
            raise ValueError(
                f"{self._path}: columns of {rows} rows with scores of shape {shapes} "
                f"for {len(layout.targets)} targets"
            )
        if rows == {0}:
            return
        values = {name: np.asarray(scores[name], layout.dtype) for name in layout.scores}
        self._writer.write(ready, values)
        self.rows += rows.pop()


def table_ending(path: str | Path, more: Sequence[str] = ()) -> str:
    """Find the format of an output by its name.

    Args:
        path: Name of the output.
        more: Endings of other outputs that could have been given, for an error.

    Returns:
        The one of ENDINGS that the name has.

    Raises:
        UsageError: For another ending.
    """
    return _format_of(path, more).ending


def refuse_ending(path: Path, endings: Sequence[str], more: str = "") -> NoReturn:
    """Raise UsageError for a name that has none of these endings; `more` ends the line."""
    is_bigwig = path.suffix.lower() == ".bigwig" and ".bw" in endings
    hint = did_you_mean([".bw"] if is_bigwig else nearest(path.suffix, endings, most=1))
    raise UsageError(f"{path}: {hint}expected a name that ends in {', '.join(endings)}{more}")


def _format_of(path: str | Path, more: Sequence[str] = ()) -> TableFormat:
    name = Path(path).name.lower()
    for format in sorted(FORMATS, key=lambda format: len(format.ending), reverse=True):
        if name.endswith(format.ending):
            return format
    refuse_ending(Path(path), (*ENDINGS, *more))


@contextlib.contextmanager
def open_table(path: Path, layout: Layout) -> Iterator[Table]:
    """Write a table that appears complete when the block ends, or not at all.

    Memory does not grow with the rows.

    Args:
        path: File to write; the ending of the name selects the format.
        layout: Columns, targets and scores.

    Yields:
        The table to append rows to.

    Raises:
        UsageError: For another ending.
        NotWrittenError: If the file cannot be written.
    """
    format = _format_of(path)
    with new_file(path) as partial, named_errors(path):
        writer = format.open_writer(partial, layout)
        try:
            yield Table(path, layout, writer)
        except BaseException:
            with contextlib.suppress(Exception):  # the file is deleted; the first error is raised
                writer.close()
            raise
        writer.close()


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Name the output in an error of htslib, which has no number for a full disk.

    Args:
        path: The output that the block writes.

    Yields:
        Nothing: the errors of the block are read.

    Raises:
        NotWrittenError: In place of an OSError without number.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise NotWrittenError(path, f"{reason} (is the disk full?)") from error


def _typed(values: npt.NDArray[Any], kind: Kind) -> npt.NDArray[Any]:
    if kind == "text":
        return np.asarray(values, dtype=object)
    if kind == "number" and values.dtype == np.float32:
        return values  # text has no more digits than it
    return np.asarray(values, dtype=NUMPY_TYPE[kind])
