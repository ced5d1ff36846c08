"""The networks of `models` on a CPU: from codes instead of one-hot windows, with less memory
traffic."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.convolutions import Convolutions
from bioq.fast.kmers import KmerConvolution, count_kmers
from bioq.fast.layers import PackedLinear, PackedMatrix, copied, lift_, pool_width
from bioq.fast.recurrence import pack_lstm
from bioq.models.beluga import Beluga
from bioq.models.danq import DanQ
from bioq.models.deepatt import DeepATT, TargetAttention
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq

_DEEPATT_WINDOWS = 4
"""Windows whose attention weights, one per target, head and position, stay in the processor's
cache."""
MARQ_WINDOWS = 32
"""Windows whose scores, one per position and target, stay in the processor's cache."""


class FastDanQ:
    """A DanQ that reads codes."""

    def __init__(self, model: DanQ, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self._lstm = pack_lstm(model.lstm, dtype)
        self._dense = PackedLinear(model.dense, dtype)
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        read = self._lstm(self._convolution(codes))
        hidden = functional.relu(self._dense(torch.flatten(read, 1)))
        return self._output(hidden).float()


class FastConvolutions:
    """A DeepSEA or a Beluga that reads codes."""

    def __init__(self, model: DeepSEA | Beluga, dtype: torch.dtype):
        layers = Convolutions(model)
        self._floor = layers.floor
        self._first, self._others = layers.kmers(dtype), layers.following(dtype)
        self._at_once = layers.windows_at_once
        self._dense = PackedLinear(model.dense, dtype)
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        parts = [self._flat(part) for part in torch.split(codes, self._at_once)]
        hidden = lift_(self._dense(torch.cat(parts)), self._floor).relu_()
        return self._output(hidden).float()

    def _flat(self, codes: Tensor) -> Tensor:
        """Return the inputs of the dense layer."""
        maps = self._first(codes).transpose(1, 2)  # (n, filter, position)
        for convolve in self._others:
            maps = convolve(maps)
        return torch.flatten(maps, 1)


class FastMarq:
    """A Marq that reads codes. The layers after the LSTM are the model's, a few windows at a
    time."""

    def __init__(self, model: Marq, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self._lstm = pack_lstm(model.lstm, dtype)
        self._model = copied(model)
        self._dtype = dtype

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        maps = self._convolution(codes)  # (n, position, filter)
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            read = self._lstm(self._model.norm(maps).to(self._dtype))
            pieces = [self._model.after_lstm(piece) for piece in torch.split(read, MARQ_WINDOWS)]
        logits = torch.cat(pieces).float()
        if self._model.composition is None:
            return logits
        return self._model.mixed(logits, self._model.composition.of_counts(*count_kmers(codes)))


class FastDeepATT:
    """A DeepATT that reads codes.

    Between the values of the attention and the ReLU of the first dense layer everything is linear:
    values, their weighted sum over the positions, `merge`, `dense`. So the values of each head are
    multiplied by the weights of all three beforehand, once per position instead of once per target.
    """

    def __init__(self, model: DeepATT, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self._lstm = pack_lstm(model.lstm, dtype)
        attention = model.attention
        query = (attention.query.weight.t() + attention.query.bias).detach()  # (target, units)
        heads, targets, units = attention.heads, *query.shape
        width = units // heads
        self._queries = (query * width**-0.5).view(targets, heads, width).transpose(0, 1).to(dtype)
        self._keys = PackedLinear(attention.key, dtype)
        of_values, self._bias = _values_to_hidden(attention, model.dense)
        self._values = PackedMatrix(of_values.flatten(0, 1).to(dtype))
        self._output, self._output_bias = (
            part.detach().clone() for part in (model.output.weight, model.output.bias)
        )

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        read = self._lstm(self._convolution(codes))
        pieces = [self._after_lstm(piece) for piece in torch.split(read, _DEEPATT_WINDOWS)]
        return torch.cat(pieces)

    def _after_lstm(self, read: Tensor) -> Tensor:
        """Return logits of the LSTM's output `(n, position, inputs)`."""
        heads, rows = len(self._queries), read.flatten(0, 1)
        keys, values = (
            part.view(*read.shape[:2], heads, part.shape[1] // heads).permute(0, 2, 3, 1)
            for part in (self._keys(rows), self._values(rows))
        )  # (n, head, width, position)
        weights = torch.softmax(self._queries @ keys, dim=3)  # (n, head, target, position)
        hidden = (weights @ values.transpose(2, 3)).sum(dim=1).float().add_(self._bias).relu_()
        return torch.einsum("ntf,tf->nt", hidden, self._output) + self._output_bias


def _values_to_hidden(attention: TargetAttention, dense: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return the weights from the inputs of an attention to the sums of the dense layer after it,
    by head, `(head, dense, inputs)`, and the bias of the sums `(dense,)`.

    The weights of an attention add up to 1 over the positions, so the bias of the values is added
    once.
    """
    value, merge = attention.value, attention.merge
    onward = (dense.weight @ merge.weight).detach()  # (dense, units)
    bias = (onward @ value.bias + dense.weight @ merge.bias + dense.bias).detach()
    of_head = onward.view(len(onward), attention.heads, -1).transpose(0, 1)  # (head, dense, width)
    return of_head @ value.weight.detach().view(attention.heads, -1, value.in_features), bias
