"""The state of a training in one file, from which it continues bit for bit after a kill.

Random numbers need no state: order, strands and dropout of a step follow from the seed, the epoch
and the step.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bioq.errors import BioqError
from bioq.files.inside import kept_file
from bioq.files.typed import MayBeUndefined, name_text, parse_json, record, require_types
from bioq.models.recipe import Recipe
from bioq.options import AtLeastZero, NotNegative
from bioq.runs.best_epoch import best_epoch
from bioq.runs.folder import STATE
from bioq.runs.weights import (
    Header,
    described,
    read_metadata,
    read_tensors,
    require_finite,
    save_tensors,
)
from bioq.training.keras import KerasRMSprop
from bioq.training.plan import Plan
from bioq.training.recipes import make_optimizer, running_mean

_METADATA = "position"
_OPTIMIZER = "optimizer."
_MOMENTS: Mapping[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.RMSprop: ("square_avg",),
    KerasRMSprop: ("square_avg",),
    torch.optim.Adam: ("exp_avg", "exp_avg_sq"),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
}
"""The tensors that an optimizer keeps for each weight, besides the number of steps."""
Score = Annotated[float, MayBeUndefined]
"""NaN where nothing was validated."""


@dataclass
class Position:
    """How far a training has come."""

    epoch: AtLeastZero = 0
    """Epochs finished."""
    step: AtLeastZero = 0
    """Steps finished in the epoch after those."""
    loss_sum: float = 0.0
    """Sum of loss times windows over the steps of this epoch."""
    seconds: NotNegative = 0.0
    """Time spent on this epoch so far."""
    history: list[dict[str, Score]] = field(default_factory=list)
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
    tensors = _weights(state)
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{number}.{name}": value for name, value in moments.items()}
    save_tensors(tensors, run / STATE, {_METADATA: json.dumps(asdict(state.position))})


def load_state(run: Path, state: TrainingState) -> None:
    """Put the saved state of a run, if there is one, into a state.

    Raises BioqError if the file is damaged or belongs to another network.
    """
    file = kept_file(run, STATE)
    if file is None:
        return
    expected = _expected_tensors(state)
    tensors, metadata = read_tensors(file, lambda header: _require_state(file, header, expected))
    require_finite(file, tensors)
    weights, means = {}, {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
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
    state.position = _read_position(file, metadata)


def _weights(state: TrainingState) -> dict[str, torch.Tensor]:
    """Return the weights, and their running mean, by their names in the file."""
    tensors = {f"model.{name}": tensor for name, tensor in state.network.state_dict().items()}
    if state.average is not None:
        mean = state.average.state_dict()
        tensors |= {f"averaged.{name}": tensor for name, tensor in mean.items()}
    return tensors


def _expected_tensors(state: TrainingState) -> dict[str, torch.Tensor]:
    """Return tensors of the names, shapes and types that `save_state` writes."""
    tensors = _weights(state)
    groups = state.optimizer.param_groups
    for number, weight in enumerate(weight for group in groups for weight in group["params"]):
        prefix = f"{_OPTIMIZER}{number}."
        tensors[f"{prefix}step"] = torch.zeros(())
        tensors |= {f"{prefix}{name}": weight for name in _MOMENTS[type(state.optimizer)]}
    return tensors


def _require_state(file: Path, header: Header, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise BioqError if a file has other tensors than a state; before the first step, the
    optimizer has none."""
    kept = {name.rpartition(".")[0] for name in header}
    for name in sorted(header.keys() | expected.keys()):
        weight = name.rpartition(".")[0]
        if weight.startswith(_OPTIMIZER) and weight not in kept:
            continue
        found = header.get(name, "none")
        wanted = described(expected[name]) if name in expected else "none"
        if found != wanted:
            raise BioqError(
                f"{file}: does not belong to this run ({name_text(name)} is {found}, expected "
                f"{wanted}); remove {file.parent} to start over"
            )


def read_position(run: Path) -> Position | None:
    """Return how far the last checkpoint of a run has come; None without a checkpoint.

    Raises BioqError if the checkpoint cannot be read.
    """
    file = kept_file(run, STATE)
    return None if file is None else _read_position(file, read_metadata(file))


def _read_position(file: Path, metadata: Mapping[str, str]) -> Position:
    remedy = f"remove {file.parent} to start over"
    try:
        recorded = parse_json(metadata.get(_METADATA, "null"))
    except ValueError as error:
        raise BioqError(f"{file}: its position is not JSON ({error}); {remedy}") from error
    require_types(recorded, Position, file, remedy, at=_METADATA)
    position = record(Position, recorded)
    epochs = [row.get("epoch") for row in position.history]
    if len(epochs) != position.epoch or epochs != list(range(1, len(epochs) + 1)):
        raise BioqError(
            f"{file}: its history is not that of the epochs 1 to {position.epoch:,}; {remedy}"
        )
    return position
