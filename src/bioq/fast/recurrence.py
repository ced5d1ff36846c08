"""LSTMs on a CPU: all positions in both directions, or one direction from any state."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bioq.fast.gates import gates_of
from bioq.fast.layers import PackedMatrix, in_dtype
from bioq.fast.onednn import pack_direction, packed
from bioq.models.hard_lstm import HardLSTM, direction_weights

Reader = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Reads one layer in one direction: inputs `(n, position, width)` in reading order, the hidden and
the cell state to start from, `(n, units)` -> outputs `(n, position, units)` and both states."""


def pack_lstm(lstm: nn.LSTM | HardLSTM, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return a function from inputs `(n, position, width)` to states `(n, position, 2 * units)`,
    both in `dtype`."""
    return PackedHardLSTM(lstm, dtype) if isinstance(lstm, HardLSTM) else PackedLSTM(lstm, dtype)


_PAIR = 2
"""Windows that are read one at a time in float32: oneDNN multiplies a single state by another
kernel, and two of these take 0.7 of the time of a pair; three or more take longer."""


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
        if len(inputs) == _PAIR and inputs.dtype == torch.float32:
            return torch.cat([self(window[None]) for window in inputs])
        read = inputs.transpose(0, 1).contiguous()
        zeros = inputs.new_zeros((len(inputs), self._lstm.hidden_size))
        for directions in self._layers:
            read = torch.cat([reader(read, zeros, zeros)[0] for reader in directions], dim=2)
        return read.transpose(0, 1)

    def _pack(self) -> list[list[Reader]]:
        """Return, for each layer, the functions that read it forward and backward, positions
        first."""
        every = (direction_weights(self._lstm, layer) for layer in range(self._lstm.num_layers))
        return [
            [pack_direction(forward), pack_direction(backward, backward=True)]
            for forward, backward in every
        ]


class PackedHardLSTM:
    """A bidirectional LSTM with hard gates, its weights packed if oneDNN is available."""

    def __init__(self, lstm: HardLSTM, dtype: torch.dtype):
        self._layers = [direction_readers(lstm, layer, dtype) for layer in range(lstm.num_layers)]
        self._units = lstm.hidden_size

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return `(n, position, 2 * units)` of `(n, position, filter)`."""
        read, zeros = inputs, inputs.new_zeros((len(inputs), self._units))
        for forward, backward in self._layers:
            onward = forward(read, zeros, zeros)[0]
            back = backward(read.flip(1), zeros, zeros)[0].flip(1)
            read = torch.cat([onward, back], dim=2)
        return read


def direction_readers(
    lstm: nn.LSTM | HardLSTM, layer: int, dtype: torch.dtype
) -> tuple[Reader, Reader]:
    """Return the readers of a layer, forward and backward, which read and return `dtype`."""
    forward, backward = direction_weights(lstm, layer)
    if isinstance(lstm, HardLSTM):
        return _HardReader(lstm, forward, dtype), _HardReader(lstm, backward, dtype)
    return _UsualReader(forward, dtype), _UsualReader(backward, dtype)


class _UsualReader:
    """One direction of one layer of an `nn.LSTM`, its weights packed if oneDNN is available."""

    def __init__(self, weights: Sequence[Tensor], dtype: torch.dtype):
        self._weights = [weight.detach().to(dtype) for weight in weights]
        self._packed = packed(lambda: pack_direction(self._weights))

    def __call__(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Reader`."""
        if self._packed is not None and inputs.numel():
            read, hidden, cell = self._packed(inputs.transpose(0, 1).contiguous(), hidden, cell)
            return read.transpose(0, 1), hidden, cell
        read, hidden, cell = torch.lstm(
            inputs,
            (hidden[None], cell[None]),
            self._weights,
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=False,
            bidirectional=False,
            batch_first=True,
        )
        return read, hidden[0], cell[0]


_FEW_EXACT, _FEW_ROUNDED = 12, 8
"""With at most so many windows, the steps of a `HardLSTM` multiply by float32 weights that are not
packed: oneDNN's call takes longer than so small a product (docs/log/performance.md, 2026-11-30).
The first number is for float32, the second for bf16, there only with more than one thread."""


class _HardReader:
    """One direction of one layer of a `HardLSTM`. Cells and sums are float32 in any dtype."""

    def __init__(self, lstm: HardLSTM, weights: Sequence[Tensor], dtype: torch.dtype):
        self._gates, self._dtype = gates_of(lstm), dtype
        into, recurrent, bias = self._gates.arranged(weights)
        self._into, self._bias = PackedMatrix(into.to(dtype)), bias.to(dtype)
        self._recurrent, self._of_few = PackedMatrix(recurrent.to(dtype)), recurrent.t()

    def __call__(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Reader`."""
        windows, positions, _ = inputs.shape
        steps = inputs.transpose(0, 1).flatten(0, 1)
        sums_of_inputs = self._into(steps, self._bias).float()
        every = sums_of_inputs.view(positions, windows, 4 * hidden.shape[1])
        states = every.new_empty((positions, *hidden.shape))
        state, cell, is_few = hidden.float(), cell.float().clone(), self._is_few(windows)
        for sums, after in zip(every, states, strict=True):
            if is_few:
                sums.addmm_(state, self._of_few)
            else:
                sums.add_(self._recurrent(state.to(self._dtype)))
            self._gates.advance(sums, after, cell)
            state = after
        return states.transpose(0, 1).to(self._dtype), state.to(self._dtype), cell

    def _is_few(self, windows: int) -> bool:
        if self._dtype == torch.float32:
            return windows <= _FEW_EXACT
        return windows <= _FEW_ROUNDED and torch.get_num_threads() > 1
