"""The lines before the first step: the default model, and targets that cannot be learned."""

from collections.abc import Iterator

from bioq.dataset import Dataset, LabelKinds, label_kinds
from bioq.errors import counted
from bioq.models import ModelSizes
from bioq.models.recipe import Recipe
from bioq.progress import say
from bioq.runs.best_epoch import LOSS
from bioq.training.plan import AUTO, MEASURED_WINDOWS, Plan, TrainingRequest, count_weights

_SHOWN = 3


def say_first_lines(request: TrainingRequest, plan: Plan, data: Dataset) -> None:
    """Print which model was chosen, and the targets from which nothing can be learned.

    Raises BioqError if nothing can be learned from any target.
    """
    train = label_kinds(data, "train")
    train.require_both("there is nothing to learn from")
    if request.model == AUTO and request.from_run is None:
        say(default_model_note(plan))
    for line in warnings_of_training(train):
        say(f"warning: {line}")
    if "valid" in data and len(data["valid"]):
        for line in notes_on_validation(label_kinds(data, "valid"), plan.recipe):
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


def warnings_of_training(kinds: LabelKinds) -> Iterator[str]:
    """Yield a line about the targets without a negative training window, and one about those
    without a positive."""
    for line in kinds.lines(_SHOWN):
        yield f"{line}: nothing to learn from"


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
