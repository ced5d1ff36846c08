"""The cost of a model: weights, operations, and windows per second in training and inference.

Training is `bioq.train` with the recipe of the run, reading from the run's data set. On the CPU one
thread computes and its CPU time is counted, so that other processes on the machine disturb little;
models take turns and the median turn counts.
"""

import contextlib
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import in_turns
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from training_steps import PausedTraining, paused

import bioq
from bioq.dataset import Dataset
from bioq.forward import predict_codes

TURNS = 5
STEPS = 4
"""Training steps a turn."""
Costs = dict[str, float]
Ways = dict[str, tuple[int, Callable[[], object]]]
"""What is done -> how many windows it takes, and what does it."""


@dataclass(frozen=True)
class Costed:
    """A trained model whose costs are measured."""

    run: Path
    network: nn.Module
    recipe: Mapping[str, Any]
    """All choices of its training, by the names in its config.json."""


def costs(models: Mapping[str, Costed], data: Dataset, codes: Tensor) -> dict[str, Costs]:
    """Return what every model costs; inference of windows uint8 `(n, window_bp)`."""
    result: dict[str, Costs] = {
        name: {
            "parameters": sum(
                w.numel() for w in (*model.network.parameters(), *model.network.buffers())
            ),
            "mflop": flops(model.network) / 1e6,
        }
        for name, model in models.items()
    }
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        ending = "" if device == "cpu" else " on the GPU"
        ways: dict[str, Ways] = {}
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            for name, model in models.items():
                out = Path(folder) / name
                training = stack.enter_context(paused(partial(_train, model, data, out, device)))
                there = copy.deepcopy(model.network).to(device)
                ways[name] = {
                    "training": (STEPS * model.recipe["batch_size"], partial(_repeat, training)),
                    "inference": (len(codes), partial(predict_codes, there, codes.numpy())),
                    "plain inference": (len(codes), partial(_plainly, there, codes.numpy())),
                }
            for name, rates in _take_turns(ways, device).items():
                result[name] |= {f"{what}{ending}": rate for what, rate in rates.items()}
    return result


def flops(model: nn.Module) -> int:
    """Return the floating-point operations of a window as PyTorch counts them.

    In double precision the LSTM and attention are plain matrix products, which it counts.
    """
    architecture: Any = model.architecture
    window = torch.zeros(1, 4, architecture["window_bp"], dtype=torch.float64)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        copy.deepcopy(model).double()(window)
    return counter.get_total_flops()


def _train(model: Costed, data: Dataset, out: Path, device: str) -> None:
    """Train as the run was trained, from its weights; for more steps than are taken."""
    known = {field.name for field in fields(bioq.TrainConfig)}
    given = {**model.recipe, "lr": model.recipe["learning_rate"], "epochs": 1 << 20}
    given |= {"device": device, "patience": 0, "checkpoint_min": 1e9}
    config = bioq.TrainConfig(**{name: given[name] for name in known & given.keys()})
    bioq.train(data, out, from_run=model.run, config=config)


def _repeat(training: PausedTraining) -> None:
    for _ in range(STEPS):
        training.step()


def _plainly(model: nn.Module, codes: Any) -> None:
    """Predict without BioQ's fast paths: what the architecture itself costs."""
    before = os.environ.get("BIOQ_PLAIN")
    os.environ["BIOQ_PLAIN"] = "1"
    try:
        predict_codes(model, codes)
    finally:
        if before is None:
            del os.environ["BIOQ_PLAIN"]
        else:
            os.environ["BIOQ_PLAIN"] = before


def _take_turns(ways: Mapping[str, Ways], device: str) -> dict[str, Costs]:
    """Return windows per second of every model and way: the median of turns, the first left out."""
    taken: dict[tuple[str, str], list[float]] = {}
    for name in in_turns(ways, TURNS + 1):
        for what, (windows, work) in ways[name].items():
            started = _clock(device)
            work()
            taken.setdefault((name, what), []).append(windows / (_clock(device) - started))
    return {
        name: {what: statistics.median(taken[name, what][1:]) for what in of_model}
        for name, of_model in ways.items()
    }


def _clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
