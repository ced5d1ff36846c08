"""Arranged weights of a model, kept until its weights change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

Arranged = TypeVar("Arranged")
_SAMPLED = 1024
"""Values of each weight that are summed to notice a change, about."""


@dataclass(frozen=True)
class _Entry:
    arranged: Any
    state: tuple[object, ...]


_entries: WeakKeyDictionary[nn.Module, dict[str, _Entry]] = WeakKeyDictionary()


def cached(model: nn.Module, name: str, make: Callable[[], Arranged]) -> Arranged:
    """Return the result of `make()`, cached under `name` for this model until its weights change.

    The result must not refer to the model, or the model is never freed.
    """
    state = _state(model)
    entries = _entries.setdefault(model, {})
    if name not in entries or entries[name].state != state:
        with torch.no_grad():
            entries[name] = _Entry(make(), state)
    arranged: Arranged = entries[name].arranged
    return arranged


def _state(model: nn.Module) -> tuple[object, ...]:
    """Return values that change with a weight: addresses, version counters, sums of samples."""
    state: list[object] = []
    sums = []
    for weight in (*model.parameters(), *model.buffers()):
        flat = weight.detach().flatten()
        sums.append(flat[:: max(1, len(flat) // _SAMPLED)].sum(dtype=torch.float64))
        state += [weight.data_ptr(), weight._version]
    return (*state, *torch.stack(sums).tolist())  # all in one transfer from a card
