"""`bioq targets`."""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
from cyclopts import Parameter

from bioq.cli.options import RUN_FORMS
from bioq.dataset import open_dataset
from bioq.dataset.layout import METADATA
from bioq.dataset.targets import select_targets, write_target_table
from bioq.errors import BioqError, counted, escaped
from bioq.files.near import near_path
from bioq.progress import say
from bioq.runs.folder import CONFIG, read_config, read_targets
from bioq.runs.named import resolve_run

_RUN_HELP = f"Data set folder, or a run: {RUN_FORMS}."


def targets(
    run: Annotated[str, Parameter(name="run", help=_RUN_HELP)],
    patterns: tuple[str, ...] = (),
    /,
) -> None:
    """List the targets of a run or a data set, with their annotation.

    Prints a table, its columns separated by tabs: the names, then the annotation. --targets selects
    by both. The number of targets is printed on stderr.

    For example:

        bioq targets run
        bioq targets run '*CTCF*'
        bioq targets data 'cell=K562'

    Parameters
    ----------
    patterns
        Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
        Can be given again for more.
    """
    table = _target_table(resolve_run(run))
    chosen = table.iloc[select_targets(table, patterns)]
    if sys.stdout.isatty():
        chosen = chosen.map(escaped).rename(columns=escaped)
    write_target_table(chosen, sys.stdout)
    sys.stdout.flush()
    count = f"{len(chosen):,} of " if len(chosen) < len(table) else ""
    say(f"{count}{counted(len(table), 'target')}")


def _target_table(folder: Path) -> pd.DataFrame:
    """Return the target table of a run or a data set."""
    if (folder / METADATA).is_file():
        return open_dataset(folder).targets
    if not (folder / CONFIG).is_file():
        problem = f"has no {CONFIG} and no {METADATA}" if folder.is_dir() else "no such folder"
        hint = "" if folder.is_dir() else near_path(folder)
        raise BioqError(
            f"{folder}: {problem}; {hint}expected a run folder, written by 'bioq train', or "
            "a data set folder, written by 'bioq data'"
        )
    return read_targets(folder, read_config(folder))
