"""Layers on a CPU, arranged for repeated use."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.onednn import pack_direction, pack_matrix, packed

_PACKED_FROM = 2
"""A product of a matrix and one row takes the time of reading the weights, packed or not."""


class PackedMatrix:
    """Weights `(outputs, inputs)`, packed if oneDNN is available."""

    def __init__(self, weights: Tensor):
        self._weights = weights
        self._packed = packed(lambda: pack_matrix(weights))

    def __call__(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return `(n, outputs)` of `(n, inputs)`."""
        if self._packed is None or len(rows) < _PACKED_FROM:
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


class PackedLSTM:
    """A bidirectional LSTM, its weights packed if oneDNN is available."""

    def __init__(self, lstm: nn.LSTM, dtype: torch.dtype):
        self._lstm = in_dtype(lstm, dtype)
        self._layers = packed(self._pack)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return `(n, position, 2 * units)` of `(n, position, filter)`."""
        if self._layers is None or not len(inputs):
            read: Tensor = self._lstm(inputs)[0]
            return read
        read = inputs.transpose(0, 1).contiguous()
        for directions in self._layers:
            read = torch.cat([read_direction(read) for read_direction in directions], dim=2)
        return read.transpose(0, 1)

    def _pack(self) -> list[list[Callable[[Tensor], Tensor]]]:
        """Return, for each layer, the functions that read it forward and backward."""
        return [
            [pack_direction(self._lstm, layer, backward=backward) for backward in (False, True)]
            for layer in range(self._lstm.num_layers)
        ]


def read_lstm(
    inputs: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Read inputs `(n, position, width)` with one layer of an LSTM, as PyTorch computes it.

    `states` are the hidden and the cell state to start from, each `(directions, n, units)`;
    `weights` are those of one or both directions, as `nn.LSTM.all_weights` has them. Returns the
    output `(n, position, directions * units)` and the two states at the end.
    """
    read: tuple[Tensor, Tensor, Tensor] = torch.lstm(
        inputs,
        tuple(states),
        list(weights),
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=False,
        bidirectional=len(states[0]) == 2,
        batch_first=True,
    )
    return read


def in_dtype(layer: Any, dtype: torch.dtype) -> Any:
    """Return the layer itself, or a copy of it in another dtype."""
    if next(layer.parameters()).dtype == dtype:
        return layer
    return copy.deepcopy(layer).to(dtype)


def pool_width(pool: nn.MaxPool1d) -> int:
    """Return the positions of which a pooling layer keeps the largest."""
    width = pool.kernel_size
    return width if isinstance(width, int) else width[0]
