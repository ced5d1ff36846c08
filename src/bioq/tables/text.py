"""Tab-separated text, plain or in bgzip blocks (which every gzip reader reads, and tabix too)."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bioq.genome.libraries import pysam
from bioq.tables.formulas import mark_formulas
from bioq.tables.layout import Columns, Layout, Scores, TableFormat, plain_text

BGZIP_MODE: Any = "w1"
"""Level 1: six times faster than the usual level 6, for a file one tenth larger."""

MISSING = "NA"
"""The text for a number that is not defined (NaN)."""

_FLOAT16_DIGITS = 4
"""Significant digits of float16: enough for its 11 bits, which are 3.3 digits."""

_FIELDS_AT_ONCE = 1 << 19
"""Numbers that are converted to text at a time: text needs many times the memory of numbers."""


class BgzipFile:
    """A new file in bgzip blocks.

    If the disk is full, htslib prints messages, and prints again when the file object is freed:
    both are suppressed, and the error is raised once.
    """

    def __init__(self, path: Path):
        with _silent():
            self._file: Any = pysam.BGZFile(str(path), BGZIP_MODE, None)

    def write(self, content: bytes) -> None:
        with _silent():
            self._file.write(content)

    def close(self) -> None:
        if self._file is None:
            return
        with _silent():
            try:
                self._file.close()
            finally:
                self._file = None  # freed while messages are suppressed: it fails again


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    verbosity, hooks = pysam.set_verbosity(0), (sys.excepthook, sys.unraisablehook)
    sys.excepthook = lambda *_: None  # Cython calls both hooks when it frees a file
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook = hooks
        pysam.set_verbosity(verbosity)


class TextWriter:
    """Writes a header line, then one line per row: its columns, then a field per score and target.

    Numbers are the shortest text that reads back as the same float32; float16 has four digits.
    """

    def __init__(self, path: Path, layout: Layout, *, compressed: bool):
        self._file: Any = BgzipFile(path) if compressed else open(path, "wb")  # noqa: SIM115
        self._layout = layout
        fields = [*layout.columns]
        for score in layout.scores:
            fields += layout.score_columns(score)
        self._rows_at_once = max(1, _FIELDS_AT_ONCE // len(fields))
        self._file.write(("\t".join(self._cells(np.array(fields))) + "\n").encode())

    def write(self, columns: Columns, scores: Scores) -> None:
        rows = len(next(iter(columns.values())))
        for start in range(0, rows, self._rows_at_once):
            self._write_rows(columns, scores, slice(start, start + self._rows_at_once))

    def _write_rows(self, columns: Columns, scores: Scores, rows: slice) -> None:
        fields = [
            pa.array(self._cells(columns[name][rows]), pa.string())
            if kind == "text"
            else _numbers(columns[name][rows])
            for name, kind in self._layout.columns.items()
        ]
        fields += [join_scores(scores[name][rows], "\t") for name in self._layout.scores]
        lines = pc.binary_join_element_wise(*fields, "\t")
        self._file.write(("\n".join(lines.to_pylist()) + "\n").encode())

    def _cells(self, values: npt.NDArray[Any]) -> list[str]:
        cells = plain_text(values)
        return mark_formulas(cells) if self._layout.marks_formulas else cells

    def close(self) -> None:
        self._file.close()


def _numbers(values: npt.NDArray[Any], missing: str = MISSING) -> Any:
    numbers = pa.array(values, from_pandas=True)  # NaN becomes null
    return pc.fill_null(pc.cast(numbers, pa.string()), missing)


def join_scores(
    scores: npt.NDArray[np.floating[Any]], separator: str, missing: str = MISSING
) -> Any:
    """Return one text per row, Arrow strings `(rows,)`, from scores `(rows, targets)`; `missing`
    is the text of NaN."""
    rows, targets = scores.shape
    flat = scores.ravel()
    if flat.dtype == np.float16:
        flat = _round(flat.astype(np.float32), _FLOAT16_DIGITS)
    fields = _numbers(flat, missing)
    ends = np.arange(0, rows * targets + 1, targets, dtype=np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), fields), separator)


def _round(values: npt.NDArray[np.float32], digits: int) -> npt.NDArray[np.float32]:
    """Round to significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values.astype(np.float64))))
        scale = 10.0 ** (digits - 1 - np.where(np.isfinite(exponent), exponent, 0))
        return (np.round(values * scale) / scale).astype(np.float32)


FORMATS = (
    TableFormat(".tsv", "text/tab-separated-values", True, partial(TextWriter, compressed=False)),
    TableFormat(".tsv.gz", "application/gzip", True, partial(TextWriter, compressed=True)),
)
