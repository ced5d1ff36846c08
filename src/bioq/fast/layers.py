"""The models on a CPU: what `models` defines, from codes, with less memory traffic."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.kmers import KmerConvolution, count_kmers
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq

_PACK_FOR = 64
"""Rows that oneDNN is told to expect when it packs weights; any number may come."""
_PACKED_FROM = 2
"""One row is a product of matrix and vector: reading the weights takes the time, packed or not."""
_MARQ_WINDOWS = 32
"""Windows whose scores, a number for each position and target, stay in cache."""
_LSTM_MODE = 2
"""PyTorch's number for an LSTM among its recurrent layers."""


class FastDanQ:
    """A DanQ that reads codes."""

    def __init__(self, model: DanQ, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self._lstm = PackedLSTM(model.lstm, dtype)
        self._dense = PackedLinear(model.dense, dtype)
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        read = self._lstm(self._convolution(codes))
        hidden = functional.relu(self._dense(torch.flatten(read, 1)))
        return self._output(hidden).float()


class FastDeepSEA:
    """A DeepSEA that reads codes."""

    def __init__(self, model: DeepSEA, dtype: torch.dtype):
        self._pool_width = pool_width(model.pool)
        self._first = KmerConvolution(model.conv1, self._pool_width, dtype)
        self._second, self._third = in_dtype(model.conv2, dtype), in_dtype(model.conv3, dtype)
        self._dense = PackedLinear(model.dense, dtype)
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        found = self._first(codes).transpose(1, 2)  # (n, filter, position)
        found = functional.relu(functional.max_pool1d(self._second(found), self._pool_width))
        found = functional.relu(self._third(found))
        hidden = functional.relu(self._dense(torch.flatten(found, 1)))
        return self._output(hidden).float()


class FastMarq:
    """A Marq that reads codes: its head as it is, a few windows at a time."""

    def __init__(self, model: Marq, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self._lstm = PackedLSTM(model.lstm, dtype)
        self._model = copy.deepcopy(model).eval()
        self._dtype = dtype

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        found = self._convolution(codes)  # (n, position, filter)
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            read = self._lstm(self._model.norm(found).to(self._dtype))
            pieces = [self._model.after_lstm(piece) for piece in torch.split(read, _MARQ_WINDOWS)]
        own = torch.cat(pieces).float()
        if self._model.composition is None:
            return own
        return self._model.mixed(own, self._model.composition.of_counts(*count_kmers(codes)))


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
        layer = in_dtype(layer, dtype)
        self._weights = PackedMatrix(layer.weight.detach())
        self._bias = layer.bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Return `(n, outputs)` of `(n, inputs)`."""
        return self._weights(rows, self._bias)


class PackedLSTM:
    """An LSTM of both directions whose weights oneDNN has packed once, not at every call."""

    def __init__(self, lstm: nn.LSTM, dtype: torch.dtype):
        self._lstm = in_dtype(lstm, dtype)
        self._layers: list[list[Any]] = []
        try:  # PyTorch's own, as above
            self._layers = [
                [self._packed(f"l{layer}{end}") for end in ("", "_reverse")]
                for layer in range(lstm.num_layers)
            ]
            self(self._lstm.weight_ih_l0.new_zeros((1, 1, lstm.input_size)))
        except (AttributeError, NotImplementedError, RuntimeError):
            self._layers = []

    def __call__(self, found: Tensor) -> Tensor:
        """Return `(n, position, 2 * units)` of `(n, position, filter)`."""
        if not self._layers or not len(found):
            read: Tensor = self._lstm(found)[0]
            return read
        read = found.transpose(0, 1).contiguous()
        for directions in self._layers:
            read = torch.cat([self._one_way(read, *direction) for direction in directions], dim=2)
        return read.transpose(0, 1)

    def _packed(self, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor, bool]:
        """Return the weights and biases of a direction of a layer, and whether it is backwards."""
        of_input, of_state, *biases = (
            getattr(self._lstm, f"{kind}_{name}").detach()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        backwards, units = name.endswith("_reverse"), self._lstm.hidden_size
        reorder = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight
        return (*reorder(of_input, of_state, units, backwards, True, False), *biases, backwards)

    def _one_way(self, read: Tensor, *direction: Any) -> Tensor:
        """Return `(position, n, units)` of `(position, n, inputs)`."""
        *weights, backwards = direction
        units = self._lstm.hidden_size
        start = read.new_zeros((1, read.shape[1], units))
        states: Tensor = torch.ops.aten.mkldnn_rnn_layer(
            read,
            *weights,
            start,
            start,
            backwards,
            [],
            _LSTM_MODE,
            units,
            1,
            True,
            False,
            False,
            False,
        )[0]  # with biases; one direction, positions first, no training
        return states


def in_dtype(layer: Any, dtype: torch.dtype) -> Any:
    """Return the layer itself, or a copy of it in another dtype."""
    if next(layer.parameters()).dtype == dtype:
        return layer
    return copy.deepcopy(layer).to(dtype)


def pool_width(pool: nn.MaxPool1d) -> int:
    width = pool.kernel_size
    return width if isinstance(width, int) else width[0]
