"""Windows and edits of them through a DanQ of one LSTM layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import PackedLinear, in_dtype, pool_width
from bioq.fast.reach import Reach
from bioq.fast.recurrence import direction_readers
from bioq.models.danq import DanQ
from bioq.models.hard_lstm import HardLSTM


class EditedLSTM:
    """A bidirectional LSTM of one layer that reads windows and their edits together.

    The forward LSTM reads the positions before the edits once per window, and continues from the
    state of the window for every edit; the backward LSTM does the same from the end.
    """

    def __init__(self, lstm: nn.LSTM | HardLSTM, dtype: torch.dtype):
        self._units = lstm.hidden_size
        self._readers = direction_readers(lstm, 0, dtype)

    def __call__(
        self, maps: Tensor, piece: Tensor, of: Tensor, low: int, high: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the outputs of the two directions, by position.

        `maps` are the inputs of the windows `(n, position, filter)`, `piece` those of the edits of
        windows `of` `(m,)` at the positions [low, high). Forward: outputs of windows before `low`,
        `(n, low, units)`, then of windows and edits from `low` on, `(n + m, ..., units)`. Backward:
        of windows from `high` on, then of windows and edits before `high`.
        """
        onward = torch.cat([maps[:, low:], torch.cat([piece, maps[of, high:]], dim=1)])
        back = torch.cat([maps[:, :high], torch.cat([maps[of, :low], piece], dim=1)]).flip(1)
        window = torch.cat([torch.arange(len(maps)), of])  # of every row of the result
        forward = self._read(0, maps[:, :low], onward, window)
        backward = self._read(1, maps[:, high:].flip(1), back, window)
        return forward, [read.flip(1) for read in backward]

    def _read(self, way: int, shared: Tensor, following: Tensor, window: Tensor) -> list[Tensor]:
        """Read with one direction of the LSTM (0 forward, 1 backward), in reading order.

        `shared` are the positions that edits share with their window, `(n, position, filter)`,
        `following` the positions after these, of windows and edits, `(n + m, position, filter)`.
        Returns the outputs for `shared` and for `following`.
        """
        read_on = self._readers[way]
        states = [shared.new_zeros((len(shared), self._units))] * 2
        read = shared.new_empty((len(shared), 0, self._units))
        if shared.shape[1]:
            read, *states = read_on(shared, *states)
        hidden, cell = (state[window] for state in states)
        return [read, read_on(following, hidden, cell)[0]]


class EditedDanQ:
    """A DanQ of one LSTM layer that computes windows and their edits together."""

    def __init__(self, model: DanQ, dtype: torch.dtype):
        units = model.lstm.hidden_size
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self.reach = Reach(self._convolution.width, self._convolution.pool_width, model.positions)
        self._lstm = EditedLSTM(model.lstm, dtype)
        self._output = PackedLinear(model.output, dtype)
        dense = in_dtype(model.dense, dtype)
        weights = dense.weight.detach().view(-1, model.positions, 2, units)
        self._dense_weights = [weights[:, :, way].flatten(1) for way in range(2)]
        self._bias = dense.bias.detach()

    @staticmethod
    def can_compute(model: DanQ) -> bool:
        """Return whether the states of a window can be continued: not with two LSTM layers, where
        an edit changes all that the second layer reads."""
        return model.lstm.num_layers == 1

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        """See `paths.EditedNetwork`."""
        width, pool = self.reach.width, self.reach.pool_width
        maps = self._convolution(codes)  # (n, position, filter)
        piece = self._convolution(edited[:, low * pool : high * pool + width - 1])
        forward, backward = self._lstm(maps, piece, of, low, high)
        window = torch.cat([torch.arange(len(codes)), of])  # of every row of the result
        hidden = self._hidden(forward, backward, window).relu_()
        return self._output(hidden.to(maps.dtype)).float()

    def _hidden(self, forward: list[Tensor], backward: list[Tensor], window: Tensor) -> Tensor:
        """Return the dense layer before its ReLU, float32 `(n + m, units)`."""
        of_forward, of_backward = self._dense_weights
        split = forward[0][0].numel()
        hidden = functional.linear(forward[0].flatten(1), of_forward[:, :split], self._bias).float()
        end = backward[1][0].numel()
        hidden += functional.linear(backward[0].flatten(1), of_backward[:, end:])
        hidden = hidden[window]
        hidden += functional.linear(forward[1].flatten(1), of_forward[:, split:])
        hidden += functional.linear(backward[1].flatten(1), of_backward[:, :end])
        return hidden
