"""Whether a run has learned from windows of the split that is scored."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bioq.dataset import Dataset
from bioq.dataset.leaks import leak_of
from bioq.errors import BioqError
from bioq.runs.folder import read_config, training_data

TRAIN = "train"


def leak_notes(runs: Iterable[Path], data: Dataset, split: str) -> Iterator[str]:
    """Yield a line per kind of leak between a split and the windows that the runs were trained on.

    Those are the split `train` of `data` or, if a run was trained on another data set, of that one.
    """
    if split == TRAIN:
        return
    checked, said = set(), set()
    for run in runs:
        config = read_config(run)
        fingerprint, fold = config.data.get("fingerprint"), config.fold
        if (fingerprint, fold) in checked:
            continue
        checked.add((fingerprint, fold))
        here = None if data.chosen is None else str(data.chosen)
        is_same = fingerprint == data.fingerprint and fold == here
        trained_on = data if is_same else _other_data(run)
        if trained_on is None:
            yield (
                f"{run.resolve().name} was trained on a data set that is not here, so it is not "
                f"known whether it has seen windows of the split {split!r}"
            )
        else:
            lines = leak_of(data[split], trained_on[TRAIN]).lines()
            new = [line for line in lines if line not in said]  # several runs may have the same
            said.update(new)
            yield from new


def _other_data(run: Path) -> Dataset | None:
    """Return the data set that a run was trained on; None if it is not found or is damaged."""
    try:
        data = training_data(run)
    except BioqError:
        return None
    return data if TRAIN in data else None
