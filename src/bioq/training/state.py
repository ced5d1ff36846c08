"""The state of a training in one file, from which it continues bit for bit after a kill.

Random numbers need no state: order, strands and dropout of a step follow from the seed, the epoch
and the step.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bioq.errors import BioqError
from bioq.models.recipe import Recipe
from bioq.runs.best_epoch import best_epoch
from bioq.runs.folder import STATE
from bioq.runs.weights import read_metadata, read_tensors, save_tensors
from bioq.training.plan import Plan
from bioq.training.recipes import make_optimizer, running_mean

_METADATA = "position"


@dataclass
class Position:
    """How far a training has come."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Steps finished in the epoch after those."""
    loss_sum: float = 0.0
    """Sum of loss times windows over the steps of this epoch."""
    seconds: float = 0.0
    """Time spent on this epoch so far."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The rows of `history.csv`."""

    def best_epoch(self, recipe: Recipe) -> int:
        """Return the number of the best epoch so far; without validation, of the last epoch."""
        return best_epoch(self.history, recipe.select_by) or self.epoch

    def is_finished(self, recipe: Recipe) -> bool:
        """Return whether all epochs are finished, or validation has stopped improving."""
        if not self.history:
            return False
        epochs_since_best = self.epoch - self.best_epoch(recipe)
        has_stopped_improving = recipe.patience and epochs_since_best >= recipe.patience
        return self.epoch >= recipe.epochs or bool(has_stopped_improving)


@dataclass
class TrainingState:
    """Everything that changes while a model trains."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None = None
    """Running mean of the weights, if the recipe has one."""
    position: Position = field(default_factory=Position)

    @property
    def learning(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    @property
    def validated(self) -> nn.Module:
        """The network that is validated and kept: the running mean, or the network itself."""
        return self.network if self.average is None else self.average.module


def start_state(plan: Plan, network: nn.Module) -> TrainingState:
    """Return the state before the first step, with the network on the device where it trains."""
    average = running_mean(network, plan.recipe.average) if plan.recipe.average else None
    return TrainingState(network, make_optimizer(plan.recipe, network), average)


def save_state(run: Path, state: TrainingState) -> None:
    """Replace RUN/resume/state.safetensors in one step."""
    tensors = {f"model.{name}": tensor for name, tensor in state.network.state_dict().items()}
    if state.average is not None:
        mean = state.average.state_dict()
        tensors |= {f"averaged.{name}": tensor for name, tensor in mean.items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    save_tensors(tensors, run / STATE, {_METADATA: json.dumps(asdict(state.position))})


def load_state(run: Path, state: TrainingState) -> None:
    """Put the saved state of a run, if there is one, into a state.

    Raises BioqError if the file is damaged or belongs to another network.
    """
    file = run / STATE
    if not file.exists():
        return
    tensors, metadata = read_tensors(file)
    weights, means = {}, {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for name, tensor in tensors.items():
            kind, key = name.split(".", 1)
            if kind == "model":
                weights[key] = tensor
            elif kind == "averaged":
                means[key] = tensor
            else:
                number, moment = key.split(".", 1)
                moments.setdefault(int(number), {})[moment] = tensor
        state.network.load_state_dict(weights)
        if state.average is not None:
            state.average.load_state_dict(means)
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.position = _read_position(metadata[_METADATA])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise BioqError(
            f"{file}: does not belong to this run ({reason}); remove {file.parent} to start over"
        ) from error


def read_position(run: Path) -> Position | None:
    """Return how far the last checkpoint of a run has come; None without a checkpoint.

    Raises BioqError if the checkpoint cannot be read.
    """
    file = run / STATE
    if not file.is_file():
        return None
    try:
        return _read_position(read_metadata(file)[_METADATA])
    except (ValueError, KeyError, TypeError) as error:
        raise BioqError(f"{file}: is no checkpoint of a training ({error})") from error


def _read_position(text: str) -> Position:
    position = Position(**json.loads(text))
    counts, sums = (position.epoch, position.step), (position.loss_sum, position.seconds)
    rows = position.history if isinstance(position.history, list) else [None]
    if (
        not all(isinstance(count, int) and count >= 0 for count in counts)
        or not all(isinstance(number, int | float) for number in sums)
        or not all(isinstance(row, dict) for row in rows)
    ):
        raise ValueError(f"the position is {text[:100]}")
    return position
