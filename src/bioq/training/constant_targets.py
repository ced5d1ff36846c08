"""Targets of a training set that are positive, or negative, in every window."""

import numpy as np

from bioq.dataset import Dataset
from bioq.dataset.targets import NAME

_SHOWN = 3


def warn_of_constant_targets(data: Dataset) -> str:
    """Return a line about the targets that have no negative or no positive window to learn from;
    empty if each target has both."""
    split = data["train"]
    positives = split.positives()
    only_positive = np.flatnonzero(positives == len(split))
    never = np.flatnonzero(positives == 0)
    names = data.targets[NAME]
    parts = []
    if len(only_positive):
        parts.append(
            f"{_named(list(names[only_positive]), len(names))} positive in every training window: "
            "a model that always answers yes has a perfect score, so nothing is learned; build the "
            "data set with negatives ('bioq data peaks --keep all')"
        )
    if len(never):
        parts.append(
            f"{_named(list(names[never]), len(names))} positive in no training window and cannot "
            "be learned"
        )
    return f"warning: {'; '.join(parts)}" if parts else ""


def _named(names: list[str], targets: int) -> str:
    """Return the subject and the verb of a sentence about some of the targets."""
    if len(names) == 1:
        return f"target {names[0]} is"
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names):,} of {targets:,} targets ({shown}) are"
