"""Mutants of a window through a DeepSEA or a Beluga: each layer convolves the change alone and adds
it to the reference before the ReLU."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bioq.fast.convolutions import Convolutions, Layer
from bioq.fast.layers import PackedMatrix, lift_
from bioq.fast.reach import Codes, Cost, Numbers, by_position, cut_mutants
from bioq.models.beluga import Beluga
from bioq.models.deepsea import DeepSEA

_POSITION_FLOPS = 2_000_000
"""Operations that a matrix product does in the time of one position of the dense layer."""


class SharedConvolutions:
    """A DeepSEA or a Beluga whose weights are arranged to compute mutants."""

    def __init__(self, model: DeepSEA | Beluga):
        layers = Convolutions(model)
        self.dense, self.output, self.floor = model.dense, model.output, layers.floor
        self.convolution = layers.kmers(torch.float32)
        self.reach = layers.first.reach
        self.used = self.reach.used
        self.others = [_Layer(layer, layers.floor) for layer in layers.others]
        filters, positions = layers.filters, layers.positions
        weights = model.dense.weight.detach().reshape(-1, filters, positions)
        self.into_dense = [PackedMatrix(weights[:, :, position]) for position in range(positions)]
        last = layers.others[-1]
        flops = sum(2 * layer.convolution.weight.numel() for layer in layers.others[1:]) * positions
        flops += 2 * model.dense.weight.numel()
        self.cost = Cost(
            mutant_bytes=max(layer.mutant_bytes for layer in self.others),
            least_mutants=2 * positions * _POSITION_FLOPS // flops,
            gains=last.reach.spares_half,
        )

    def reference(self, codes: Codes) -> "ConvolutionsReference":
        """Compute a window of codes `(length,)`."""
        return ConvolutionsReference(self, codes)


class ConvolutionsReference:
    """A window, and the maps of every layer that its mutants share."""

    def __init__(self, shared: SharedConvolutions, codes: Codes):
        self._shared, self._codes = shared, codes
        maps = shared.convolution(torch.from_numpy(codes[None]))[0]
        self._first = maps[: shared.reach.positions]  # (position, filter)
        self._others: list[_Maps] = []
        read = self._first
        for layer in shared.others:
            self._others.append(layer.read(read))
            read = self._others[-1].pooled
        self._hidden = shared.dense(read.T.flatten()[None])  # before its ReLU
        self.logits: Tensor = shared.output(lift_(self._hidden.clone(), shared.floor).relu_())
        """Logits of the window `(1, targets)`."""

    def mutate(self, position: Numbers, base: Numbers) -> Tensor:
        """See `paths.Reference`."""
        shared = self._shared
        first, pieces = cut_mutants(self._codes, shared.reach, position, base)
        change = shared.convolution(torch.from_numpy(pieces))
        change -= self._first[torch.from_numpy(first)[:, None] + torch.arange(change.shape[1])]
        for layer, maps in zip(shared.others, self._others, strict=True):
            first, change = layer.read_mutants(maps, first, change)
        hidden = self._hidden.repeat(len(position), 1)
        changes = by_position(first, change, len(shared.into_dense))
        for (rows, by), weights in zip(changes, shared.into_dense, strict=True):
            if len(by):
                hidden[rows] += weights(by)
        logits: Tensor = shared.output(lift_(hidden, shared.floor).relu_())
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

    def __init__(self, layer: Layer, floor: float):
        self.reach, self._floor = layer.reach, floor
        self._convolution = convolution = layer.convolution
        steps = self.reach.before * self.reach.width  # of the products
        self.mutant_bytes = 4 * convolution.out_channels * (steps + 2 * self.reach.changed)
        """Memory that a mutant takes, about."""
        # Input position i contributes to outputs i - width + 1 .. i, by the last tap first.
        taps = convolution.weight.detach().flip(2).permute(2, 0, 1)  # (tap, filter, input)
        self._taps = PackedMatrix(taps.flatten(0, 1))

    def read(self, inputs: Tensor) -> _Maps:
        """Return the maps of a reference's inputs `(position, input)`."""
        sums = self._convolution(inputs.T[None])[0].T
        pooled = lift_(sums.clone(), self._floor)
        return _Maps(sums, pooled.view(-1, self.reach.pool_width, sums.shape[1]).amax(1).relu_())

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
        sums = lift_(sums, self._floor)
        pooled = sums.view(mutants, reach.changed, reach.pool_width, -1).amax(2).relu_()
        pooled -= reference.pooled[torch.from_numpy(after[:, None] + np.arange(reach.changed))]
        return after, pooled
