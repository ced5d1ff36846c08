"""The evaluation of the served run, read again only when it changes."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from bioq.evaluation.files import SUMMARY, latest_evaluation, read_folder
from bioq.evaluation.summary import Evaluation


class Evaluated(NamedTuple):
    """The evaluation of a run."""

    folder: Path
    stamp: int
    """When it was written, in nanoseconds."""
    evaluation: Evaluation


def evaluation_of(run: Path) -> Evaluated | None:
    """Return the evaluation of a run, of test first; None without one.

    Raises BioqError for a damaged evaluation.
    """
    folder = latest_evaluation(run)
    if folder is None:
        return None
    stamp = (folder / SUMMARY).stat().st_mtime_ns
    return Evaluated(folder, stamp, evaluation_in(folder, stamp))


@lru_cache(maxsize=4)
def evaluation_in(folder: Path, stamp: int) -> Evaluation:
    """Return the evaluation in a folder, read once for each time at which it was written."""
    return read_folder(folder)
