"""Whether a fast path may compute instead of a model."""

import os
from weakref import WeakKeyDictionary

import torch
from torch import nn

from bioq.models import build_from_architecture
from bioq.models.families import PUBLISHED

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
    weights, buffers = list(model.parameters()), list(model.buffers())
    is_exact = (
        len({weight.device for weight in (*weights, *buffers)}) == 1
        and all(weight.dtype == torch.float32 for weight in weights)
        and not any(weight.is_inference() for weight in (*weights, *buffers))
    )
    is_hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    return is_exact and not is_hooked and _is_as_built(model)


_built: WeakKeyDictionary[nn.Module, list["_Layer"]] = WeakKeyDictionary()
"""Model -> the layers with which `models` builds it."""
_UNUSED = ("training", "p", "inplace")
"""Settings that do not change what a layer predicts; `p` is the share of a dropout."""


class _Layer:
    """The type and the settings of a layer as it was built."""

    def __init__(self, layer: nn.Module):
        self._type = type(layer)
        # Those of nn.Linear are in its weights.
        settings = {} if isinstance(layer, nn.Linear) else vars(layer)
        self._settings = {
            name: value
            for name, value in settings.items()
            if isinstance(value, bool | int | float | str | tuple) and name not in _UNUSED
        }.items()

    def is_as(self, layer: nn.Module) -> bool:
        """Return whether a layer has this type, its forward and these settings."""
        has = vars(layer)
        is_same = type(layer) is self._type and "forward" not in has
        return is_same and self._settings <= has.items()


def _is_as_built(model: nn.Module) -> bool:
    """Return whether a model has the layers and the forward with which `models` builds it: a user
    may have put another pooling layer in place of its own, or changed a setting."""
    if model not in _built:
        architecture: dict[str, object] = model.architecture  # type: ignore[assignment]
        if "source_sha256" in architecture:  # changed by a user, perhaps
            return False
        if architecture["name"] not in PUBLISHED:  # of a family that is not registered
            return True
        with torch.device("meta"):
            built = build_from_architecture(architecture)
        _built[model] = [_Layer(layer) for layer in built.modules()]
    layers, expected = list(model.modules()), _built[model]
    return len(layers) == len(expected) and all(map(_Layer.is_as, expected, layers))
