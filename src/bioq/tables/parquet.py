"""Parquet: one column per score and target, in row groups of bounded size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioq.tables.layout import Columns, Kind, Layout, Scores, TableFormat

_ROW_GROUP_BYTES = 64 << 20
_ROW_GROUP_ROWS = 1 << 18
ARROW_TYPE: dict[Kind, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
}
_COLUMN_BYTES = 32
"""An estimate of the memory of one text or number."""


class ParquetWriter:
    """Keeps at most one row group in memory. Key `bioq` of the schema has the metadata as JSON.

    NaN is written as null: other tools sort NaN as the largest number.
    """

    def __init__(self, path: Path, layout: Layout):
        self._layout = layout
        width = pa.float16() if layout.dtype == "float16" else pa.float32()
        score_fields = [name for score in layout.scores for name in layout.score_columns(score)]
        self._schema = pa.schema(
            [pa.field(name, ARROW_TYPE[kind]) for name, kind in layout.columns.items()]
            + [pa.field(name, width) for name in score_fields],
            metadata={"bioq": json.dumps(dict(layout.metadata))},
        )
        self._file = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            use_dictionary=[name for name, kind in layout.columns.items() if kind == "text"],
            use_byte_stream_split=score_fields if layout.dtype == "float32" else False,
        )
        row_bytes = len(score_fields) * np.dtype(layout.dtype).itemsize
        row_bytes += _COLUMN_BYTES * len(layout.columns)
        self._group_rows = max(1, min(_ROW_GROUP_ROWS, _ROW_GROUP_BYTES // row_bytes))
        self._waiting: list[Any] = []
        self._waiting_rows = 0

    def write(self, columns: Columns, scores: Scores) -> None:
        arrays = [
            pa.array(columns[name].tolist(), pa.string())
            if kind == "text"
            else pa.array(columns[name], ARROW_TYPE[kind], from_pandas=True)
            for name, kind in self._layout.columns.items()
        ]
        for name in self._layout.scores:
            by_target = np.ascontiguousarray(scores[name].T)  # (targets, rows)
            arrays += [pa.array(values, from_pandas=True) for values in by_target]
        self._waiting.append(pa.record_batch(arrays, schema=self._schema))
        self._waiting_rows += len(arrays[0])
        if self._waiting_rows >= self._group_rows:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            self._file.write_table(table, row_group_size=self._group_rows)
            self._waiting, self._waiting_rows = [], 0


FORMATS = (TableFormat(".parquet", "application/vnd.apache.parquet", True, ParquetWriter),)
