"""The state of a training run in one file: enough to go on, bit for bit, after a kill; and the
settings that it goes on with.

Random numbers need no state: order, strands and dropout of a step follow from the seed, the epoch
and the step alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bioq.dataset import Dataset
from bioq.errors import BioqError, UsageError
from bioq.models import ModelSizes
from bioq.runs.folder import CONFIG, STATE, read_config
from bioq.runs.weights import read_tensors, save_tensors
from bioq.training.recipes import RUNTIME_OPTIONS, TrainConfig, as_it_was
from bioq.training.start import DEFAULT_MODEL

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
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Position,
    averaged: nn.Module | None = None,
) -> None:
    """Replace RUN/resume/state.safetensors in one step; `averaged` is the mean of the weights, if
    one is kept."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if averaged is not None:
        tensors |= {f"averaged.{name}": value for name, value in averaged.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    save_tensors(tensors, run / STATE, {_METADATA: json.dumps(asdict(position))})


def load_state(
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: nn.Module | None = None,
) -> Position:
    """Put a saved state into what `save_state` took; returns the position, the very start if none
    was saved yet."""
    file = run / STATE
    if not file.exists():
        return Position()
    tensors, metadata = read_tensors(file)
    weights, means = {}, {}
    states: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for name, tensor in tensors.items():
            kind, rest = name.split(".", 1)
            if kind == "model":
                weights[rest] = tensor
            elif kind == "averaged":
                means[rest] = tensor
            else:
                number, key = rest.split(".", 1)
                states.setdefault(int(number), {})[key] = tensor
        model.load_state_dict(weights)
        if averaged is not None:
            averaged.load_state_dict(means)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
        return _position(metadata[_METADATA])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise BioqError(
            f"{file}: does not belong to this run ({reason}); remove {file.parent} to start over"
        ) from error


def _position(text: str) -> Position:
    found = Position(**json.loads(text))
    counts, sums = (found.epoch, found.step), (found.loss_sum, found.seconds)
    rows = found.history if isinstance(found.history, list) else [None]
    if (
        not all(isinstance(count, int) and count >= 0 for count in counts)
        or not all(isinstance(number, int | float) for number in sums)
        or not all(isinstance(row, dict) for row in rows)
    ):
        raise ValueError(f"the position is {text[:100]}")
    return found


def device_of_run(run: Path) -> str | None:
    """Return the device that a run was started with, if one was named; None also where `run` is no
    run, which `settings_to_continue` says."""
    try:
        device: str | None = read_config(run).training.get("device")
    except BioqError:
        return None
    return device


def settings_to_continue(
    run: Path, data: Dataset, asked: Mapping[str, Any], config: TrainConfig
) -> tuple[TrainConfig, Mapping[str, Any]]:
    """Return the settings that a run was started with; only runtime options may change.

    The number of devices is as `config` says now. Raises BioqError for another data set,
    UsageError for another setting.
    """
    stored = read_config(run)
    if stored.data["fingerprint"] != data.fingerprint:
        raise BioqError(
            f"{run}: was trained on a data set with fingerprint "
            f"{stored.data['fingerprint'][:12]}, {data.path} has {data.fingerprint[:12]}; "
            "resume with the data set that it was started with"
        )
    known = asdict(config).keys() & stored.training.keys()  # older runs know fewer options
    before = TrainConfig(**{name: stored.training[name] for name in known})
    before = as_it_was(before, stored.training.get("resolved", {}))
    standard = {
        "model": DEFAULT_MODEL,
        "motifs": None,
        "from": None,
        "freeze": False,
        **asdict(ModelSizes()),
        **asdict(TrainConfig()),
    }
    training = {**standard, **stored.training}
    start = training["from"]
    given = {**asked, **asked["sizes"], **asdict(config)}
    used = {**training, **training["sizes"], "from": start and start["path"]}
    changed = [
        name
        for name, usual in standard.items()
        if name not in RUNTIME_OPTIONS and given[name] not in (usual, used[name])
    ]
    if changed:
        settings = "; ".join(f"{name} {used[name]!r}, not {given[name]!r}" for name in changed)
        raise UsageError(
            f"{run / CONFIG}: this run was started with {settings}; "
            "resume it without these options, or start a new run"
        )
    runtime = {name: given[name] for name in RUNTIME_OPTIONS if given[name] != standard[name]}
    runtime |= {"devices": config.devices, "nodes": config.nodes}
    return replace(before, **runtime), {name: training[name] for name in asked}
