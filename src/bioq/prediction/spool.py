"""Rows that wait in a folder of parts until their table can be written whole.

No table format can be continued safely where a killed program left it: so the rows go to parts
first, each of which appears whole or not at all, and the table is written from them at the end.
A part also says how many units of the input it ends after, and a digest of the input up to there.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bioq.errors import BioqError, UsageError
from bioq.files import locked, new_file
from bioq.tables.layout import Columns, Layout, Scores
from bioq.tables.parquet import ARROW_TYPE

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
_PART_BYTES = 32 << 20
_PART_EVERY_S = 30.0
_BATCH_BYTES = 2 << 20
"""What `read` has in memory at a time, and what waits to be combined."""
_SUFFIX = ".arrow"
_STATE = b"bioq"
_SCORE = "score:"
_NOT_WRITTEN, _NOTHING_LEFT = "could not be written", "; nothing was left behind"
"""Words of the errors of `files.new_file`."""


class Spool:
    """Parts of a table in the folder `OUT.partial`."""

    def __init__(self, out: Path, layout: Layout, identity: Mapping[str, Any], *, resume: bool):
        """Make the folder, or go on with one that is there.

        `identity` holds JSON values that must be the same when an output is continued. Raises
        UsageError if the folder is there without `resume`, or is of another identity.
        """
        self.folder = _folder_of(out)
        self._layout = layout
        self._schema = _schema(layout)
        self._waiting: list[Any] = []
        self._batches: list[Any] = []
        self._waiting_bytes = self._bytes = 0
        self._written_at = time.monotonic()
        manifest = self.folder / MANIFEST
        identity = {"format_version": FORMAT_VERSION, **identity}
        self._lock = contextlib.ExitStack()
        with self._lock as lock:  # let go of by an error in here
            lock.enter_context(_held(self.folder))
            self._open(manifest, identity, resume=resume)
            self._lock = lock.pop_all()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        """Let other processes at the folder."""
        self._lock.close()

    def _open(self, manifest: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        if not manifest.is_file():
            self._make(manifest, identity)
        elif not resume:
            raise UsageError(
                f"{self.folder}: holds an interrupted output; add --resume to go on with it, or "
                "remove this folder"
            )
        else:
            _compare(manifest, identity)
        self._parts = sorted(self.folder.glob(f"*{_SUFFIX}"))
        self.units, self.rows, self.digest = 0, 0, ""
        if self._parts:
            self.units, self.rows, self.digest = _state(self._parts[-1])

    def write(self, columns: Columns, scores: Scores, *, units: int, digest: str) -> None:
        """Append rows, which end after `units` more units of the input, of that digest so far."""
        arrays = [
            pa.array(list(columns[name]) if kind == "text" else columns[name], ARROW_TYPE[kind])
            for name, kind in self._layout.columns.items()
        ]
        for name in self._layout.scores:
            flat = np.ascontiguousarray(scores[name], dtype=self._layout.dtype).ravel()
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), scores[name].shape[1]))
        batch = pa.record_batch(arrays, schema=self._schema)
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        self.units += units
        self.rows += batch.num_rows
        self.digest = digest
        if self._waiting_bytes > _BATCH_BYTES:
            self._combine()
        late = time.monotonic() - self._written_at > _PART_EVERY_S
        if late or self._bytes + self._waiting_bytes > _PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Put the rows that wait in memory into a part of their own."""
        self._combine()
        if self._batches:
            part = self.folder / f"{self.units:015d}{_SUFFIX}"
            state = {"units": self.units, "rows": self.rows, "digest": self.digest}
            schema = self._schema.with_metadata({_STATE: json.dumps(state)})
            with (
                self.keeping(),
                new_file(part) as partial,
                pa.OSFile(str(partial), "wb") as file,
                pa.ipc.new_file(file, schema) as writer,
            ):
                for batch in self._batches:
                    writer.write_batch(batch)
            self._parts.append(part)
            self._batches, self._bytes = [], 0
        self._written_at = time.monotonic()

    def read(self) -> Iterator[tuple[Columns, Scores]]:
        """Yield the columns and scores of every row in order, some megabytes at a time."""
        for part in self._parts:
            with _opened(part) as reader:
                if not reader.schema.equals(self._schema):
                    raise pa.ArrowInvalid("it has other columns")
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    batch.validate(full=True)
                    yield self._arrays(batch)

    def _arrays(self, batch: Any) -> tuple[Columns, Scores]:
        columns = {}
        for name, kind in self._layout.columns.items():
            if kind == "text":
                columns[name] = np.array(batch[name].to_pylist(), dtype=object)
            else:
                columns[name] = batch[name].to_numpy(zero_copy_only=False)
        scores = {}
        for name in self._layout.scores:
            flat = batch[_SCORE + name].flatten().to_numpy()
            scores[name] = flat.reshape(batch.num_rows, -1)
        return columns, scores

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Say of a file that could not be written, to a full disk for one, how to go on."""
        try:
            yield
        except BioqError as error:
            if _NOT_WRITTEN not in str(error):
                raise
            raise BioqError(
                f"{str(error).removesuffix(_NOTHING_LEFT)}; the rows so far are kept in "
                f"{self.folder}, --resume goes on from there"
            ) from error

    def remove(self) -> None:
        """Remove the folder, first what says that there is something to go on with."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _combine(self) -> None:
        """Copy the small batches that wait into one, in memory of Arrow's own.

        Kept as they are, they lie scattered between the freed tensors of every forward pass, and
        the process's memory grows by ten times their size.
        """
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            self._batches += table.to_batches()
            self._bytes += self._waiting_bytes
            self._waiting, self._waiting_bytes = [], 0

    def _make(self, manifest: Path, identity: Mapping[str, Any]) -> None:
        for part in self.folder.glob(f"*{_SUFFIX}"):  # of a `remove` that was cut short
            part.unlink()
        with new_file(manifest) as partial:
            partial.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")


def is_interrupted(out: Path) -> bool:
    """Whether there is something to go on with."""
    return (_folder_of(out) / MANIFEST).is_file()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder and hold it; raise UsageError if another process holds it."""
    while True:
        try:
            folder.mkdir(exist_ok=True)
            before = folder.stat().st_ino
        except FileNotFoundError:  # removed in between, by a process that has finished
            if folder.parent.is_dir():
                continue
            raise BioqError(f"{folder}: could not be made: no folder {folder.parent}") from None
        except OSError as error:
            raise BioqError(f"{folder}: could not be made: {error.strerror}") from error
        with locked(folder, wait=False) as is_ours:
            if not is_ours:
                raise UsageError(
                    f"{folder}: another process is writing this output; wait for it, or give "
                    "another name"
                )
            if folder.is_dir() and folder.stat().st_ino == before:
                yield
                return


def _folder_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def _schema(layout: Layout) -> Any:
    width = pa.float16() if layout.dtype == "float16" else pa.float32()
    scores = pa.list_(width, len(layout.targets))
    return pa.schema(
        [pa.field(name, ARROW_TYPE[kind]) for name, kind in layout.columns.items()]
        + [pa.field(_SCORE + name, scores) for name in layout.scores]
    )


def _compare(manifest: Path, identity: Mapping[str, Any]) -> None:
    try:
        found = dict(json.loads(manifest.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BioqError(f"{manifest}: is damaged ({error}); remove its folder") from error
    for name in identity.keys() | found.keys():
        if found.get(name) != identity.get(name):
            raise UsageError(
                f"{manifest.parent}: was begun with {name} {found.get(name)!r}, not "
                f"{identity.get(name)!r}; go on with the same, or remove this folder"
            )


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[Any]:
    try:
        with pa.OSFile(str(part)) as file, pa.ipc.open_file(file) as reader:
            yield reader
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise BioqError(f"{part}: is damaged ({reason}); remove its folder") from error


def _state(part: Path) -> tuple[int, int, str]:
    """Return the units and rows up to a part's end, and the digest."""
    with _opened(part) as reader:
        try:
            state = json.loads(reader.schema.metadata[_STATE])
            return int(state["units"]), int(state["rows"]), str(state["digest"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise pa.ArrowInvalid("it does not say where it ends") from error
