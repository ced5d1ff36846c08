"""Mutants of a window through a DeepSEA: each layer convolves the change alone and adds it to the
reference before the ReLU."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import PackedMatrix, pool_width
from bioq.fast.reach import Codes, Cost, Numbers, Reach, by_position, cut_mutants
from bioq.models.deepsea import DeepSEA

_POSITION_FLOPS = 2_000_000
"""Operations that a matrix product does in the time of one position of the dense layer."""


class SharedDeepSEA:
    """A DeepSEA whose weights are arranged to compute mutants."""

    def __init__(self, model: DeepSEA):
        self.dense, self.output = model.dense, model.output
        pool = pool_width(model.pool)
        self.convolution = KmerConvolution(model.conv1, pool, torch.float32)
        filters, width = model.conv3.out_channels, self.convolution.width
        first, second, third = model.positions
        self.reach = Reach(width, pool, first)
        after_first = self.reach.changed
        self.second = _Layer(model.conv2, Reach(width, pool, second, after_first))
        self.third = _Layer(model.conv3, Reach(width, 1, third, self.second.reach.changed))
        weights = model.dense.weight.detach().reshape(-1, filters, third)
        self.into_dense = [PackedMatrix(weights[:, :, position]) for position in range(third)]

        reach = self.third.reach
        steps = self.second.reach.changed * width  # of the products of the third convolution
        flops = 2 * (model.conv3.weight.numel() + model.dense.weight.numel() // third) * third
        self.cost = Cost(
            mutant_bytes=4 * filters * (steps + 2 * reach.changed),
            least_mutants=2 * third * _POSITION_FLOPS // flops,
            gains=2 * reach.changed <= third,
        )

    def reference(self, codes: Codes) -> "DeepSEAReference":
        """Compute a window of codes `(length,)`."""
        return DeepSEAReference(self, codes)


class DeepSEAReference:
    """A window, and the maps of every layer that its mutants share."""

    def __init__(self, shared: SharedDeepSEA, codes: Codes):
        self._shared, self._codes = shared, codes
        maps = shared.convolution(torch.from_numpy(codes[None]))[0]
        self._maps = maps[: shared.reach.positions]  # (position, filter)
        self._second = shared.second.read(self._maps)
        self._third = shared.third.read(self._second.pooled)
        self._hidden = shared.dense(self._third.pooled.T.flatten()[None])  # before its ReLU
        self.logits: Tensor = shared.output(self._hidden.relu())
        """Logits of the window `(1, targets)`."""

    def mutate(self, position: Numbers, base: Numbers) -> Tensor:
        """See `paths.Reference`."""
        shared = self._shared
        first, pieces = cut_mutants(self._codes, shared.reach, position, base)
        change = shared.convolution(torch.from_numpy(pieces))
        change -= self._maps[torch.from_numpy(first)[:, None] + torch.arange(change.shape[1])]
        first, change = shared.second.read_mutants(self._second, first, change)
        first, change = shared.third.read_mutants(self._third, first, change)
        hidden = self._hidden.repeat(len(position), 1)
        changes = by_position(first, change, shared.third.reach.positions)
        for (rows, by), weights in zip(changes, shared.into_dense, strict=True):
            if len(by):
                hidden[rows] += weights(by)
        logits: Tensor = shared.output(hidden.relu_())
        return logits


@dataclass(frozen=True)
class _Maps:
    """The outputs of one convolution for a reference, each `(position, filter)`."""

    sums: Tensor
    """Before ReLU and pooling."""
    pooled: Tensor
    """After ReLU and pooling."""


class _Layer:
    """A convolution, ReLU and max pooling."""

    def __init__(self, convolution: nn.Conv1d, reach: Reach):
        self.reach = reach
        self._convolution = convolution
        # Input position i contributes to outputs i - width + 1 .. i, by the last tap first.
        taps = convolution.weight.detach().flip(2).permute(2, 0, 1)  # (tap, filter, input)
        self._taps = PackedMatrix(taps.flatten(0, 1))

    def read(self, inputs: Tensor) -> _Maps:
        """Return the maps of a reference's inputs `(position, input)`."""
        sums = self._convolution(inputs.T[None])[0].T
        return _Maps(sums, sums.view(-1, self.reach.pool_width, sums.shape[1]).amax(1).relu_())

    def read_mutants(
        self, reference: _Maps, first: Numbers, change: Tensor
    ) -> tuple[Numbers, Tensor]:
        """Return the change of the outputs: its first position `(n,)` and its values
        `(n, changed, filter)`.

        The inputs change by `change`, `(n, before, input)`, from position `first` on.
        """
        mutants, before, _ = change.shape
        reach = self.reach
        products = self._taps(change.flatten(0, 1)).view(mutants, before, reach.width, -1)
        reached = before + reach.width - 1
        sums = change.new_zeros((mutants, reached + 1, products.shape[-1]))  # the last stays zero
        for number in range(before):
            sums[:, number : number + reach.width] += products[:, number]
        after = reach.first(first)
        count = reach.changed * reach.pool_width
        positions = after[:, None] * reach.pool_width + np.arange(count)  # (n, count)
        numbers = positions - (first[:, None] - reach.width + 1)
        numbers[(numbers < 0) | (numbers > reached)] = reached
        sums = sums[torch.arange(mutants)[:, None], torch.from_numpy(numbers)]
        sums += reference.sums[torch.from_numpy(positions)]
        pooled = sums.view(mutants, reach.changed, reach.pool_width, -1).amax(2).relu_()
        pooled -= reference.pooled[torch.from_numpy(after[:, None] + np.arange(reach.changed))]
        return after, pooled
