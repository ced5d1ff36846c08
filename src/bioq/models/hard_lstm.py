"""An LSTM with hard gates: that of early Keras, in which DanQ was trained."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.models.sizes import SecondLstm

SLOPE, MIDDLE = 0.2, 0.5
"""A hard gate is clip(SLOPE * x + MIDDLE, 0, 1): `hard_sigmoid` of Keras 0.2 and Theano. PyTorch's
`nn.Hardsigmoid` has the slope 1/6."""


class HardLSTM(nn.Module):
    """An LSTM in two directions whose input, forget and output gates are hard sigmoids; the cell
    and the output use tanh. Its weights have the names, shapes, order and random start of
    `nn.LSTM`'s.

    `second` "forward" reads the positions twice from the first to the last, with the two weights:
    what the published wrapper of DanQ's LSTM does, which reverses the batch.
    """

    __constants__ = ("hidden_size", "num_layers", "second")

    def __init__(self, inputs: int, units: int, layers: int, *, second: SecondLstm = "backward"):
        super().__init__()
        self.second = second
        self.hidden_size, self.num_layers = units, layers
        usual = nn.LSTM(inputs, units, layers, batch_first=True, bidirectional=True)
        for name, weight in usual.named_parameters():
            self.register_parameter(name, weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return states `(batch, position, 2 * units)` of inputs `(batch, position, width)`."""
        read = inputs
        for layer in range(self.num_layers):
            read = _read_layer(read, direction_weights(self, layer), self.second)
        return read


def direction_weights(
    lstm: nn.LSTM | HardLSTM, layer: int
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the weights of a layer, forward and backward, each as
    `[weight_ih, weight_hh, bias_ih, bias_hh]`."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    forward, backward = (
        [lstm.get_parameter(f"{kind}_l{layer}{end}") for kind in kinds] for end in ("", "_reverse")
    )
    return forward, backward


def _read_layer(
    inputs: Tensor, directions: Sequence[Sequence[Tensor]], second: SecondLstm
) -> Tensor:
    """Return the states of one layer: both directions, side by side at each step."""
    is_backward = second == "backward"
    read = [
        functional.linear(steps, into, of_inputs + of_states)
        for steps, (into, _, of_inputs, of_states) in zip(
            (inputs, inputs.flip(1) if is_backward else inputs), directions, strict=True
        )
    ]
    gates = torch.stack(read).permute(2, 0, 1, 3)  # (step, direction, batch, 4 * units)
    recurrent = torch.stack([weights[1].t() for weights in directions])
    hidden = gates.new_zeros((*gates.shape[1:3], recurrent.shape[1]))
    cell, states = hidden, []
    for step in gates.unbind(0):
        entry, keep, new, out = torch.baddbmm(step, hidden, recurrent).chunk(4, dim=2)
        cell = hard_gate(keep) * cell + hard_gate(entry) * torch.tanh(new)
        hidden = hard_gate(out) * torch.tanh(cell)
        states.append(hidden)
    first, other = torch.stack(states, dim=2)  # each (batch, step, units)
    return torch.cat([first, other.flip(1) if is_backward else other], dim=2)


def hard_gate(sums: Tensor) -> Tensor:
    """Return a hard sigmoid of sums of any shape."""
    return (SLOPE * sums + MIDDLE).clamp(0, 1)
