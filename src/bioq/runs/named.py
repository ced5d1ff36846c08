"""`resolve_run`: the folder of a run that is given by its path or a name.

Every command and function that takes a run calls `resolve_run`, so all take the same texts. A run
in the package is read by all programs of this machine: no command writes into it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from bioq.errors import BioqError, UsageError, nearest
from bioq.files import real
from bioq.options import path_to

SHIPPED = Path(__file__).with_name("shipped")
"""The folder of the runs in the package."""


@dataclass(frozen=True)
class NamedRun:
    """A trained run that a name stands for: the folder `SHIPPED / name`."""

    name: str
    about: str
    """Its targets, in a few words."""
    model: str
    """The family of its network; of an ensemble, that of its members."""
    targets: int
    organism: str
    build: str
    """The genome of its data set."""
    size_bytes: int
    """Of all its files."""
    licence: str
    """Its name in the SPDX list, such as CC-BY-4.0."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return SHIPPED / self.name


RUNS: tuple[NamedRun, ...] = ()
"""Every run that has a name, in the order of `bioq models`."""
IMPORTED = ("deepsea", "beluga")
"""The names of the published networks of which 'bioq import' makes a run."""


def resolve_run(run: str | Path, *, name: str = "run") -> Path:
    """Return the folder of a run: a path, or a name of `RUNS`.

    A path that exists is returned unchanged, whatever it is. `name` is that of the argument, for
    messages. Raises BioqError for a word that is neither a file or folder nor such a name; other
    paths are returned, and the reader of the folder names what it expects.
    """
    path, text = path_to(name, run), os.fspath(run)
    if os.path.lexists(path):
        return path
    for known in RUNS:
        if known.name == text:
            return known.folder
    if len(path.parts) == 1 and not path.is_absolute():
        raise _unknown(text)
    return path


def names_run(text: str) -> bool:
    """Return whether a text is a path that exists or a name of `RUNS`."""
    return os.path.lexists(text) or text in {run.name for run in RUNS}


def _unknown(text: str) -> BioqError:
    """Return the error for a word that is no folder and no name."""
    if text in IMPORTED:
        return BioqError(
            f"{text}: no such folder; 'bioq import {text} --out {text}' makes a run of the "
            "published network"
        )
    near = nearest(text, [*(run.name for run in RUNS), *IMPORTED], most=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return BioqError(
        f"{text}: no such folder; {hint}expected a run folder, or a name that 'bioq models' lists"
    )


def require_own(run: Path, remedy: str) -> None:
    """Raise UsageError, which ends with `remedy`, if a command would write into a run that BioQ
    provides."""
    if real(run).is_relative_to(real(SHIPPED)):
        raise UsageError(f"{run}: is a run of BioQ itself, in which no command writes; {remedy}")
