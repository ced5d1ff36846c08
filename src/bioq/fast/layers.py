"""The models on a CPU: what `models` defines, from codes, with less memory traffic."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.kmers import KmerConvolution
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA

_PACK_FOR = 64
"""Rows that oneDNN is told to expect when it packs weights; any number may come."""
_PACKED_FROM = 8
"""With fewer rows than this, reading the weights is what takes the time, packed or not."""


class FastDanQ:
    """A DanQ that reads codes."""

    def __init__(self, model: DanQ, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self._lstm = _in_dtype(model.lstm, dtype)
        self._dense = PackedLinear(model.dense, dtype)
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        read, _ = self._lstm(self._convolution(codes))
        hidden = functional.relu(self._dense(torch.flatten(read, 1)))
        return self._output(hidden).float()


class FastDeepSEA:
    """A DeepSEA that reads codes."""

    def __init__(self, model: DeepSEA, dtype: torch.dtype):
        self._pool_width = pool_width(model.pool)
        self._first = KmerConvolution(model.conv1, self._pool_width, dtype)
        self._second, self._third = _in_dtype(model.conv2, dtype), _in_dtype(model.conv3, dtype)
        self._dense = PackedLinear(model.dense, dtype)
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        found = self._first(codes).transpose(1, 2)  # (n, filter, position)
        found = functional.relu(functional.max_pool1d(self._second(found), self._pool_width))
        found = functional.relu(self._third(found))
        hidden = functional.relu(self._dense(torch.flatten(found, 1)))
        return self._output(hidden).float()


class PackedMatrix:
    """Weights `(outputs, inputs)` that oneDNN has packed once, not at every call."""

    def __init__(self, weights: Tensor):
        self._weights = weights
        self._packed: Any = None
        try:  # PyTorch's own, which torch.compile uses; not in every build
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self._packed = reorder(weights.contiguous(), _PACK_FOR)
        except (AttributeError, NotImplementedError, RuntimeError):
            pass

    def __call__(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return `(n, outputs)` of `(n, inputs)`."""
        if self._packed is None or len(rows) < _PACKED_FROM:
            return functional.linear(rows, self._weights, bias)
        packed: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._packed, bias, "none", [], ""
        )
        return packed


class PackedLinear:
    """A linear layer of packed weights."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype):
        layer = _in_dtype(layer, dtype)
        self._weights = PackedMatrix(layer.weight.detach())
        self._bias = layer.bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Return `(n, outputs)` of `(n, inputs)`."""
        return self._weights(rows, self._bias)


def _in_dtype(layer: Any, dtype: torch.dtype) -> Any:
    """Return the layer itself, or a copy of it in another dtype."""
    if next(layer.parameters()).dtype == dtype:
        return layer
    return copy.deepcopy(layer).to(dtype)


def pool_width(pool: nn.MaxPool1d) -> int:
    width = pool.kernel_size
    return width if isinstance(width, int) else width[0]
