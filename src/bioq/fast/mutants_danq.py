"""Mutants of a window through a DanQ.

In the first LSTM layer a mutant has the forward states of the reference before the first changed
position, and the backward states of the reference after the last: computation of a mutant begins
there. Of the products with the weights of a layer and of the dense layer, only the difference from
the reference is computed and added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.gates import gates_of
from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import PackedMatrix, pool_width
from bioq.fast.reach import SAME, Change, Codes, Cost, Numbers, Reach, by_position, cut_mutants
from bioq.fast.recurrence import direction_readers
from bioq.models.danq import DanQ
from bioq.models.hard_lstm import HardLSTM, direction_weights

_STEP_FLOPS = 5_000_000
"""Operations that a matrix product does in the time of one LSTM step of one mutant."""


class SharedDanQ:
    """A DanQ whose weights are arranged to compute mutants."""

    def __init__(self, model: DanQ):
        lstm, self.dense, self.output = model.lstm, model.dense, model.output
        units, positions = lstm.hidden_size, model.positions
        self.convolution = KmerConvolution(model.conv, pool_width(model.pool), torch.float32)
        self.reach = Reach(self.convolution.width, self.convolution.pool_width, positions)
        self.used = self.reach.used
        self.layers = [
            (_Direction(lstm, layer, is_backward=False), _Direction(lstm, layer, is_backward=True))
            for layer in range(lstm.num_layers)
        ]
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
            gains=self.reach.spares_half,
        )

    def reference(self, codes: Codes) -> "DanQReference":
        """Compute a window of codes `(length,)`."""
        return DanQReference(self, codes)


class DanQReference:
    """A window, and the states of every layer that its mutants share."""

    def __init__(self, shared: SharedDanQ, codes: Codes):
        self._shared, self._codes = shared, codes
        self._maps = shared.convolution(torch.from_numpy(codes[None]))[0]
        self._states: list[list[_States]] = []
        read = self._maps  # (position, filter), then (position, 2 * units)
        for directions in shared.layers:
            self._states.append([direction.follow(read) for direction in directions])
            read = torch.cat([states.read for states in self._states[-1]], dim=1)
        self._hidden = shared.dense(read.flatten()[None])  # before its ReLU
        self.logits: Tensor = shared.output(self._hidden.relu())
        """Logits of the window `(1, targets)`."""

    def mutate(self, position: Numbers, base: Numbers) -> Tensor:
        """See `paths.Reference`."""
        shared, reach = self._shared, self._shared.reach
        first, pieces = cut_mutants(self._codes, reach, position, base)
        maps = shared.convolution(torch.from_numpy(pieces))
        maps -= self._maps[torch.from_numpy(first)[:, None] + torch.arange(reach.changed)]
        changes: list[Change] = [by_position(first, maps, reach.positions)]
        joins = first, reach.positions - reach.changed - first
        for directions, states in zip(shared.layers[:-1], self._states[:-1], strict=True):
            after: list[Change] = []
            for direction, reference, join in zip(directions, states, joins, strict=True):
                change = [SAME] * reach.positions
                for at, rows, by in direction.read_mutants(reference, join, changes):
                    change[at] = (rows, by)
                after.append(change)
            changes, joins = after, (np.zeros_like(first), np.zeros_like(first))
        hidden = self._hidden.repeat(len(position), 1)
        last = zip(shared.layers[-1], self._states[-1], joins, shared.into_dense, strict=True)
        for direction, reference, join, weights in last:
            for at, rows, by in direction.read_mutants(reference, join, changes):
                hidden[rows] += weights[at](by)
        logits: Tensor = shared.output(hidden.relu_())
        return logits


@dataclass(frozen=True)
class _States:
    """The states of one direction of one layer for a reference, by step."""

    gates: Tensor
    """Part of the gates that comes from the inputs and biases: `(step, 4 * units)`."""
    hidden: Tensor
    """`(step + 1, units)`; the first row is the zeros at the start."""
    cell: Tensor
    """Of the same shape as `hidden`."""
    read: Tensor
    """The outputs by position `(position, units)`."""


class _Direction:
    """One direction of one LSTM layer. Steps count positions in the order of reading."""

    def __init__(self, lstm: nn.LSTM | HardLSTM, layer: int, *, is_backward: bool):
        self._is_backward, self._gates = is_backward, gates_of(lstm)
        self._reader = direction_readers(lstm, layer, torch.float32)[is_backward]
        weights = direction_weights(lstm, layer)[is_backward]
        self._into, self._recurrent_weights, self._bias = self._gates.arranged(weights)
        parts = (
            [self._into] if layer == 0 else self._into.chunk(2, dim=1)
        )  # one per direction of the layer before
        self._into_parts = [PackedMatrix(part) for part in parts]
        self._recurrent = PackedMatrix(self._recurrent_weights)

    def follow(self, inputs: Tensor) -> _States:
        """Return the states of a reference from the inputs `(position, width)`."""
        steps = inputs.flip(0) if self._is_backward else inputs
        zeros = inputs.new_zeros((1, self._recurrent_weights.shape[1]))
        read = self._reader(steps[None], zeros, zeros)[0][0]
        gates = functional.linear(steps, self._into, self._bias)
        hidden = torch.cat([zeros, read])
        sums = functional.linear(hidden[:-1], self._recurrent_weights).add_(gates)
        entered, kept = (part.numpy() for part in self._gates.open(sums))
        cell = np.zeros_like(hidden.numpy())
        for step in range(len(gates)):
            cell[step + 1] = kept[step] * cell[step] + entered[step]
        by_position = read.flip(0) if self._is_backward else read
        return _States(gates, hidden, torch.from_numpy(cell), by_position)

    def read_mutants(
        self, reference: _States, join: Numbers, changes: Sequence[Change]
    ) -> Iterator[tuple[int, slice, Tensor]]:
        """Yield (position, mutants, difference of their hidden states from the reference's), in
        the order of reading.

        A mutant equals the reference before step `join`, which ascends for the forward direction
        and descends for the backward direction. `changes` are the changes of the inputs: one in
        the first layer, one per direction of the layer before in the layers after it.
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
            self._gates.advance(gates, hidden[rows], cell[rows])
            yield position, rows, hidden[rows] - reference.hidden[step + 1]
