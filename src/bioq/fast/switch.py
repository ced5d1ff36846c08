"""Whether a fast path may compute instead of a model."""

import os
from weakref import WeakKeyDictionary

import torch
from torch import nn

from bioq.models import build_from_architecture
from bioq.models.families import PUBLISHED
from bioq.models.hard_lstm import HardLSTM

SWITCH = "BIOQ_PLAIN"
CUDA_SWITCH = "BIOQ_CUDA_FAST"


def switched_off() -> bool:
    """Return whether BIOQ_PLAIN in the environment switches the fast paths off."""
    return _is_set(SWITCH)


def cuda_switched_on() -> bool:
    """Return whether BIOQ_CUDA_FAST in the environment switches the fast path of a card on. It is
    off by default: no card has run it yet (`benchmarks/card.sh` is the check)."""
    return _is_set(CUDA_SWITCH)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def is_replaceable(model: nn.Module) -> bool:
    """Return whether a fast path may compute instead of a model, if the class of the model has
    one: float32 weights on one device, no hooks, the layers as built, not switched off."""
    if switched_off():
        return False
    weights = list(model.parameters())
    is_exact = len({weight.device for weight in weights}) == 1 and all(
        weight.dtype == torch.float32 and not weight.is_inference() for weight in weights
    )
    is_hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    return is_exact and not is_hooked and _is_as_built(model)


_built: WeakKeyDictionary[nn.Module, list[object]] = WeakKeyDictionary()
"""Model -> the layers with which `models` builds it."""


def _is_as_built(model: nn.Module) -> bool:
    """Return whether a model has the layers and the forward with which `models` builds it: a user
    may have put another pooling layer in place of its own."""
    if model not in _built:
        architecture: dict[str, object] = model.architecture  # type: ignore[assignment]
        if "source_sha256" in architecture:  # changed by a user, perhaps
            return False
        if architecture["name"] not in PUBLISHED:  # of a family that is not registered
            return True
        with torch.device("meta"):
            _built[model] = _layers(build_from_architecture(architecture))
    return _layers(model) == _built[model]


def _layers(model: nn.Module) -> list[object]:
    """Return the type and the sizes of every layer; those of nn.Linear are in its weights."""
    layers: list[object] = []
    for layer in model.modules():
        layers += (type(layer), "forward" in vars(layer))
        if isinstance(layer, nn.Conv1d | nn.MaxPool1d | nn.LSTM | HardLSTM):
            layers += [getattr(layer, name, None) for name in layer.__constants__]
    return layers
