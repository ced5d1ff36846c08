"""Windows and edits of them through a DeepSEA or a Beluga."""

import torch
from torch import Tensor
from torch.nn import functional

from bioq.fast.convolutions import Convolutions
from bioq.fast.layers import PackedLinear, in_dtype, lift_
from bioq.models.beluga import Beluga
from bioq.models.deepsea import DeepSEA


class EditedConvolutions:
    """A DeepSEA or a Beluga that computes windows and, of their edits, the positions that a change
    reaches."""

    def __init__(self, model: DeepSEA | Beluga, dtype: torch.dtype):
        layers = Convolutions(model)
        self._convolution = layers.kmers(dtype)
        self._floor = layers.floor
        self.reach = layers.first.reach
        self._layers = layers.following(dtype)
        dense = in_dtype(model.dense, dtype)
        weights = dense.weight.detach().view(-1, layers.filters, layers.positions)
        self._dense_weights = weights.transpose(1, 2).flatten(1)  # by position, then filter
        self._bias = dense.bias.detach()
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        """See `paths.EditedNetwork`."""
        width, pool = self.reach.width, self.reach.pool_width
        maps = self._convolution(codes)[:, : self.reach.positions].transpose(1, 2)
        piece = self._convolution(edited[:, low * pool : high * pool + width - 1]).transpose(1, 2)
        for convolve in self._layers:
            reach = convolve.reach
            begin, end = reach.span(low, high - 1)
            start, stop = begin * reach.pool_width, end * reach.pool_width + reach.width - 1
            around = maps[:, :, start:stop][of]
            seen = slice(max(low, start), min(high, stop))
            around[:, :, seen.start - start : seen.stop - start] = piece[
                :, :, seen.start - low : seen.stop - low
            ]
            maps, piece = convolve(maps), convolve(around)
            low, high = int(begin), int(end)
        piece -= maps[:, :, low:high][of]
        weights, filters = self._dense_weights, maps.shape[1]
        of_windows = functional.linear(maps.transpose(1, 2).flatten(1), weights, self._bias)
        change = functional.linear(
            piece.transpose(1, 2).flatten(1), weights[:, low * filters : high * filters]
        )
        hidden = torch.cat([of_windows, of_windows[of] + change])
        return self._output(lift_(hidden, self._floor).relu_()).float()
