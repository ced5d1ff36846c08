"""The gates of an LSTM on a CPU, from sums in which the weights are scaled.

PyTorch computes a sigmoid in a sixth of the time of a tanh, and clips in less. So the weights of
each gate are multiplied by its `scale` and its bias is moved by its `shift` beforehand: tanh(x) is
2 sigmoid(2 x) - 1, and a hard gate clip(0.2 x + 0.5, 0, 1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bioq.models.hard_lstm import MIDDLE, SLOPE, HardLSTM


@dataclass(frozen=True)
class Gates:
    """How gates are computed. Sums are `(n, 4 * units)`, in PyTorch's order: in, forget, cell,
    out. Both functions overwrite them."""

    scale: tuple[float, float, float, float]
    shift: tuple[float, float, float, float]
    open: Callable[[Tensor], tuple[Tensor, Tensor]]
    """`(sums)` -> for each step, what enters the cell and the share that it keeps, `(n, units)`."""
    advance: Callable[[Tensor, Tensor, Tensor], None]
    """`(sums, hidden, cell)`: replace the states `(n, units)` by those of the next step."""

    def arranged(self, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of the inputs, of the states and the bias, scaled, of
        `[weight_ih, weight_hh, bias_ih, bias_hh]`."""
        into, recurrent, of_input, of_state = (weight.detach() for weight in weights)
        units = recurrent.shape[1]
        scale, shift = (
            into.new_tensor(values).repeat_interleave(units) for values in (self.scale, self.shift)
        )
        bias = (of_input + of_state) * scale + shift
        return into * scale[:, None], recurrent * scale[:, None], bias


def gates_of(lstm: nn.LSTM | HardLSTM) -> Gates:
    """Return the gates of an LSTM."""
    return _HARD if isinstance(lstm, HardLSTM) else _SIGMOID


def _open_sigmoid(sums: Tensor) -> tuple[Tensor, Tensor]:
    entry, keep, new, _ = sums.sigmoid_().chunk(4, dim=1)
    return entry * (2 * new - 1), keep


def _advance_sigmoid(sums: Tensor, hidden: Tensor, cell: Tensor) -> None:
    entry, keep, new, out = sums.sigmoid_().chunk(4, dim=1)
    cell.mul_(keep).addcmul_(entry, new, value=2).sub_(entry)
    torch.mul(cell, 2, out=hidden)
    hidden.sigmoid_().mul_(2).sub_(1).mul_(out)


def _open_hard(sums: Tensor) -> tuple[Tensor, Tensor]:
    entry, keep, new, _ = sums.chunk(4, dim=1)
    return entry.clamp_(0, 1) * new.tanh_(), keep.clamp_(0, 1)


def _advance_hard(sums: Tensor, hidden: Tensor, cell: Tensor) -> None:
    entry, keep, new, out = sums.chunk(4, dim=1)
    cell.mul_(keep.clamp_(0, 1)).addcmul_(entry.clamp_(0, 1), new.tanh_())
    torch.tanh(cell, out=hidden).mul_(out.clamp_(0, 1))


_SIGMOID = Gates((1, 1, 2, 1), (0, 0, 0, 0), _open_sigmoid, _advance_sigmoid)
_HARD = Gates((SLOPE, SLOPE, 1, SLOPE), (MIDDLE, MIDDLE, 0, MIDDLE), _open_hard, _advance_hard)
