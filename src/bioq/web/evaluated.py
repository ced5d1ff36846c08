"""The evaluation of the served run, read again only when it changes."""

from functools import lru_cache
from pathlib import Path

from bioq.evaluation.files import SUMMARY, latest_evaluation, read_folder
from bioq.evaluation.summary import Evaluation


def evaluation_of(run: Path) -> tuple[Path, int, Evaluation] | None:
    """Return the folder of a run's evaluation, of test first, the time at which it was written, in
    nanoseconds, and its content; None without one.

    Raises BioqError for a damaged evaluation.
    """
    folder = latest_evaluation(run)
    if folder is None:
        return None
    stamp = (folder / SUMMARY).stat().st_mtime_ns
    return folder, stamp, _read(folder, stamp)


@lru_cache(maxsize=4)
def _read(folder: Path, stamp: int) -> Evaluation:
    return read_folder(folder)
