"""Arranged weights of a model, kept until its weights change."""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

Arranged = TypeVar("Arranged")
_SAMPLED = 64
"""Values of each weight that are compared to notice a change, about."""


class _Kept:
    """What was arranged from the weights of a model, and how these weights were then."""

    def __init__(self, model: nn.Module):
        self.arranged: dict[str, Any] = {}
        weights = _weights(model)
        self._versions = _versions(weights)
        self._views = _views(weights)
        """Of the same memory as the weights: what changes there changes here."""
        self._sample = torch.cat(self._views)

    def is_of(self, model: nn.Module) -> bool:
        """Return whether the weights are the same. A change behind PyTorch's back (`weight.data`)
        has no version of its own, so a sample of the values is compared, too."""
        weights = _weights(model)
        if _versions(weights) != self._versions:
            return False
        has_views = all(weight.is_contiguous() for weight in weights)
        views = self._views if has_views else _views(weights)
        return torch.equal(torch.cat(views), self._sample)


_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def cached(model: nn.Module, name: str, make: Callable[[], Arranged]) -> Arranged:
    """Return the result of `make()`, cached under `name` for this model until its weights change.

    The result must not refer to the model, or the model is never freed.
    """
    with torch.no_grad(), torch.autocast("cpu", enabled=False):  # products of weights are exact
        kept = _kept.get(model)
        if kept is None or not kept.is_of(model):
            kept = _kept[model] = _Kept(model)
        if name not in kept.arranged:
            kept.arranged[name] = make()
    arranged: Arranged = kept.arranged[name]
    return arranged


def _weights(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _versions(weights: list[Tensor]) -> list[tuple[int, int]]:
    return [(weight.data_ptr(), weight._version) for weight in weights]


def _views(weights: list[Tensor]) -> list[Tensor]:
    """Return samples of the values of each weight."""
    every = [weight.detach().flatten() for weight in weights]
    return [flat[:: max(1, len(flat) // _SAMPLED)] for flat in every]
