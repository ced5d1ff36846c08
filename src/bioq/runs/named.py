"""`resolve_run`: the folder of a run that is given by its path, a name or an address.

Every command and function that takes a run calls `resolve_run`, so all take the same texts. A run
of the package or of the cache is the same for all commands: none writes into it.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bioq.errors import BioqError, UsageError, did_you_mean, nearest
from bioq.files import real
from bioq.files.near import near_path
from bioq.options import path_to
from bioq.progress import say
from bioq.runs.addresses import FORMS, parse_address
from bioq.runs.fetched import fetched_run
from bioq.runs.origin import origin_of

SHIPPED = Path(__file__).with_name("shipped")
"""The folder of the runs in the package."""


@dataclass(frozen=True)
class NamedRun:
    """A trained run of the package, for which a name stands. Its files have all else about it."""

    name: str
    licence: str
    """Its name in the SPDX list, such as CC-BY-4.0."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return SHIPPED / self.name


RUNS = (NamedRun("yeast", licence="MIT"),)
"""Every run that has a name, in the order of `bioq models`."""
IMPORTED = ("deepsea", "beluga")
"""The names of the published networks of which 'bioq import' makes a run."""


def resolve_run(run: str | Path, *, name: str = "run") -> Path:
    """Return the folder of a run: a path, a name of `RUNS`, or an address (`runs.addresses`).

    A folder that exists is returned unchanged, whatever it is. The run of an address is downloaded
    once and read from the cache ever after. `name` is that of the argument, for messages. Raises
    UsageError for an address that is not complete, BioqError for a file, a download that fails or
    is no run, and a word that is neither a folder nor a name; other paths are returned, and the
    reader of the folder names what it expects.
    """
    path, text = path_to(name, run), os.fspath(run)
    known = _named(text)
    if os.path.lexists(path):
        if known is not None:
            _say_once(f"note: {text} is a folder here, so it is read and not BioQ's run {text}")
        if path.is_file():
            raise BioqError(f"{path}: is a file, not a folder; expected a run folder")
        return path
    if known is not None:
        return known.folder
    address = parse_address(text)
    if address is not None:
        return fetched_run(address)
    if len(path.parts) == 1 and not path.is_absolute():
        raise _unknown(text)
    return path


def names_run(text: str) -> bool:
    """Return whether a text is a path that exists, a name of `RUNS` or an address."""
    return os.path.lexists(text) or _named(text) is not None or parse_address(text) is not None


def _named(text: str) -> NamedRun | None:
    return next((run for run in RUNS if run.name == text), None)


def _unknown(text: str) -> BioqError:
    """Return the error for a word that is neither a folder nor a name."""
    if text in IMPORTED:
        return BioqError(
            f"{text}: no such folder; 'bioq import {text} --out {text}' makes a run of the "
            "published network"
        )
    names = nearest(text, [*(run.name for run in RUNS), *IMPORTED], most=1)
    hint = did_you_mean(names) or near_path(Path(text))
    return BioqError(
        f"{text}: no such folder; {hint}expected a run folder, a name that 'bioq models' lists, or "
        f"an address {FORMS}"
    )


@lru_cache  # a command may name a run several times
def _say_once(line: str) -> None:
    say(line)


def require_own(run: Path, remedy: str) -> None:
    """Raise UsageError, which ends with `remedy`, if a command would write into a run that is not
    the user's: one of the package or of the cache."""
    if real(run).is_relative_to(real(SHIPPED)) or origin_of(run) is not None:
        raise UsageError(
            f"{run}: no command writes into a run that comes with BioQ or was downloaded; {remedy}"
        )
