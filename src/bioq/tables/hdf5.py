"""HDF5 in two layouts: BioQ's plain layout (.h5), and AnnData's (.h5ad), which `anndata` reads.

Plain: `/rows/COLUMN` `(rows,)`, `/scores/SCORE` `(rows, targets)`, `/targets/COLUMN` `(targets,)`,
attributes `format`, `format_version` and `metadata` (JSON).

AnnData: X is the first score, layers are the further scores; obs are the rows, var the targets; the
metadata are `uns["bioq"]`. Source: anndata.readthedocs.io, "On-disk format", versions 0.1.0 of
`anndata` and `dict`, 0.2.0 of `dataframe`, `array` and `string-array`. The names of obs are the
numbers of the rows: AnnData needs unique names, and the names in an input may repeat.

HDF5 separates groups by `/`, so it is `_` in the name of a column: see `_keys`.
"""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bioq.dataset.targets import NAME
from bioq.errors import UsageError
from bioq.tables.hdf5_file import Hdf5File
from bioq.tables.layout import NUMPY_TYPE, Columns, Layout, Scores, TableFormat

FORMAT = "bioq-table"
FORMAT_VERSION = 1
_CHUNK_BYTES = 1 << 19
"""Below HDF5's chunk cache of 1 MB: a chunk that is filled row by row is compressed once."""
_COLUMN_CHUNK = 4096
_MOST_COLUMNS = 4000
"""Their names are in an attribute, of which HDF5 stores at most 64 KB: 16 bytes each."""
_INDEX = "_index"
_TEXT = h5py.string_dtype("utf-8")


class Hdf5Writer:
    """Appends rows to HDF5 datasets that grow; only HDF5's chunk cache is in memory."""

    def __init__(self, path: Path, layout: Layout, *, is_anndata: bool):
        if len(layout.columns) > _MOST_COLUMNS:
            raise UsageError(
                f".h5 and .h5ad have at most {_MOST_COLUMNS:,} columns beside the scores, and this "
                f"table has {len(layout.columns):,}; write .tsv or .parquet, or fewer groups"
            )
        self._layout = layout
        self._rows = 0
        self._opened = Hdf5File(path, libver=("earliest", "v110"))
        self._keys = _keys(layout.columns)
        self._columns: dict[str, Any] = {}
        self._scores: dict[str, Any] = {}
        self._index: Any = None
        with self._opened.writing() as self._file:
            if is_anndata:
                self._lay_out_anndata()
            else:
                self._lay_out_plain()

    def write(self, columns: Columns, scores: Scores) -> None:
        with self._opened.writing():
            self._write(columns, scores)

    def _write(self, columns: Columns, scores: Scores) -> None:
        start = self._rows
        self._rows += len(next(iter(columns.values())))
        if self._index is not None:
            self._append(self._index, [str(row) for row in range(start, self._rows)])
        for name, values in columns.items():
            self._append(self._columns[name], values)
        for name, score in scores.items():
            self._append(self._scores[name], score)

    def close(self) -> None:
        self._opened.close()

    def _append(self, dataset: Any, values: Any) -> None:
        dataset.resize(self._rows, axis=0)
        dataset[self._rows - len(values) :] = values

    def _lay_out_plain(self) -> None:
        self._file.attrs["format"] = FORMAT
        self._file.attrs["format_version"] = FORMAT_VERSION
        self._file.attrs["metadata"] = json.dumps(dict(self._layout.metadata))
        rows, scores = self._file.create_group("rows"), self._file.create_group("scores")
        rows.attrs["column-order"] = np.array(list(self._keys.values()), dtype=_TEXT)
        self._make_columns(rows)
        for name in self._layout.scores:
            self._scores[name] = self._make_scores(scores, name)
        targets = self._file.create_group("targets")
        keys = _keys(map(str, self._layout.targets.columns))
        targets.attrs["column-order"] = np.array(list(keys.values()), dtype=_TEXT)
        for column, key in keys.items():
            values = self._layout.targets[column].astype(str).to_list()
            targets.create_dataset(key, data=values, dtype=_TEXT)

    def _lay_out_anndata(self) -> None:
        _encode(self._file, "anndata", "0.1.0")
        obs, var = self._file.create_group("obs"), self._file.create_group("var")
        groups = {
            name: _encode(self._file.create_group(name), "dict", "0.1.0")
            for name in ("layers", "obsm", "varm", "obsp", "varp", "uns")
        }
        _describe_frame(obs, _INDEX, list(self._keys.values()))
        self._index = _encode(self._make(obs, _INDEX, _TEXT), "string-array", "0.2.0")
        self._make_columns(obs)
        for name, kind in self._layout.columns.items():
            _encode(self._columns[name], "string-array" if kind == "text" else "array", "0.2.0")
        for number, name in enumerate(self._layout.scores):
            group, key = (self._file, "X") if number == 0 else (groups["layers"], name)
            self._scores[name] = _encode(self._make_scores(group, key), "array", "0.2.0")
        keys = _keys(map(str, self._layout.targets.columns))
        _describe_frame(var, NAME, [key for key in keys.values() if key != NAME])
        for column, key in keys.items():
            values = self._layout.targets[column].astype(str).to_list()
            _encode(var.create_dataset(key, data=values, dtype=_TEXT), "string-array", "0.2.0")
        text = json.dumps(dict(self._layout.metadata))
        _encode(groups["uns"].create_dataset("bioq", data=text, dtype=_TEXT), "string", "0.2.0")

    def _make_columns(self, group: Any) -> None:
        for name, kind in self._layout.columns.items():
            dtype = _TEXT if kind == "text" else np.dtype(NUMPY_TYPE[kind])
            self._columns[name] = self._make(group, self._keys[name], dtype)

    def _make(self, group: Any, name: str, dtype: Any) -> Any:
        return group.create_dataset(
            name, shape=(0,), maxshape=(None,), chunks=(_COLUMN_CHUNK,), dtype=dtype
        )

    def _make_scores(self, group: Any, name: str) -> Any:
        targets = len(self._layout.targets)
        row_bytes = targets * np.dtype(self._layout.dtype).itemsize
        return group.create_dataset(
            name,
            shape=(0, targets),
            maxshape=(None, targets),
            chunks=(max(1, _CHUNK_BYTES // row_bytes), targets),
            dtype=self._layout.dtype,
            shuffle=True,
            compression="gzip",
            compression_opts=1,
        )


def _keys(names: Iterable[str]) -> dict[str, str]:
    """Return {name of a column: its name in the file}: `/` becomes `_`, and if that is another
    column's name, the second ends in `_2`."""
    kept = list(names)
    taken = {name for name in kept if "/" not in name}
    keys = {}
    for name in kept:
        stem = key = "_" if name == "." else name.replace("/", "_")
        number = 1
        while key != name and key in taken:
            number += 1
            key = f"{stem}_{number}"
        taken.add(key)
        keys[name] = key
    return keys


def _encode(item: Any, kind: str, version: str) -> Any:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version
    return item


def _describe_frame(group: Any, index: str, columns: list[str]) -> None:
    _encode(group, "dataframe", "0.2.0")
    group.attrs["_index"] = index
    group.attrs["column-order"] = np.array(columns, dtype=_TEXT)


FORMATS = (
    TableFormat(".h5", "application/x-hdf5", False, partial(Hdf5Writer, is_anndata=False)),
    TableFormat(".h5ad", "application/x-hdf5", False, partial(Hdf5Writer, is_anndata=True)),
)
