"""The lines before the first step: the default model, and targets that cannot be learned."""

import numpy as np

from bioq.dataset import Dataset
from bioq.dataset.targets import NAME
from bioq.errors import counted
from bioq.models import ModelSizes
from bioq.progress import say
from bioq.training.plan import AUTO, MEASURED_WINDOWS, Plan, TrainingRequest, count_weights

_SHOWN = 3


def say_first_lines(request: TrainingRequest, plan: Plan, data: Dataset) -> None:
    """Print which model was chosen, and the targets from which nothing can be learned."""
    if request.model == AUTO and request.from_run is None:
        say(default_model_note(plan))
    warning = warn_of_constant_targets(data)
    if warning:
        say(warning)


def default_model_note(plan: Plan) -> str:
    """Return the line about the default model, and how to get the published one."""
    windows = plan.data.train_windows
    weights = count_weights(plan.data, plan.model, plan.sizes)
    published = count_weights(plan.data, "bioq", ModelSizes())
    measured = f"; not measured above {MEASURED_WINDOWS:,} windows" * (windows > MEASURED_WINDOWS)
    return (
        f"model {plan.model} ({weights:,} weights), the default for {windows:,} windows and "
        f"{counted(plan.data.targets, 'target')}{measured}; --model bioq trains BioQ as published "
        f"({published:,} weights)"
    )


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
