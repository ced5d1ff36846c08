"""A folder of Parquet parts that are written in any order, and that can be resumed after a crash.

    FOLDER/part-00000.parquet   the rows of one shard; the folder reads as one table, in order
    FOLDER/_manifest.json       written last: what was computed, and the checksum of every part
    FOLDER/_job.json            until then: what is being computed
    FOLDER/_parts.jsonl         until then: one line per complete part

Readers of Parquet folders ignore names that begin with _.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from bioq.errors import BioqError, NotWrittenError, UsageError
from bioq.files import (
    FolderKind,
    new_folder,
    read_json,
    require_absent,
    require_folder_for,
    sha256,
    write_json,
)
from bioq.files.inside import kept_file, read_kept
from bioq.files.typed import parse_json, record, require_types
from bioq.options import AtLeastZero
from bioq.tables.resume import (
    REMEDY,
    new_part,
    parts_are_kept,
    refuse_both,
    refuse_interrupted,
    require_identity,
)

FORMAT = "bioq-parts"
FORMAT_VERSION = 1
MANIFEST, JOB, JOURNAL = "_manifest.json", "_job.json", "_parts.jsonl"


@dataclass(frozen=True)
class Part:
    """One part, as the manifest describes it."""

    name: str
    rows: AtLeastZero
    sha256: str
    """SHA-256 of the file."""
    input_sha256: str
    """SHA-256 of the shard that the part was computed from."""
    notes: Mapping[str, Any]
    """Further JSON values from the worker."""


class _Manifest(TypedDict):
    """The content of `_manifest.json` and, without `parts`, of `_job.json`."""

    job: dict[str, Any]
    parts: NotRequired[list[Part]]


class Parts:
    """The parts of one output. Nothing is written before `begin`."""

    def __init__(self, folder: Path, job: Mapping[str, Any], *, resume: bool, force: bool = False):
        """Read the folder, if it exists.

        `job` holds the JSON values that must be the same to resume. With `force` an output in the
        folder is replaced, when `begin` is called. Raises UsageError if the folder exists without
        `resume` or `force`, or holds an output of another job, and BioqError if it is not an output
        of this kind.
        """
        self.folder = folder
        self._job = dict(job)
        self._known: dict[str, Part] = {}
        self._is_begun = self._was_complete = self._is_ready = False
        if resume and folder.exists():
            self._read()
        else:
            check_folder(folder, resume=False, force=force)
        self._replaces = _kind(folder) if force and folder.exists() else None

    def begin(self) -> None:
        """Make the folder, or prepare it to be resumed; later calls do nothing."""
        if self._is_ready:
            return
        if not self._is_begun:
            with new_folder(self.folder, replaces=self._replaces) as folder:
                write_json(folder / JOB, self._about())
        elif self._was_complete:
            write_json(self.folder / JOB, self._about())
            for part in self._known.values():
                self._note(part)
            (self.folder / MANIFEST).unlink()
        for partial in self.folder.glob(".*.part"):  # the driver was killed while it wrote
            partial.unlink(missing_ok=True)
        self._is_ready = True

    def holds(self, number: int, input_sha256: str) -> bool:
        """Return whether the part of a shard exists and is undamaged.

        Raises UsageError if it was computed from another input.
        """
        name = part_name(number)
        part = self._known.get(name)
        if part is None:
            return False
        if part.input_sha256 != input_sha256:
            raise UsageError(
                f"{self.folder}: {name} was computed from other windows or alleles, or by another "
                "version of BioQ; resume it with the same input, genome and version, or give "
                "another output"
            )
        file = self.folder / name
        return kept_file(self.folder, name) is not None and sha256(file) == part.sha256

    def write(self, part: Part, content: bytes) -> None:
        """Write a part, and record it in the journal."""
        with new_part(self.folder / part.name) as partial:
            partial.write_bytes(content)
        self._note(part)
        self._known[part.name] = part

    def finish(self, count: int) -> list[Part]:
        """Write the manifest of `count` parts; return the parts, in order."""
        parts = [self._known[part_name(number)] for number in range(count)]
        manifest = self._about() | {
            "rows": sum(part.rows for part in parts),
            "parts": [asdict(part) for part in parts],
        }
        with parts_are_kept(self.folder):
            write_json(self.folder / MANIFEST, manifest)
        for name in (JOURNAL, JOB):
            (self.folder / name).unlink(missing_ok=True)
        return parts

    def _about(self) -> dict[str, Any]:
        return {"format": FORMAT, "format_version": FORMAT_VERSION, "job": self._job}

    def _read(self) -> None:
        self._is_begun = True
        self._was_complete = kept_file(self.folder, MANIFEST) is not None
        file = self.folder / (MANIFEST if self._was_complete else JOB)
        if kept_file(self.folder, file.name) is None:
            raise BioqError(
                f"{self.folder}: holds neither {JOB} nor {MANIFEST}: it is not an output of --ray; "
                "give another folder"
            )
        about = read_json(
            file,
            what="an output's job",
            kind=FORMAT,
            version=FORMAT_VERSION,
            remedy=REMEDY,
            shape=_Manifest,
        )
        require_identity(self.folder, about["job"], self._job)
        lines = about.get("parts", []) if self._was_complete else self._journal()
        self._known = {part.name: part for part in (record(Part, line) for line in lines)}

    def _journal(self) -> list[dict[str, Any]]:
        """Return the lines of the journal, without a line that was cut short."""
        lines = []
        if kept_file(self.folder, JOURNAL) is None:
            return []
        content = read_kept(self.folder, JOURNAL, REMEDY)
        for number, text in enumerate(content.split(b"\n"), start=1):
            with contextlib.suppress(ValueError):
                line = parse_json(text)
                require_types(line, Part, f"{self.folder / JOURNAL}:{number}", REMEDY)
                lines.append(line)
        return lines

    def _note(self, part: Part) -> None:
        line = "\n" + json.dumps(asdict(part)) + "\n"  # the last line may have been cut short
        file = self.folder / JOURNAL
        with parts_are_kept(self.folder):
            try:
                with open(file, "a", encoding="utf-8") as opened:
                    opened.write(line)
                    opened.flush()
                    os.fsync(opened.fileno())
            except OSError as error:
                raise NotWrittenError(file, error.strerror or str(error)) from error


def check_folder(folder: Path, *, resume: bool, force: bool = False) -> None:
    """Raise the errors of `Parts` that concern the folder alone, before any work."""
    refuse_both(resume=resume, force=force)
    require_folder_for(folder)
    if resume:
        return
    if (folder / JOB).is_file() and not force:
        refuse_interrupted(folder, resume=resume)
    require_absent(folder, replaces=_kind(folder) if force else None)


def _kind(folder: Path) -> FolderKind:
    """Return what is in the folder of a complete or an interrupted output."""
    marker = JOB if (folder / JOB).is_file() else MANIFEST
    return FolderKind(marker, (JOB, MANIFEST, JOURNAL, "part-*.parquet"))


def part_name(number: int) -> str:
    """Return the file name of a part; names sort as numbers do, up to a hundred thousand parts."""
    return f"part-{number:05d}.parquet"
