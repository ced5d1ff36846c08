"""DeepSEA and Beluga as the fast paths read them: convolutions, then two dense layers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import in_dtype, lift_
from bioq.fast.reach import Reach
from bioq.models.beluga import Beluga
from bioq.models.deepsea import DeepSEA

_MAP_BYTES = 12 << 20


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
        first = self.first.reach.positions * self.first.convolution.out_channels
        self.windows_at_once = max(1, _MAP_BYTES // (4 * first))
        """Windows whose maps after the first layer take about `_MAP_BYTES`."""
        self._is_by_position = isinstance(model, Beluga)

    def kmers(self, dtype: torch.dtype) -> KmerConvolution:
        """Return the first layer by table."""
        pool = self.first.reach.pool_width
        return KmerConvolution(self.first.convolution, pool, dtype, floor=self.floor)

    def following(self, dtype: torch.dtype) -> list["Convolve"]:
        """Return the other layers, arranged for repeated use."""
        by_position = self._is_by_position and dtype == torch.bfloat16
        return [
            Convolve(layer, dtype, floor=self.floor, by_position=by_position)
            for layer in self.others
        ]


class Convolve:
    """A convolution, ReLU and max pooling of maps `(n, filter, position)`.

    `by_position`: the numbers of a position are adjacent in memory, as the first layer by table
    writes them. oneDNN needs less time for maps in this order, but it adds all products of a filter
    in one sum: in float32 the error of a layer is 4 to 5 times that of PyTorch's own order. So only
    bf16, whose own rounding is larger, has this order.
    """

    def __init__(self, layer: Layer, dtype: torch.dtype, *, floor: float, by_position: bool):
        self.reach, self._floor = layer.reach, floor
        convolution = in_dtype(layer.convolution, dtype)
        self._weight, self._bias = convolution.weight.detach(), convolution.bias.detach()
        self._is_by_position = by_position
        if by_position:
            self._weight = self._weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)

    def __call__(self, maps: Tensor) -> Tensor:
        """Return `(n, filter, position)`."""
        pool = self.reach.pool_width
        if not self._is_by_position:
            sums = lift_(functional.conv1d(maps, self._weight, self._bias), self._floor)
            return (functional.max_pool1d(sums, pool) if pool > 1 else sums).relu_()
        image = maps.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        sums = lift_(functional.conv2d(image, self._weight, self._bias).squeeze(2), self._floor)
        if pool > 1:
            positions = sums.shape[2] // pool
            sums = sums[:, :, : positions * pool].view(*sums.shape[:2], positions, pool).amax(3)
        return sums.relu_()
