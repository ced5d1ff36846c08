"""Compares the gradients of a device with those of the CPU, before a training on Apple's MPS.

A version of PyTorch computed wrong gradients on MPS for a two-layer LSTM with dropout between its
layers (the LSTMs of BioQ have no dropout there). A training with wrong gradients learns nothing,
without any error.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bioq.dna.tensors import one_hot
from bioq.progress import say

ALLOWED = 0.01
"""Difference of a weight's gradient, as a share of its norm: float32 devices agree to about 1e-4,
a wrong formula differs by about 1."""
_LEAST_SHARE = 1e-4
"""Differences of gradients with a norm below this share of the norm of all gradients are compared
with that share, not with their norm."""
_WINDOWS = 4

Gradients = dict[str, Tensor]


def warn_of_wrong_gradients(
    model: nn.Module,
    device: torch.device,
    *,
    compute: Callable[[nn.Module, torch.device], Gradients] | None = None,
) -> None:
    """Print a warning if the gradients of one step on `device` differ from those on the CPU.

    `compute` returns the gradients by the name of the weight, on the CPU (by default
    `gradients_on`).
    """
    compute = compute or gradients_on
    gradients, expected = compute(model, device), compute(model, torch.device("cpu"))
    least = _LEAST_SHARE * float(torch.stack([g.norm() for g in expected.values()]).norm())
    distance = {name: _distance(gradients[name], expected[name], least) for name in expected}
    worst = max(distance, key=lambda name: distance[name])
    if distance[worst] > ALLOWED:
        say(
            f"warning: {device} gives wrong gradients: {worst} is {distance[worst]:.0%} from what "
            f"the CPU computes, expected below {ALLOWED:.0%}; training would go wrong silently: "
            "take --device cpu, or another version of PyTorch"
        )


def gradients_on(model: nn.Module, device: torch.device) -> Gradients:
    """Return the gradients of every weight for a small batch, computed on `device`; no dropout."""
    copied = copy.deepcopy(model).to(device).train()
    for layer in copied.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # its random numbers differ from device to device
    generator = torch.Generator().manual_seed(0)
    architecture: Any = copied.architecture
    shape = (_WINDOWS, architecture["window_bp"])
    codes = torch.randint(0, 4, shape, generator=generator, dtype=torch.uint8)
    logits = copied(one_hot(codes).float().to(device))
    labels = torch.rand(logits.shape, generator=generator).round().to(device)
    binary_cross_entropy_with_logits(logits, labels).backward()  # type: ignore[no-untyped-call]
    return {
        name: weight.grad.cpu()
        for name, weight in copied.named_parameters()
        if weight.grad is not None
    }


def _distance(gradient: Tensor, expected: Tensor, least: float) -> float:
    """Return the norm of the difference as a share of the expected norm; infinite if NaN."""
    share = float((gradient - expected).norm() / expected.norm().clamp(min=least))
    return float("inf") if math.isnan(share) else share
