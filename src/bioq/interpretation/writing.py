"""Explanations as files, window by window: .npz and .h5 hold arrays, tables a row a base.

Arrays: `effects` or `hypothetical` `(windows, 4, length, targets)`; a score a window and target:
`reference`, or `logit`, `baseline_logit` and `completeness_gap` `(windows, targets)`; `codes`,
`position` and `inserted` `(windows, length)`; `targets` (their names); and what the windows are in
`window_COLUMN` `(windows,)`. `length` is the span; a window of which fewer bases are explained has
position -1, the code of N and NaN behind them.
"""

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import UsageError
from bioq.files import new_file
from bioq.inputs import Loci, Locus
from bioq.tables import Columns, Kind, Layout, Table, open_table
from bioq.tables.hdf5_file import Hdf5File

ARRAYS, TABLES = (".npz", ".h5"), (".tsv", ".tsv.gz", ".parquet")
FORMAT_VERSION = 2
REFERENCE, LOGIT, BASELINE_LOGIT, GAP = (
    "reference",
    "logit",
    "baseline_logit",
    "completeness_gap",
)
"""Scores of a window: the probability that effects are differences to; and of an attribution."""
_LETTERS = np.array([*dna.BASES, "N"], dtype=object)


@dataclass(frozen=True)
class Explanation:
    """What the bases of a place do."""

    place: Locus
    values: npt.NDArray[np.float32]
    """Of A, C, G and T at each base of the place: `(4, bases, targets)`."""
    scores: Mapping[str, npt.NDArray[np.float32]]
    """Of the window: name -> `(targets,)`."""


class Content(Protocol):
    """What the values are, and what is a row of a table."""

    format: str
    values: str
    """The name of their array."""
    score: str
    """The name of the number in a table."""
    columns: Mapping[str, Kind]

    def rows(
        self, bases: dna.Bytes, values: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], Columns, npt.NDArray[np.float32]]:
        """Return of each row the index of its base, its columns, and its number `(targets,)`."""
        ...


class Effects:
    """Probability with the base minus that of the window as it is; a row a substitution."""

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


class Contributions:
    """What each base adds, or would add, to the logit; a row a base, with the one that is there."""

    format = "bioq-attribution"
    values = "hypothetical"
    score = "contribution"
    columns: Mapping[str, Kind] = {"base": "text"}

    def rows(
        self, bases: dna.Bytes, values: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], Columns, npt.NDArray[np.float32]]:
        index = np.arange(len(bases))
        return index, {"base": _LETTERS[bases]}, contributions(bases, values)


def contributions(
    bases: dna.Bytes, hypothetical: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return what the bases that are there add: `(bases, targets)`; an unknown base adds 0."""
    index = np.arange(len(bases))
    there = hypothetical[np.minimum(bases, 3), index]
    return np.where((bases < dna.UNKNOWN)[:, None], there, np.float32(0))


class ExplanationWriter(Protocol):
    def write(self, found: Explanation) -> None: ...


def check_ending(out: Path) -> None:
    """Raise UsageError if the name's ending is that of no file this module writes."""
    if not out.name.lower().endswith((*ARRAYS, *TABLES)):
        raise UsageError(
            f"{out}: expected a name that ends in {', '.join((*ARRAYS, *TABLES))}, "
            "or .png, .svg for a figure"
        )


@contextlib.contextmanager
def open_writer(
    out: Path,
    content: Content,
    places: Loci,
    targets: pd.DataFrame,
    *,
    span_bp: int,
    metadata: Mapping[str, Any],
) -> Iterator[ExplanationWriter]:
    """Yield a writer of all places; the file appears whole when the block ends."""
    if out.name.lower().endswith(TABLES):
        kept = [name for name in places.columns if name not in ("start", "end")]
        columns: dict[str, Kind] = {
            **{name: places.columns[name] for name in kept},
            "position": "integer",
            **({"inserted": "integer"} if places.has_insertions else {}),
            **content.columns,
        }
        with open_table(out, Layout(columns, targets, (content.score,), metadata)) as table:
            yield _TableRows(table, content, kept, places.has_insertions)
        return
    names = list(targets[NAME])
    shape = places.count, 4, span_bp, len(names)
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
                with file.open(f"{content.values}.npy", "w", force_zip64=True) as member:
                    npz = _NpzArrays(member, shape)
                    yield npz
                for name, values in {**npz.small.arrays(names), **about}.items():
                    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)


class _TableRows:
    def __init__(self, table: Table, content: Content, kept: list[str], has_insertions: bool):
        self._table = table
        self._content = content
        self._kept = kept
        self._has_insertions = has_insertions

    def write(self, found: Explanation) -> None:
        place = found.place
        index, own, numbers = self._content.rows(place.bases, found.values)
        columns = {
            name: np.full(len(index), place.columns[name], dtype=object) for name in self._kept
        }
        columns["position"] = place.position[index]
        if self._has_insertions:
            columns["inserted"] = place.inserted[index]
        self._table.write({**columns, **own}, {self._content.score: numbers})


class _Small:
    """Everything but the values, which is small."""

    def __init__(self, span_bp: int) -> None:
        self._span_bp = span_bp
        self._places: list[Locus] = []
        self._scores: list[Mapping[str, npt.NDArray[np.float32]]] = []

    def keep(self, found: Explanation) -> None:
        self._places.append(found.place)
        self._scores.append(found.scores)

    def arrays(self, targets: list[str]) -> dict[str, Any]:
        places = self._places
        return {
            **{name: np.stack([one[name] for one in self._scores]) for name in self._scores[0]},
            "codes": np.stack([self._row(place.bases, dna.UNKNOWN) for place in places]),
            "position": np.stack([self._row(place.position, -1) for place in places]),
            "inserted": np.stack([self._row(place.inserted, 0) for place in places]),
            "targets": np.array(targets),
            **{
                f"window_{name}": np.array([place.columns[name] for place in places])
                for name in places[0].columns
            },
        }

    def _row(self, values: npt.NDArray[Any], filler: int) -> npt.NDArray[Any]:
        return np.pad(values, (0, self._span_bp - len(values)), constant_values=filler)


def _full(values: npt.NDArray[np.float32], span_bp: int) -> npt.NDArray[np.float32]:
    room = (0, 0), (0, span_bp - values.shape[1]), (0, 0)
    return np.pad(values, room, constant_values=np.nan)


class _Hdf5Arrays:
    def __init__(self, opened: Hdf5File, values: str, shape: tuple[int, ...]):
        self._opened = opened
        self._small = _Small(shape[2])
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

    def write(self, found: Explanation) -> None:
        with self._opened.writing():
            self._values[self._row] = _full(found.values, self._span_bp)
        self._row += 1
        self._small.keep(found)

    def finish(self, targets: list[str]) -> None:
        with self._opened.writing() as root:
            for name, values in self._small.arrays(targets).items():
                if values.dtype.kind == "U":
                    text = h5py.string_dtype("utf-8")
                    root.create_dataset(name, data=values.astype(object), dtype=text)
                else:
                    root[name] = values


class _NpzArrays:
    """Writes the values into the archive piece by piece: they need not fit in memory."""

    def __init__(self, member: Any, shape: tuple[int, ...]):
        self.small = _Small(shape[2])
        self._member = member
        self._span_bp = shape[2]
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)

    def write(self, found: Explanation) -> None:
        self._member.write(_full(found.values, self._span_bp).astype("<f4").tobytes())
        self.small.keep(found)
