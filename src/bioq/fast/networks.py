"""The networks of `models` on a CPU: from codes instead of one-hot windows, with less memory
traffic."""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from bioq.fast.convolutions import Convolutions
from bioq.fast.kmers import KmerConvolution, count_kmers
from bioq.fast.layers import PackedLinear, lift_, pool_width
from bioq.fast.recurrence import pack_lstm
from bioq.models.beluga import Beluga
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq

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
        self._model = copy.deepcopy(model).eval()
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
