"""Effects as files, window by window: .npz and .h5 hold arrays, tables a row a substitution.

Arrays: `effects` `(windows, 4, length, targets)`, `reference` `(windows, targets)`, `codes`
`(windows, length)`, `first_position` `(windows,)`, `targets` (their names), and what the windows
are in `window_COLUMN` `(windows,)`.
"""

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import pandas as pd

from bioq import dna
from bioq.errors import UsageError
from bioq.files import new_file
from bioq.mutagenesis.effects import WindowEffects
from bioq.tables import Kind, Layout, Table, open_table
from bioq.targets import NAME

ARRAYS, TABLES = (".npz", ".h5"), (".tsv", ".tsv.gz", ".parquet")
FORMAT, FORMAT_VERSION = "bioq-mutagenesis", 1
EFFECT = "effect"


class EffectsWriter(Protocol):
    def write(self, found: WindowEffects) -> None: ...


def check_ending(out: Path) -> None:
    """Raise UsageError if the name's ending is that of no file this module writes."""
    if not out.name.lower().endswith((*ARRAYS, *TABLES)):
        raise UsageError(
            f"{out}: expected a name that ends in {', '.join((*ARRAYS, *TABLES))}, "
            "or .png, .svg for a figure"
        )


@contextlib.contextmanager
def open_effects(
    out: Path,
    columns: Mapping[str, Kind],
    targets: pd.DataFrame,
    count: int,
    metadata: Mapping[str, Any],
) -> Iterator[EffectsWriter]:
    """Yield a writer of `count` windows; the file appears whole when the block ends."""
    if out.name.lower().endswith(TABLES):
        names: dict[str, Kind] = {
            **{name: kind for name, kind in columns.items() if name not in ("start", "end")},
            "position": "integer",
            "ref": "text",
            "alt": "text",
        }
        with open_table(out, Layout(names, targets, (EFFECT,), metadata)) as table:
            yield _TableRows(table, [name for name in names if name in columns])
        return
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, "metadata": json.dumps(metadata)}
    with new_file(out) as partial:
        if out.suffix.lower() == ".h5":
            with h5py.File(partial, "w") as file:
                file.attrs.update(about)
                writer = _Hdf5Arrays(file, count)
                yield writer
                writer.finish(list(targets[NAME]))
        else:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                npz = _NpzArrays(file, count)
                yield npz
                npz.finish(list(targets[NAME]), about)


class _TableRows:
    def __init__(self, table: Table, columns: list[str]):
        self._table = table
        self._columns = columns

    def write(self, found: WindowEffects) -> None:
        place, base = np.nonzero(found.codes[:, None] != np.arange(4))
        letters = np.array([*dna.BASES, "N"], dtype=object)
        columns = {
            name: np.full(len(place), found.columns[name], dtype=object) for name in self._columns
        }
        columns["position"] = found.first_position + place
        columns["ref"], columns["alt"] = letters[found.codes[place]], letters[base]
        self._table.write(columns, {EFFECT: found.effects[base, place]})


class _Small:
    """Everything but the effects, which is small."""

    def __init__(self) -> None:
        self._kept: list[WindowEffects] = []

    def keep(self, found: WindowEffects) -> None:
        empty = np.empty((4, 0, 0), dtype=np.float32)
        self._kept.append(
            WindowEffects(found.columns, found.first_position, found.codes, found.reference, empty)
        )

    def arrays(self, targets: list[str]) -> dict[str, Any]:
        kept = self._kept
        return {
            "reference": np.stack([found.reference for found in kept]),
            "codes": np.stack([found.codes for found in kept]),
            "first_position": np.array([found.first_position for found in kept]),
            "targets": np.array(targets),
            **{
                f"window_{name}": np.array([found.columns[name] for found in kept])
                for name in kept[0].columns
            },
        }


class _Hdf5Arrays:
    def __init__(self, file: Any, count: int):
        self._file = file
        self._count = count
        self._small = _Small()
        self._row = 0

    def write(self, found: WindowEffects) -> None:
        if "effects" not in self._file:
            shape = found.effects.shape
            self._file.create_dataset(
                "effects",
                shape=(self._count, *shape),
                chunks=(1, 4, min(shape[1], 64), min(shape[2], 64)),
                dtype=np.float32,
                shuffle=True,
                compression="gzip",
                compression_opts=1,
            )
        self._file["effects"][self._row] = found.effects
        self._row += 1
        self._small.keep(found)

    def finish(self, targets: list[str]) -> None:
        for name, values in self._small.arrays(targets).items():
            if values.dtype.kind == "U":
                text = h5py.string_dtype("utf-8")
                self._file.create_dataset(name, data=values.astype(object), dtype=text)
            else:
                self._file[name] = values


class _NpzArrays:
    """Writes effects.npy into the archive piece by piece: they need not fit in memory."""

    def __init__(self, file: zipfile.ZipFile, count: int):
        self._file = file
        self._count = count
        self._small = _Small()
        self._member: Any = None

    def write(self, found: WindowEffects) -> None:
        if self._member is None:
            self._member = self._file.open("effects.npy", "w", force_zip64=True)
            header = {
                "descr": "<f4",
                "fortran_order": False,
                "shape": (self._count, *found.effects.shape),
            }
            np.lib.format.write_array_header_1_0(self._member, header)
        self._member.write(np.ascontiguousarray(found.effects, dtype="<f4").tobytes())
        self._small.keep(found)

    def finish(self, targets: list[str], about: Mapping[str, Any]) -> None:
        self._member.close()
        for name, values in {**self._small.arrays(targets), **about}.items():
            with self._file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)
