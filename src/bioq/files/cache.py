"""The folder in which downloads are kept for later commands."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bioq.errors import BioqError, UsageError
from bioq.files import locked
from bioq.progress import say

CACHE_VARIABLE = "BIOQ_CACHE"


def cache_folder() -> Path:
    """Return the folder of downloads: $BIOQ_CACHE, $XDG_CACHE_HOME/bioq or ~/.cache/bioq.

    It may not exist. Raises UsageError for a BIOQ_CACHE that is not an absolute path, and without a
    home folder.
    """
    given = os.environ.get(CACHE_VARIABLE, "")
    if given:
        folder = _from_home(Path(given))
        if not folder.is_absolute():
            raise UsageError(
                f"{CACHE_VARIABLE}={given}: is not an absolute path, so each folder that you work "
                "in would have a cache; give a path that begins with / or ~"
            )
        return folder
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else _from_home(Path("~/.cache"))) / "bioq"


def _from_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{path}: there is no home folder; set {CACHE_VARIABLE} to a folder for downloads"
        ) from error


@contextlib.contextmanager
def being_filled(folder: Path, what: str) -> Iterator[None]:
    """Make a folder of the cache and hold its lock: another process that downloads `what` is waited
    for. Raises BioqError if the folder cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise _not_written(folder, "it is read-only for you")
    with locked(folder, wait=False) as is_free:
        if is_free:
            yield
            return
    say(f"{what}: another process is downloading it; waiting for that")
    with locked(folder):
        yield


def _not_written(folder: Path, reason: str) -> BioqError:
    return BioqError(
        f"{folder}: the cache of downloads cannot be written: {reason}; set {CACHE_VARIABLE} to "
        "another folder"
    )
