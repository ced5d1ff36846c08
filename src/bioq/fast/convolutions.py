"""DeepSEA and Beluga as the fast paths read them: convolutions, then two dense layers."""

from dataclasses import dataclass

import torch
from torch import nn

from bioq.fast.kmers import KmerConvolution
from bioq.fast.reach import Reach
from bioq.models.beluga import Beluga
from bioq.models.deepsea import DeepSEA


@dataclass(frozen=True)
class Layer:
    """A convolution, ReLU and max pooling."""

    convolution: nn.Conv1d
    reach: Reach


class Convolutions:
    """The layers of a network whose map after the last convolution is flattened by filter."""

    def __init__(self, model: DeepSEA | Beluga):
        pools, before, layers = model.pool_widths, 1, []
        convolutions = [layer for layer in model.children() if isinstance(layer, nn.Conv1d)]
        for layer, pool, positions in zip(convolutions, pools, model.positions, strict=True):
            layers.append(Layer(layer, Reach(layer.kernel_size[0], pool, positions, before)))
            before = layers[-1].reach.changed
        self.first, *self.others = layers
        self.dense, self.output = model.dense, model.output
        self.floor = model.floor if isinstance(model, DeepSEA) else 0.0
        """Output of a unit whose sum is not above 0."""
        self.filters, self.positions = convolutions[-1].out_channels, model.positions[-1]
        """Of the map that the dense layer reads."""

    def kmers(self, dtype: torch.dtype) -> KmerConvolution:
        """Return the first layer by table."""
        pool = self.first.reach.pool_width
        return KmerConvolution(self.first.convolution, pool, dtype, floor=self.floor)
