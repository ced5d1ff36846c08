"""Whether a device computes the gradients that the CPU does.

PyTorch on Apple's MPS once gave silently wrong ones, for a two-layer LSTM with dropout between its
layers (BioQ's have none there). A training that learns nothing from them shows no error, so it is
asked first.
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
a wrong formula does not to 1."""
_LEAST_SHARE = 1e-4
"""Of the norm of all gradients: smaller ones are compared with this, not with themselves."""
_WINDOWS = 4

Gradients = dict[str, Tensor]


def warn_of_wrong_gradients(
    model: nn.Module,
    device: torch.device,
    *,
    compute: Callable[[nn.Module, torch.device], Gradients] | None = None,
) -> None:
    """Say so if one step's gradients of a model on `device` are not those of the CPU.

    `compute` gives the gradients by the name of the weight, on the CPU (by default
    `gradients_on`).
    """
    compute = compute or gradients_on
    found, expected = compute(model, device), compute(model, torch.device("cpu"))
    least = _LEAST_SHARE * float(torch.stack([g.norm() for g in expected.values()]).norm())
    off = {name: _distance(found[name], expected[name], least) for name in expected}
    worst = max(off, key=lambda name: off[name])
    if off[worst] > ALLOWED:
        say(
            f"warning: {device} gives wrong gradients: {worst} is {off[worst]:.0%} from what the "
            f"CPU computes, expected below {ALLOWED:.0%}; training would go wrong silently: "
            "take --device cpu, or another version of PyTorch"
        )


def gradients_on(model: nn.Module, device: torch.device) -> Gradients:
    """Return a small batch's gradients of every weight, computed on `device`, without dropout."""
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


def _distance(found: Tensor, expected: Tensor, least: float) -> float:
    """Return the norm of the difference as a share of the expected norm; infinite if no number."""
    share = float((found - expected).norm() / expected.norm().clamp(min=least))
    return float("inf") if math.isnan(share) else share
