"""Tables of scores, written row by row in small memory: text, Parquet, HDF5 and AnnData.

>>> layout = Layout({"name": "text"}, targets, ("probability",))          # doctest: +SKIP
>>> with open_table(Path("scores.parquet"), layout) as table:             # doctest: +SKIP
...     table.write({"name": names}, {"probability": probability})
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError, UsageError
from bioq.files import new_file
from bioq.tables.layout import (
    NUMPY_TYPE,
    Columns,
    Dtype,
    Kind,
    Layout,
    Scores,
    TableWriter,
)

__all__ = [
    "ENDINGS",
    "Columns",
    "Dtype",
    "Kind",
    "Layout",
    "Scores",
    "Table",
    "TableWriter",
    "named_errors",
    "open_table",
    "table_ending",
]

ENDINGS = (".tsv", ".tsv.gz", ".parquet", ".h5", ".h5ad")


class Table:
    """An open table; `write` appends rows in order."""

    def __init__(self, path: Path, layout: Layout, writer: TableWriter):
        self.rows = 0
        self._path = path
        self._layout = layout
        self._writer = writer

    def write(self, columns: Columns, scores: Scores | None = None) -> None:
        """Append rows: every column of the layout `(rows,)`, every score `(rows, targets)`."""
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


def table_ending(path: str | Path) -> str:
    """Return which of ENDINGS a name has. Raises UsageError if it has none of them."""
    name = Path(path).name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    raise UsageError(f"{path}: expected a name that ends in {', '.join(ENDINGS)}")


@contextlib.contextmanager
def open_table(path: Path, layout: Layout) -> Iterator[Table]:
    """Yield a table that appears at `path` whole when the block ends, or not at all.

    The format follows from the name's ending. Memory does not grow with the rows. Raises
    UsageError for another ending and BioqError if the file cannot be written.
    """
    table_ending(path)
    with new_file(path) as partial, named_errors(path):
        writer = _open_writer(partial, table_ending(path), layout)
        try:
            yield Table(path, layout, writer)
        except BaseException:
            with contextlib.suppress(Exception):  # the file is thrown away, the first error counts
                writer.close()
            raise
        writer.close()


def _open_writer(partial: Path, ending: str, layout: Layout) -> TableWriter:
    if ending == ".parquet":
        from bioq.tables.parquet import ParquetWriter

        return ParquetWriter(partial, layout)
    if ending in (".tsv", ".tsv.gz"):
        from bioq.tables.text import TextWriter

        return TextWriter(partial, layout, compressed=ending == ".tsv.gz")
    from bioq.tables.hdf5 import Hdf5Writer

    return Hdf5Writer(partial, layout, is_anndata=ending == ".h5ad")


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """htslib tells of a full disk without an error number; name the file all the same."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise BioqError(
            f"{path}: could not be written: {reason} (is the disk full?); nothing was left behind"
        ) from error


def _typed(values: npt.NDArray[Any], kind: Kind) -> npt.NDArray[Any]:
    if kind == "text":
        return np.asarray(values, dtype=object)
    return np.asarray(values, dtype=NUMPY_TYPE[kind])
