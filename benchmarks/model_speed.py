"""The cost of a model: weights, operations, and windows per second in training and inference.

On the CPU one thread computes and its CPU time is counted, so that other processes on the machine
disturb little; models take turns and the median turn counts.
"""

import copy
import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.flop_counter import FlopCounterMode

from bioq.fast.switch import SWITCH
from bioq.fast.training import training_forward
from bioq.forward import predict_codes
from bioq.training.recipes import Recipe, make_optimizer

TURNS = 5
STEPS = 4
"""Training steps a turn."""
Costs = dict[str, float]
Ways = dict[str, tuple[int, Callable[[], object]]]
"""What is done -> how many windows it takes, and what does it."""


def costs(
    models: Mapping[str, nn.Module], recipes: Mapping[str, Recipe], codes: Tensor, labels: Tensor
) -> dict[str, Costs]:
    """Return what every model costs, trained with its recipe; of windows uint8 `(n, window_bp)` and
    their labels."""
    result = {
        name: {
            "parameters": sum(w.numel() for w in (*model.parameters(), *model.buffers())),
            "mflop": flops(model) / 1e6,
        }
        for name, model in models.items()
    }
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        ending = "" if device == "cpu" else " on the GPU"
        ways: dict[str, Ways] = {}
        for name, model in models.items():
            recipe = recipes[name]
            first = slice(0, recipe.batch_size)
            step = _training_step(model, recipe, codes[first], labels[first], device)
            there = copy.deepcopy(model).to(device)
            ways[name] = {
                "training": (STEPS * recipe.batch_size, partial(_repeat, step)),
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


def _training_step(
    model: nn.Module, recipe: Recipe, codes: Tensor, labels: Tensor, device: str
) -> Callable[[], None]:
    """Return one step as `bioq train` does it, on the same batch every time."""
    model = copy.deepcopy(model).to(device)  # inference arranges weights again when they change
    optimizer = make_optimizer(recipe, model)
    forward = training_forward(model, "32")
    codes, expected = codes.to(device), labels.to(device).float()

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(forward(codes), expected).backward()
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()

    return step


def _repeat(step: Callable[[], None]) -> None:
    for _ in range(STEPS):
        step()


def _plainly(model: nn.Module, codes: Any) -> None:
    """Predict without BioQ's fast paths: what the architecture itself costs."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "1"
    try:
        predict_codes(model, codes)
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


def _take_turns(ways: Mapping[str, Ways], device: str) -> dict[str, Costs]:
    """Return windows per second of every model and way: the median of turns, the first left out."""
    taken: dict[tuple[str, str], list[float]] = {}
    for turn in range(TURNS + 1):
        for name, of_model in ways.items():
            for what, (windows, work) in of_model.items():
                started = _clock(device)
                work()
                rate = windows / (_clock(device) - started)
                if turn:
                    taken.setdefault((name, what), []).append(rate)
    return {
        name: {what: statistics.median(taken[name, what]) for what in of_model}
        for name, of_model in ways.items()
    }


def _clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
