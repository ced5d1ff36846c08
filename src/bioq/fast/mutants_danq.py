"""Mutants of a window through a DanQ.

The forward states of the first LSTM layer before the first changed position are the reference's,
and so are the backward ones after the last: mutants join when they change. Of the projections into
a layer and into the dense layer, only what differs from the reference is computed and added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import PackedMatrix, pool_width
from bioq.fast.reach import SAME, Change, Codes, Cost, Numbers, Reach, by_position, cut_mutants
from bioq.models.danq import DanQ

_STEP_FLOPS = 5_000_000
"""What a matrix product could do in the time that a step takes for one mutant."""


class SharedDanQ:
    """A DanQ's weights, arranged for `open`."""

    def __init__(self, model: DanQ):
        lstm, self.dense, self.output = model.lstm, model.dense, model.output
        units = lstm.hidden_size
        positions = model.dense.in_features // (2 * units)
        self.convolution = KmerConvolution(model.conv, pool_width(model.pool), torch.float32)
        self.reach = Reach(self.convolution.width, self.convolution.pool_width, positions)
        self.layers = [
            (_Direction(lstm, layer, is_backward=False), _Direction(lstm, layer, is_backward=True))
            for layer in range(lstm.num_layers)
        ]
        self.weights = [
            [*lstm.all_weights[2 * layer], *lstm.all_weights[2 * layer + 1]]
            for layer in range(lstm.num_layers)
        ]
        """Of each layer, both directions, as PyTorch takes them."""
        weights = model.dense.weight.detach().reshape(-1, positions, 2, units)
        self.into_dense = [
            [PackedMatrix(weights[:, position, direction]) for position in range(positions)]
            for direction in range(2)
        ]
        each_position = sum(weight.numel() for weight in lstm.parameters())
        flops = 2 * (each_position * positions + model.dense.weight.numel())
        steps = 2 * lstm.num_layers * positions
        self.cost = Cost(
            mutant_bytes=4 * positions * 2 * units,
            least_mutants=2 * steps * _STEP_FLOPS // flops,
            gains=2 * self.reach.changed <= positions,
        )

    def open(self, codes: Codes) -> "_Window":
        """Compute the reference: codes `(length,)`."""
        return _Window(self, codes)


class _Window:
    """A reference, and its mutants."""

    def __init__(self, shared: SharedDanQ, codes: Codes):
        self._shared, self._codes = shared, codes
        self._maps = shared.convolution(torch.from_numpy(codes[None]))[0]
        self._states = []
        read = self._maps  # (position, filter), then (position, 2 * units)
        for (forward, backward), weights in zip(shared.layers, shared.weights, strict=True):
            inputs, read = read, _read_layer(read, weights)
            there, back = read.chunk(2, dim=1)
            self._states.append((forward.follow(inputs, there), backward.follow(inputs, back)))
        self._hidden = shared.dense(read.flatten()[None])  # before its ReLU
        self.logits: Tensor = shared.output(self._hidden.relu())
        """Of the reference `(1, targets)`."""

    def mutate(self, place: Numbers, base: Numbers) -> Tensor:
        """Return logits `(n, targets)` of single substitutions, by ascending place."""
        shared, reach = self._shared, self._shared.reach
        first, pieces = cut_mutants(self._codes, reach, place, base)
        maps = shared.convolution(torch.from_numpy(pieces))
        maps -= self._maps[torch.from_numpy(first)[:, None] + torch.arange(reach.changed)]
        changes: list[Change] = [by_position(first, maps, reach.positions)]
        joins = first, reach.positions - reach.changed - first
        for directions, states in zip(shared.layers[:-1], self._states[:-1], strict=True):
            after: list[Change] = []
            for direction, reference, join in zip(directions, states, joins, strict=True):
                change = [SAME] * reach.positions
                for position, rows, by in direction.read_mutants(reference, join, changes):
                    change[position] = (rows, by)
                after.append(change)
            changes, joins = after, (np.zeros_like(first), np.zeros_like(first))
        hidden = self._hidden.repeat(len(place), 1)
        last = zip(shared.layers[-1], self._states[-1], joins, shared.into_dense, strict=True)
        for direction, reference, join, weights in last:
            for position, rows, by in direction.read_mutants(reference, join, changes):
                hidden[rows] += weights[position](by)
        logits: Tensor = shared.output(hidden.relu_())
        return logits


@dataclass(frozen=True)
class _States:
    """What one direction of one layer computes of a reference, by step."""

    gates: Tensor
    """The input's part of them, and the biases: `(step, 4 * units)`."""
    hidden: Tensor
    """`(step + 1, units)`: first the zeros that it starts from."""
    cell: Tensor


class _Direction:
    """One direction of one LSTM layer. A step is a position in the order that it reads them.

    The weights of the third gate are doubled: tanh(x) = 2 sigmoid(2 x) - 1, and PyTorch computes a
    sigmoid in a sixth of the time of a tanh.
    """

    def __init__(self, lstm: nn.LSTM, layer: int, *, is_backward: bool):
        into, recurrent, *biases = (
            getattr(lstm, f"{name}_l{layer}" + ("_reverse" if is_backward else "")).detach()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        scale = into.new_ones(4, lstm.hidden_size)
        scale[2] = 2
        scale = scale.flatten()
        self._is_backward = is_backward
        self._bias = (biases[0] + biases[1]) * scale
        self._into = into * scale[:, None]
        parts = [self._into] if layer == 0 else self._into.chunk(2, dim=1)  # one a direction before
        self._into_parts = [PackedMatrix(part) for part in parts]
        self._recurrent_weights = recurrent * scale[:, None]
        self._recurrent = PackedMatrix(self._recurrent_weights)

    def follow(self, inputs: Tensor, read: Tensor) -> _States:
        """Return the states of a reference: of what it reads `(position, width)` and what this
        direction made of it `(position, units)`."""
        gates = functional.linear(inputs, self._into, self._bias)
        if self._is_backward:
            gates, read = gates.flip(0), read.flip(0)
        hidden = torch.cat([torch.zeros_like(read[:1]), read])
        opened = functional.linear(hidden[:-1], self._recurrent_weights).add_(gates).sigmoid_()
        entry, keep, new, _ = opened.chunk(4, dim=1)
        entered, kept = (entry * (2 * new - 1)).numpy(), keep.numpy()
        cell = np.zeros_like(hidden.numpy())
        for step in range(len(gates)):
            cell[step + 1] = kept[step] * cell[step] + entered[step]
        return _States(gates, hidden, torch.from_numpy(cell))

    def read_mutants(
        self, reference: _States, join: Numbers, changes: Sequence[Change]
    ) -> Iterator[tuple[int, slice, Tensor]]:
        """Yield (position, mutants, by how much their states differ there), in reading order.

        A mutant is the reference until step `join`, which ascends for the forward direction and
        descends for the backward one. `changes` are those of the inputs, in parts.
        """
        steps, mutants = len(reference.gates), len(join)
        hidden, cell = (
            state[torch.from_numpy(join)] for state in (reference.hidden, reference.cell)
        )
        joined = np.searchsorted(np.sort(join), np.arange(steps), side="right").tolist()
        for step in range(int(join.min()), steps):
            count = joined[step]
            rows = slice(mutants - count, mutants) if self._is_backward else slice(0, count)
            position = steps - 1 - step if self._is_backward else step
            gates = self._recurrent(hidden[rows], reference.gates[step])
            for change, weights in zip(changes, self._into_parts, strict=True):
                changed, by = change[position]
                if len(by):
                    gates[changed.start - rows.start : changed.stop - rows.start] += weights(by)
            _advance(gates, hidden[rows], cell[rows])
            yield position, rows, hidden[rows] - reference.hidden[step + 1]


def _read_layer(inputs: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return `(position, 2 * units)` of a reference `(position, width)`, as PyTorch computes it."""
    zeros = inputs.new_zeros((2, 1, weights[1].shape[1]))
    read, _, _ = torch.lstm(
        inputs[None],
        (zeros, zeros),
        list(weights),
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=False,
        bidirectional=True,
        batch_first=True,
    )
    return read[0]


def _advance(gates: Tensor, hidden: Tensor, cell: Tensor) -> None:
    """Write the next states `(n, units)` over the last ones; `gates` is lost."""
    entry, keep, new, out = gates.sigmoid_().chunk(4, dim=1)
    cell.mul_(keep).addcmul_(entry, new, value=2).sub_(entry)
    torch.mul(cell, 2, out=hidden)
    hidden.sigmoid_().mul_(2).sub_(1).mul_(out)
