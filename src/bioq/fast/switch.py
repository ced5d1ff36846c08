"""Whether a fast path may compute instead of a model."""

import os

import torch
from torch import nn

SWITCH = "BIOQ_PLAIN"


def switched_off() -> bool:
    """Return whether BIOQ_PLAIN in the environment switches the fast paths off."""
    return os.environ.get(SWITCH, "0") not in ("", "0")


def is_replaceable(model: nn.Module) -> bool:
    """Return whether a fast path may compute instead of a model, if the class of the model has
    one: float32 weights on one device, no hooks, not switched off."""
    if switched_off():
        return False
    weights = list(model.parameters())
    is_exact = len({weight.device for weight in weights}) == 1 and all(
        weight.dtype == torch.float32 and not weight.is_inference() for weight in weights
    )
    is_hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    return is_exact and not is_hooked
