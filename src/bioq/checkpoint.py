"""The state of a training run in one file: enough to go on, bit for bit, after a kill.

Random numbers need no state: order, strands and dropout of a step follow from the seed, the epoch
and the step alone.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from bioq.errors import BioqError
from bioq.runs import STATE, read_tensors, save_tensors

_METADATA = "position"


@dataclass
class Position:
    """Where training stands."""

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


def save_state(
    run: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: Position
) -> None:
    """Replace RUN/resume/state.safetensors in one step."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    save_tensors(tensors, run / STATE, {_METADATA: json.dumps(asdict(position))})


def load_state(run: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Position:
    """Put a saved state into model and optimizer; returns the position, the very start if none
    was saved yet."""
    file = run / STATE
    if not file.exists():
        return Position()
    tensors, metadata = read_tensors(file)
    weights = {}
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        if kind == "model":
            weights[rest] = tensor
        else:
            number, key = rest.split(".", 1)
            states.setdefault(int(number), {})[key] = tensor
    try:
        model.load_state_dict(weights)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
        return Position(**json.loads(metadata[_METADATA]))
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise BioqError(
            f"{file}: does not belong to this run ({reason}); remove {file.parent} to start over"
        ) from error
