"""The lines before the first step: the default model, and targets that cannot be learned."""

from collections.abc import Iterator

from bioq.dataset import Dataset, LabelKinds, label_kinds
from bioq.errors import counted
from bioq.models import ModelSizes
from bioq.models.recipe import Recipe
from bioq.models.source import Source
from bioq.progress import say
from bioq.runs.best_epoch import LOSS
from bioq.runs.folder import NETWORK
from bioq.training.pace import count_weights
from bioq.training.plan import AUTO, MEASURED_WINDOWS, Plan, TrainingRequest

_SHOWN = 3

FEW_POSITIVES = 1000
"""Of one target with fewer positive windows, a linear model was as good as a network on some data
sets (docs/reference/training-defaults.md, "One peak file")."""

_OTHER_RATE = 2.0
"""A validation loss is not comparable if the rate of positives differs by more than this factor."""


def say_first_lines(request: TrainingRequest, plan: Plan, data: Dataset) -> None:
    """Print which model was chosen, and the targets from which nothing can be learned.

    Raises BioqError if nothing can be learned from any target.
    """
    train = label_kinds(data, "train")
    train.require_both("there is nothing to learn from")
    if request.model == AUTO and request.from_run is None:
        say(default_model_note(plan))
    if plan.network is not None:
        say(network_note(plan.network, plan.recipe))
    for line in warnings_of_training(train):
        say(f"warning: {line}")
    for line in few_positives(data):
        say(f"note: {line}")
    if "valid" in data and len(data["valid"]):
        valid = label_kinds(data, "valid")
        for line in notes_on_validation(valid, plan.recipe):
            say(f"note: {line}")
        for line in () if valid.is_useless else other_rate(data):
            say(f"note: {line}")


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


def network_note(source: Source, recipe: Recipe) -> str:
    """Return the line about a network that is not one of BioQ's."""
    start = "" if recipe.output_bias else "; its outputs start at one half"
    return (
        f"network {source.name}, SHA-256 {source.sha256[:12]}...; the run keeps it as {NETWORK}"
        f"{start}"
    )


def warnings_of_training(kinds: LabelKinds) -> Iterator[str]:
    """Yield a line about the targets without a negative training window, and one about those
    without a positive."""
    for line in kinds.lines(_SHOWN):
        yield f"{line}: nothing to learn from"


def few_positives(data: Dataset) -> Iterator[str]:
    """Yield a line if the only target of the split `train` has few positive windows."""
    train = data["train"]
    positives = int(train.positives().sum())
    if train.targets > 1 or not 0 < positives < FEW_POSITIVES:
        return
    line = f"{counted(positives, 'positive window')} to train, few for a network"
    if "valid" not in data:
        line += "; without a validation split nothing chooses the best epoch"
    yield f"{line} (docs/reference/training-defaults.md, One peak file)"


def other_rate(data: Dataset) -> Iterator[str]:
    """Yield a line if the rate of positives in validation is another one than in training."""
    train, valid = (
        data[split].positives().sum() / max(len(data[split]) * data[split].targets, 1)
        for split in ("train", "valid")
    )
    if 0 < _OTHER_RATE * min(train, valid) < max(train, valid):
        yield (
            f"{train:.2%} of the labels are positive in train, {valid:.2%} in valid: the "
            f"probabilities are too {'high' if train > valid else 'low'} for valid, and its loss "
            "is too high; compare ROC AUC and AP, which depend on the order of the windows only"
        )


def notes_on_validation(kinds: LabelKinds, recipe: Recipe) -> Iterator[str]:
    """Yield a line about the targets whose validation windows are all positive or all negative."""
    if kinds.is_useless:
        chosen = ""
        if recipe.select_by != LOSS:
            stops = " and stops the training early" if recipe.patience else ""
            chosen = f": {LOSS}, not {recipe.select_by}, chooses the best epoch{stops}"
        yield kinds.problem(f"its ROC AUC and average precision are undefined{chosen}")
        return
    for line in kinds.lines(_SHOWN):
        yield f"{line}: no score, and not in the macro means"
