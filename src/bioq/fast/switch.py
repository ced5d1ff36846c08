"""When a fast path may stand in for a model."""

import os

import torch
from torch import nn

from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA

SWITCH = "BIOQ_PLAIN"


def switched_off() -> bool:
    """Return whether BIOQ_PLAIN in the environment asks for the models as they are written."""
    return os.environ.get(SWITCH, "0") not in ("", "0")


def may_stand_in(model: nn.Module, families: tuple[type[nn.Module], ...] = (DanQ, DeepSEA)) -> bool:
    """Return whether a fast path of these classes of `models` may compute for a model: one of them,
    in float32 on one device, without hooks, and not switched off."""
    if switched_off() or type(model) not in families:
        return False
    weights = list(model.parameters())
    as_expected = len({weight.device for weight in weights}) == 1 and all(
        weight.dtype == torch.float32 and not weight.is_inference() for weight in weights
    )
    hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    return as_expected and not hooked
