"""A folder of Parquet parts that is filled in any order, and gone on with after a crash.

    FOLDER/part-00000.parquet   one shard's rows; the folder reads as one table, in order
    FOLDER/_manifest.json       made last: what was computed, and the checksum of every part
    FOLDER/_job.json            until then: what is being computed
    FOLDER/_parts.jsonl         until then: a line for every part that is there

Readers of Parquet folders pass over names that begin with _.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bioq.errors import BioqError, UsageError
from bioq.files import new_file, new_folder, read_json, require_absent, require_folder_for, sha256

FORMAT = "bioq-parts"
FORMAT_VERSION = 1
MANIFEST, JOB, JOURNAL = "_manifest.json", "_job.json", "_parts.jsonl"
_REMEDY = "remove its folder and begin anew"


@dataclass(frozen=True)
class Part:
    """One part, as the manifest describes it."""

    name: str
    rows: int
    sha256: str
    """Of the file."""
    input_sha256: str
    """Of the shard that it was computed from."""
    notes: Mapping[str, Any]
    """What else the worker says of it, JSON values."""


class Parts:
    """The parts of one output. Nothing is written before `begin`."""

    def __init__(self, folder: Path, job: Mapping[str, Any], *, resume: bool):
        """Read what is there.

        `job` holds the JSON values that must be the same when an output is continued. Raises
        UsageError if something is there without `resume`, or of another job, and BioqError if it
        is no such output.
        """
        self.folder = folder
        self._job = dict(job)
        self._known: dict[str, Part] = {}
        self._is_begun = self._was_whole = self._is_ready = False
        if resume and folder.exists():
            self._read()
        else:
            check_folder(folder, resume=False)

    def begin(self) -> None:
        """Make the folder, or make it ready to be gone on with; once is enough."""
        if self._is_ready:
            return
        about = {"format": FORMAT, "format_version": FORMAT_VERSION, "job": self._job}
        if not self._is_begun:
            with new_folder(self.folder) as folder:
                _write_json(folder / JOB, about)
        elif self._was_whole:
            _write_json(self.folder / JOB, about)
            for part in self._known.values():
                self._note(part)
            (self.folder / MANIFEST).unlink()
        for left in self.folder.glob(".*.part"):  # by a driver that was killed while it wrote
            left.unlink(missing_ok=True)
        self._is_ready = True

    def holds(self, number: int, input_sha256: str) -> bool:
        """Tell whether the part of a shard is there and undamaged.

        Raises UsageError if it was computed from other input.
        """
        name = part_name(number)
        part = self._known.get(name)
        if part is None:
            return False
        if part.input_sha256 != input_sha256:
            raise UsageError(
                f"{self.folder}: {name} was made from other windows or alleles; go on with the "
                "same input and genome, or give another folder"
            )
        file = self.folder / name
        return file.is_file() and sha256(file) == part.sha256

    def write(self, part: Part, content: bytes) -> None:
        """Put a part into its place, whole."""
        with new_file(self.folder / part.name) as partial:
            partial.write_bytes(content)
        self._note(part)
        self._known[part.name] = part

    def finish(self, count: int) -> list[Part]:
        """Write the manifest of `count` parts; return them, in order."""
        parts = [self._known[part_name(number)] for number in range(count)]
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "job": self._job,
            "rows": sum(part.rows for part in parts),
            "parts": [asdict(part) for part in parts],
        }
        _write_json(self.folder / MANIFEST, manifest)
        for name in (JOURNAL, JOB):
            (self.folder / name).unlink(missing_ok=True)
        return parts

    def _read(self) -> None:
        self._is_begun = True
        self._was_whole = (self.folder / MANIFEST).is_file()
        file = self.folder / (MANIFEST if self._was_whole else JOB)
        if not file.is_file():
            raise BioqError(
                f"{self.folder}: holds neither {JOB} nor {MANIFEST}: is no output of --ray; give "
                "another folder"
            )
        about = read_json(
            file, what="an output's job", kind=FORMAT, version=FORMAT_VERSION, remedy=_REMEDY
        )
        theirs = about.get("job")
        if not isinstance(theirs, dict):
            raise BioqError(f"{file}: does not say what was computed; {_REMEDY}")
        for name in self._job.keys() | theirs.keys():
            if theirs.get(name) != self._job.get(name):
                raise UsageError(
                    f"{self.folder}: was begun with {name} {theirs.get(name)!r}, not "
                    f"{self._job.get(name)!r}; go on with the same, or give another folder"
                )
        lines = about.get("parts", []) if self._was_whole else self._journal()
        try:
            self._known = {part.name: part for part in map(_part, lines)}
        except (TypeError, ValueError) as error:
            raise BioqError(f"{file}: its list of parts is damaged ({error}); {_REMEDY}") from error

    def _journal(self) -> list[dict[str, Any]]:
        """Return the lines of the journal; one that was cut short is of no part."""
        lines = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / JOURNAL).read_bytes().splitlines():
                with contextlib.suppress(ValueError, RecursionError):
                    lines.append(json.loads(line))
        return lines

    def _note(self, part: Part) -> None:
        line = "\n" + json.dumps(asdict(part)) + "\n"  # the last one may have been cut short
        try:
            with open(self.folder / JOURNAL, "a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BioqError(f"{self.folder / JOURNAL}: could not be written: {error}") from error


def _part(line: Any) -> Part:
    part = Part(**line)
    if not (isinstance(part.name, str) and isinstance(part.rows, int) and part.rows >= 0):
        raise ValueError(f"name {part.name!r}, rows {part.rows!r}")
    if not isinstance(part.notes, dict):
        raise TypeError(f"notes of {part.name!r}")
    return part


def check_folder(folder: Path, *, resume: bool) -> None:
    """Raise what `Parts` would for the folder alone, before any work."""
    require_folder_for(folder)
    if resume:
        return
    if (folder / JOB).is_file():
        raise UsageError(
            f"{folder}: holds an interrupted output; add --resume to go on with it, or remove "
            "this folder"
        )
    require_absent(folder)


def part_name(number: int) -> str:
    """Return a part's file name; names sort as numbers do, up to a hundred thousand parts."""
    return f"part-{number:05d}.parquet"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with new_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
