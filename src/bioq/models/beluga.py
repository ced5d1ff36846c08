"""Beluga, the network of ExPecto: six convolutions over windows of 2,000 bp."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bioq.models.family import Architecture, Family
from bioq.models.sizes import used_positions


@dataclass(frozen=True)
class BelugaSizes:
    """Sizes of a Beluga; `ModelSizes` describes each."""

    filters: int
    filter_width: int
    pool_width: int
    dense_units: int
    dropout_conv: float
    dropout_head: float


class Beluga(nn.Module):
    """Six convolutions, dropout and max pooling after the second and the fourth, then two dense
    layers.

    Every nonlinear step is a module of its own, which DeepLIFT (Shrikumar et al. 2017) needs.
    Source: Zhou et al. 2018.
    """

    def __init__(self, architecture: Architecture[BelugaSizes]):
        super().__init__()
        sizes = architecture.sizes
        filters, width, pool_width = sizes.filters, sizes.filter_width, sizes.pool_width
        self.architecture = architecture.as_json()
        """The arguments of `build_model` that build this network again."""
        self.pool_widths = (1, pool_width, 1, pool_width, 1, 1)
        """Of each convolution; 1 is no pooling."""
        self.positions = used_positions(architecture.window_bp, width, self.pool_widths)
        """Positions after each convolution and its pooling that the next layer uses."""
        self.conv1 = nn.Conv1d(4, filters, width)
        self.conv2 = nn.Conv1d(filters, filters, width)
        self.conv3 = nn.Conv1d(filters, filters * 3 // 2, width)
        self.conv4 = nn.Conv1d(filters * 3 // 2, filters * 3 // 2, width)
        self.conv5 = nn.Conv1d(filters * 3 // 2, filters * 2, width)
        self.conv6 = nn.Conv1d(filters * 2, filters * 2, width)
        self.relu1, self.relu2, self.relu3, self.relu4, self.relu5, self.relu6, self.relu = (
            nn.ReLU() for _ in range(7)
        )
        self.pool2, self.pool4 = nn.MaxPool1d(pool_width), nn.MaxPool1d(pool_width)
        self.drop_conv = nn.Dropout(sizes.dropout_conv)
        self.drop_head = nn.Dropout(sizes.dropout_head)
        self.dense = nn.Linear(self.positions[-1] * filters * 2, sizes.dense_units)
        self.output = nn.Linear(sizes.dense_units, architecture.targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        # (batch, filter, position) until the last convolution, with ever fewer positions
        maps = self.relu2(self.conv2(self.relu1(self.conv1(windows))))
        maps = self.pool2(self.drop_conv(maps))  # dropout before pooling, as published
        maps = self.relu4(self.conv4(self.relu3(self.conv3(maps))))
        maps = self.pool4(self.drop_conv(maps))
        maps = self.relu6(self.conv6(self.relu5(self.conv5(maps))))
        flat = torch.flatten(self.drop_head(maps), 1)  # (batch, 2 * filters * position)
        hidden = self.relu(self.dense(flat))  # (batch, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits


FAMILY = Family(
    Beluga,
    # Zhou et al. 2018, and the authors' code
    published={"beluga": BelugaSizes(320, 8, 4, 2003, 0.2, 0.5)},
    first_layer="conv1",
    window_bp=2000,
)
