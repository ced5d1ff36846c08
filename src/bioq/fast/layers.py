"""Layers on a CPU, arranged for repeated use."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.onednn import pack_matrix, packed

Network = TypeVar("Network", bound=nn.Module)
_PACKED_FROM = 4
"""Rows from which packed weights are faster in float32: with fewer, reading the weights takes the
time, and oneDNN reads its own order more slowly. In bf16 the packed ones are always faster, 4 times
with one row (docs/log/performance.md, 2026-11-30)."""


class PackedMatrix:
    """Weights `(outputs, inputs)`, packed if oneDNN is available."""

    def __init__(self, weights: Tensor):
        self._weights = weights
        self._packed = packed(lambda: pack_matrix(weights))

    def __call__(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return `(n, outputs)` of `(n, inputs)`."""
        few = len(rows) < _PACKED_FROM and rows.dtype == torch.float32
        if self._packed is None or few:
            return functional.linear(rows, self._weights, bias)
        return self._packed(rows, bias)


class PackedLinear:
    """A linear layer of packed weights."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype):
        layer = in_dtype(layer, dtype)
        self._weights = PackedMatrix(layer.weight.detach())
        self._bias = layer.bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Return `(n, outputs)` of `(n, inputs)`."""
        return self._weights(rows, self._bias)


def in_dtype(layer: Any, dtype: torch.dtype) -> Any:
    """Return the layer itself, or a copy of it in another dtype."""
    if next(layer.parameters()).dtype == dtype:
        return layer
    return copy.deepcopy(layer).to(dtype)


def copied(model: Network) -> Network:
    """Return a copy of a network in eval mode. Only its layers and weights are copied: what a user
    has set on it besides (a lock, an open file) may have no copy."""
    network = copy.copy(model)
    for part in ("_parameters", "_buffers", "_modules"):
        setattr(network, part, copy.deepcopy(getattr(model, part)))
    return network.eval()


def lift_(sums: Tensor, floor: float) -> Tensor:
    """Replace in place the sums that are not above 0 by the floor, if a network has one; what
    follows in every network is a ReLU. Before pooling, as the model does: with a floor the two
    orders differ."""
    return functional.threshold(sums, 0.0, floor, inplace=True) if floor else sums


def pool_width(pool: nn.MaxPool1d) -> int:
    """Return the positions of which a pooling layer keeps the largest."""
    width = pool.kernel_size
    return width if isinstance(width, int) else width[0]
