"""Rows that are kept in a folder of parts until their table can be written in one piece.

No table format can be continued safely after the program that wrote it was killed. So rows go to
parts first, and the table is written from the parts at the end. A part also records how many units
of the input precede its end, and a digest of the input up to there.
"""

import contextlib
import glob
import itertools
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from bioq.errors import BioqError, UsageError
from bioq.files import FolderKind, locked, new_file, write_json
from bioq.files.inside import kept_file, require_inside
from bioq.files.typed import parse_json, require_types
from bioq.options import AtLeastZero
from bioq.tables.layout import Columns, Layout, Scores
from bioq.tables.parquet import ARROW_TYPE
from bioq.tables.resume import (
    REMEDY,
    damaged,
    new_part,
    parts_are_kept,
    read_object,
    refuse_interrupted,
    require_identity,
)
from bioq.tracks.hub import HUB_FILES

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
_MOST_ATTEMPTS = 1000
"""Times that a folder which others remove is made; /proc and a folder that was deleted while a
process is in it say "no such file" for ever."""
_PART_BYTES = 32 << 20
_PART_EVERY_S = 30.0
_BATCH_BYTES = 2 << 20
"""The rows that `read` yields at a time, and that are collected before they are combined."""
_SUFFIX = ".arrow"
_STATE = b"bioq"
_SCORE = "score:"


class _Position(TypedDict):
    """The position in the input that a part records."""

    units: AtLeastZero
    rows: AtLeastZero
    digest: str


class Spool:
    """Parts of a table in the folder `OUT.partial`."""

    def __init__(
        self,
        out: Path,
        layout: Layout,
        identity: Mapping[str, Any],
        *,
        resume: bool,
        force: bool = False,
    ):
        """Make the folder, or resume the output in it.

        `identity` holds JSON values that must be the same to resume. With `force` an interrupted
        output is removed. Raises UsageError if there is one without `resume` or `force`, or it has
        another identity.
        """
        self.folder = partial_folder(out)
        self._layout = layout
        self._schema = _schema(layout)
        self._waiting: list[Any] = []
        self._batches: list[Any] = []
        self._waiting_bytes = self._bytes = 0
        self._written_at = time.monotonic()
        self._lock = contextlib.ExitStack()
        with self._lock as lock:  # released if an error is raised in this block
            lock.enter_context(_held(self.folder))
            self._refuse_foreign(out)
            self._open({"format_version": FORMAT_VERSION, **identity}, resume=resume, force=force)
            self._lock = lock.pop_all()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Release the lock on the folder; one without rows is removed, because there is nothing to
        resume and the same command must begin again."""
        if kind is not None and not self._parts:
            self._remove()
        self._lock.close()

    def _open(self, identity: Mapping[str, Any], *, resume: bool, force: bool) -> None:
        manifest = self.folder / MANIFEST
        if force:
            manifest.unlink(missing_ok=True)
        if kept_file(self.folder, MANIFEST) is not None:
            refuse_interrupted(self.folder, resume=resume)
            require_identity(self.folder, read_object(manifest), identity)
        else:
            for part in self.folder.glob(f"*{_SUFFIX}"):  # `remove` was interrupted
                part.unlink()
            write_json(manifest, identity)
        parts = sorted(self.folder.glob(f"*{_SUFFIX}"))
        self._parts = [require_inside(self.folder, part.name) for part in parts]
        self.units, self.rows, self.digest = 0, 0, ""
        if self._parts:
            self.units, self.rows, self.digest = _state(self._parts[-1])

    def _refuse_foreign(self, out: Path) -> None:
        """Raise UsageError for files that are not of this output: the folder is removed at the end.

        A process that was killed may have left an output, or OUT.TARGET.bw, that was not complete.
        """
        names = f"*{_SUFFIX}", f"{glob.escape(out.stem)}*", *HUB_FILES
        kind = FolderKind(MANIFEST, names)
        foreign = kind.foreign(self.folder)
        if foreign:
            raise UsageError(
                f"{self.folder}: has files of yours, {foreign[0].name}; move them, because BioQ "
                f"keeps the rows of {out.name} there and then removes the folder"
            )

    def write(self, columns: Columns, scores: Scores, *, units: int, digest: str) -> None:
        """Append the rows of `units` more units; `digest` is that of the input up to their end."""
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
        """Write the rows that are in memory as a part."""
        self._combine()
        if self._batches:
            part = self.folder / f"{self.units:015d}{_SUFFIX}"
            state = {"units": self.units, "rows": self.rows, "digest": self.digest}
            schema = self._schema.with_metadata({_STATE: json.dumps(state)})
            new = new_part if self._parts else new_file  # with the first, nothing is kept
            with (
                new(part) as partial,
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
                    raise damaged(part, "it has other columns")
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
    def finishing(self, outs: list[Path]) -> Iterator[list[Path]]:
        """Yield a path in the folder for each output; move the files to `outs` when the block ends
        and remove the folder. A process that is killed leaves no file outside the folder."""
        inside = [self.folder / out.name for out in outs]
        with parts_are_kept(self.folder):
            yield inside
        for path, out in zip(inside, outs, strict=True):
            path.replace(out)
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / MANIFEST).unlink()  # first: it marks an interrupted output
        shutil.rmtree(self.folder, ignore_errors=True)

    def _combine(self) -> None:
        """Copy the collected small batches into one batch, in memory that Arrow allocates.

        If the small batches were kept, they would lie between the freed tensors of the forward
        passes, and the memory of the process would grow by ten times their size.
        """
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            self._batches += table.to_batches()
            self._bytes += self._waiting_bytes
            self._waiting, self._waiting_bytes = [], 0


def is_interrupted(out: Path) -> bool:
    """Return whether an interrupted output can be resumed."""
    return (partial_folder(out) / MANIFEST).is_file()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder and lock it. Raises UsageError if another process holds the lock."""
    for attempt in itertools.count(1):
        try:
            folder.mkdir(exist_ok=True)
            before = folder.stat().st_ino
        except FileNotFoundError:  # another process has finished and removed it
            if folder.parent.is_dir() and attempt < _MOST_ATTEMPTS:
                continue
            why = "the system makes no files there" if folder.parent.is_dir() else "it is missing"
            raise BioqError(f"{folder}: could not be made in {folder.parent}: {why}") from None
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


def partial_folder(out: Path) -> Path:
    """Return the folder of the rows of an output that is not complete."""
    return out.with_name(f"{out.name}.partial")


def _schema(layout: Layout) -> Any:
    width = pa.float16() if layout.dtype == "float16" else pa.float32()
    scores = pa.list_(width, len(layout.targets))
    return pa.schema(
        [pa.field(name, ARROW_TYPE[kind]) for name, kind in layout.columns.items()]
        + [pa.field(_SCORE + name, scores) for name in layout.scores]
    )


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[Any]:
    if kept_file(part.parent, part.name) is None:
        raise damaged(part, "it was removed")
    try:
        with pa.OSFile(str(part)) as file, pa.ipc.open_file(file) as reader:
            yield reader
    except (OSError, pa.ArrowException) as error:
        raise damaged(part, error) from error


def _state(part: Path) -> tuple[int, int, str]:
    """Return the units and rows up to the end of a part, and the digest."""
    with _opened(part) as reader:
        try:
            state = parse_json((reader.schema.metadata or {}).get(_STATE, b"null"))
        except ValueError as error:
            raise damaged(part, error) from error
    require_types(state, _Position, part, REMEDY, at="position")
    return state["units"], state["rows"], state["digest"]
