"""Explanations as arrays (.npz, .h5) and as tables with one row per base.

Arrays: `effects` or `hypothetical` `(windows, 4, length, targets)`; scores `reference`, or `logit`,
`baseline_logit` and `completeness_gap` `(windows, targets)`; `codes`, `position` and `inserted`
`(windows, length)`; `targets` (their names); and the columns that identify a window as
`window_COLUMN` `(windows,)`. `length` is the span. After the last base of a shorter span follow
position -1, the code of N, and NaN.
"""

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.files import new_file
from bioq.inputs import Loci, Locus
from bioq.interpretation.explanation import Explanation, contributions
from bioq.tables import FLAT_ENDINGS, Columns, Kind, Layout, Table, open_table
from bioq.tables.hdf5_file import Hdf5File

ARRAYS, TABLES = (".npz", ".h5"), FLAT_ENDINGS
FORMAT_VERSION = 2
_LETTERS = np.array([*dna.BASES, "N"], dtype=object)


class Content(Protocol):
    """The kind of the values, and the rows that they have in a table."""

    format: str
    values: str
    """Name of the array of the values."""
    score: str
    """Name of the column of the values in a table."""
    columns: Mapping[str, Kind]

    def rows(
        self, bases: dna.Bytes, values: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], Columns, npt.NDArray[np.float32]]:
        """Return the rows of a window: index of the base, columns, and values `(targets,)`."""
        ...


class MutagenesisValues:
    """Probability with another base minus that of the window; one row per substitution."""

    format = "bioq-mutagenesis"
    values = "effects"
    score = "effect"
    columns: Mapping[str, Kind] = {"ref": "text", "alt": "text"}

    def rows(
        self, bases: dna.Bytes, values: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], Columns, npt.NDArray[np.float32]]:
        index, alt = np.nonzero(bases[:, None] != np.arange(4))
        columns = {"ref": _LETTERS[bases[index]], "alt": _LETTERS[alt]}
        return index, columns, values[alt, index]


class AttributionValues:
    """Contribution of each of the four bases to the logit; one row per base of the window."""

    format = "bioq-attribution"
    values = "hypothetical"
    score = "contribution"
    columns: Mapping[str, Kind] = {"base": "text"}

    def rows(
        self, bases: dna.Bytes, values: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], Columns, npt.NDArray[np.float32]]:
        index = np.arange(len(bases))
        return index, {"base": _LETTERS[bases]}, contributions(bases, values)


class ExplanationWriter(Protocol):
    def write(self, explanation: Explanation) -> None: ...


@contextlib.contextmanager
def open_writer(
    out: Path,
    content: Content,
    loci: Loci,
    targets: pd.DataFrame,
    *,
    span_bp: int,
    metadata: Mapping[str, Any],
    marks_formulas: bool = False,
) -> Iterator[ExplanationWriter]:
    """Yield a writer for the windows of `loci`; the complete file appears when the block ends.

    `marks_formulas`: see `Layout`.
    """
    if out.name.lower().endswith(TABLES):
        kept = [name for name in loci.columns if name not in ("start", "end")]
        columns: dict[str, Kind] = {
            **{name: loci.columns[name] for name in kept},
            "position": "integer",
            **({"inserted": "integer"} if loci.has_insertions else {}),
            **content.columns,
        }
        layout = Layout(columns, targets, (content.score,), metadata, marks_formulas=marks_formulas)
        with open_table(out, layout) as table:
            yield _TableRows(table, content, kept, loci.has_insertions)
        return
    names = list(targets[NAME])
    shape = loci.count, 4, span_bp, len(names)
    about = {
        "format": content.format,
        "format_version": FORMAT_VERSION,
        "metadata": json.dumps(metadata),
    }
    with new_file(out) as partial:
        if out.suffix.lower() == ".h5":
            with contextlib.closing(Hdf5File(partial)) as file:
                with file.writing() as root:
                    root.attrs.update(about)
                writer = _Hdf5Arrays(file, content.values, shape)
                yield writer
                writer.finish(names)
        else:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                with npz_member(file, content.values, shape, np.float32) as member:
                    npz = _NpzArrays(member, span_bp)
                    yield npz
                for name, values in {**npz.small.arrays(names), **about}.items():
                    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)


@contextlib.contextmanager
def npz_member(
    file: zipfile.ZipFile, name: str, shape: tuple[int, ...], kind: npt.DTypeLike
) -> Iterator[Any]:
    """Yield a file for the bytes of an array of an .npz, little-endian and in C order."""
    descr = np.dtype(kind).newbyteorder("<").str
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        yield member


class _TableRows:
    def __init__(self, table: Table, content: Content, kept: list[str], has_insertions: bool):
        self._table = table
        self._content = content
        self._kept = kept
        self._has_insertions = has_insertions

    def write(self, explanation: Explanation) -> None:
        locus = explanation.locus
        index, content_columns, values = self._content.rows(locus.bases, explanation.values)
        columns = {
            name: np.full(len(index), locus.columns[name], dtype=object) for name in self._kept
        }
        columns["position"] = locus.position[index]
        if self._has_insertions:
            columns["inserted"] = locus.inserted[index]
        self._table.write({**columns, **content_columns}, {self._content.score: values})


class _SmallArrays:
    """All arrays except the values: they fit in memory."""

    def __init__(self, span_bp: int) -> None:
        self._span_bp = span_bp
        self._loci: list[Locus] = []
        self._scores: list[Mapping[str, npt.NDArray[np.float32]]] = []

    def keep(self, explanation: Explanation) -> None:
        self._loci.append(explanation.locus)
        self._scores.append(explanation.scores)

    def arrays(self, targets: list[str]) -> dict[str, Any]:
        loci = self._loci
        return {
            **{name: np.stack([row[name] for row in self._scores]) for name in self._scores[0]},
            "codes": np.stack([self._row(locus.bases, dna.UNKNOWN) for locus in loci]),
            "position": np.stack([self._row(locus.position, -1) for locus in loci]),
            "inserted": np.stack([self._row(locus.inserted, 0) for locus in loci]),
            "targets": np.array(targets),
            **{
                f"window_{name}": np.array([locus.columns[name] for locus in loci])
                for name in loci[0].columns
            },
        }

    def _row(self, values: npt.NDArray[Any], filler: int) -> npt.NDArray[Any]:
        return np.pad(values, (0, self._span_bp - len(values)), constant_values=filler)


def _full(values: npt.NDArray[np.float32], span_bp: int) -> npt.NDArray[np.float32]:
    """Return the values of a shorter span, followed by NaN up to the span's length."""
    added = (0, 0), (0, span_bp - values.shape[1]), (0, 0)
    return np.pad(values, added, constant_values=np.nan)


class _Hdf5Arrays:
    def __init__(self, opened: Hdf5File, values: str, shape: tuple[int, ...]):
        self._opened = opened
        self._small = _SmallArrays(shape[2])
        self._span_bp = shape[2]
        self._row = 0
        with opened.writing() as root:
            self._values = root.create_dataset(
                values,
                shape=shape,
                chunks=(1, 4, min(shape[2], 64), min(shape[3], 64)),
                dtype=np.float32,
                shuffle=True,
                compression="gzip",
                compression_opts=1,
            )

    def write(self, explanation: Explanation) -> None:
        with self._opened.writing():
            self._values[self._row] = _full(explanation.values, self._span_bp)
        self._row += 1
        self._small.keep(explanation)

    def finish(self, targets: list[str]) -> None:
        with self._opened.writing() as root:
            for name, values in self._small.arrays(targets).items():
                if values.dtype.kind == "U":
                    text = h5py.string_dtype("utf-8")
                    root.create_dataset(name, data=values.astype(object), dtype=text)
                else:
                    root[name] = values


class _NpzArrays:
    """Writes the values into the archive window by window: they may be larger than memory."""

    def __init__(self, member: Any, span_bp: int):
        self.small = _SmallArrays(span_bp)
        self._member = member
        self._span_bp = span_bp

    def write(self, explanation: Explanation) -> None:
        self._member.write(_full(explanation.values, self._span_bp).astype("<f4").tobytes())
        self.small.keep(explanation)
