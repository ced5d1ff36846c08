"""Which background belongs to a run: by default RUN/background.npz, which travels with it."""

from pathlib import Path
from shlex import quote

from bioq.files.inside import kept_file
from bioq.runs.folder import BACKGROUND, read_config
from bioq.runs.named import require_own, resolve_run
from bioq.variants.background.file import read_background
from bioq.variants.background.reference import Background

NO_BACKGROUND = Path("none")
"""The value of --background for scores without a background."""


def run_background(run: str | Path) -> Path | None:
    """Find the background of a run.

    Args:
        run: The run: a folder, a name or an address.

    Returns:
        RUN/background.npz; None if the run has none.

    Raises:
        BioqError: If it is no run, or if what has this name is not a file in the folder.
    """
    folder = resolve_run(run)
    read_config(folder)
    return kept_file(folder, BACKGROUND)


def chosen_background(given: Path | None, run: Path) -> Path:
    """Return the file that was given, by default that of the run, or NO_BACKGROUND."""
    return given or run_background(run) or NO_BACKGROUND


def open_background(given: Path | None, run: Path | None) -> Background | None:
    """Read the background that was given, by default that of a run; None without one."""
    file = given if run is None else chosen_background(given, run)
    return None if file is None or file == NO_BACKGROUND else read_background(file)


def own_background(run: Path) -> Path:
    """Return the place of the background of a run that a command writes.

    Args:
        run: Folder of the run.

    Returns:
        RUN/background.npz, which need not exist yet.

    Raises:
        UsageError: For a run of the package or the cache, into which no command writes.
    """
    copy = f"'cp -r {quote(str(run))} COPY'"
    require_own(run, f"name a file with --out FILE.npz, or copy the run first: {copy}")
    return run / BACKGROUND
