"""DeepSEA: three convolutions and no recurrence."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bioq.errors import BioqError
from bioq.models.family import Architecture, Family


@dataclass(frozen=True)
class DeepSEASizes:
    """Sizes of a DeepSEA; `ModelSizes` describes each."""

    filters: int
    filter_width: int
    pool_width: int
    dense_units: int
    dropout_conv: float
    dropout_head: float


class DeepSEA(nn.Module):
    """Three convolutions, max pooling after the first two, then two dense layers.

    Every nonlinear step is a module of its own, which DeepLIFT (Shrikumar et al. 2017) needs.
    Source: Zhou & Troyanskaya 2015.
    """

    def __init__(self, architecture: Architecture[DeepSEASizes]):
        super().__init__()
        sizes = architecture.sizes
        filters, width = sizes.filters, sizes.filter_width
        self.architecture = architecture.as_json()
        """The arguments of `build_model` that build this network again."""
        self.positions = used_positions(architecture.window_bp, width, sizes.pool_width)
        """Positions after each convolution and its pooling that the next layer uses."""
        self.conv1 = nn.Conv1d(4, filters, width)
        self.conv2 = nn.Conv1d(filters, filters * 3 // 2, width)
        self.conv3 = nn.Conv1d(filters * 3 // 2, filters * 3, width)
        self.pool = nn.MaxPool1d(sizes.pool_width)
        self.pool2 = nn.MaxPool1d(sizes.pool_width)
        self.relu1, self.relu2, self.relu3, self.relu = (nn.ReLU() for _ in range(4))
        self.drop_conv = nn.Dropout(sizes.dropout_conv)
        self.drop_head = nn.Dropout(sizes.dropout_head)
        self.dense = nn.Linear(self.positions[2] * filters * 3, sizes.dense_units)
        self.output = nn.Linear(sizes.dense_units, architecture.targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        return self.after_pooling(self.pool(self.relu1(self.conv1(windows))))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of the first convolution's pooled activations
        `(batch, filter, position)`."""
        # (batch, filter, position) until the last convolution, with ever fewer positions
        maps = self.drop_conv(pooled)
        maps = self.drop_conv(self.pool2(self.relu2(self.conv2(maps))))
        maps = self.drop_head(self.relu3(self.conv3(maps)))
        flat = torch.flatten(maps, 1)  # (batch, 3 * filters * position)
        hidden = self.relu(self.dense(flat))  # (batch, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits


def used_positions(window_bp: int, filter_width: int, pool_width: int) -> tuple[int, int, int]:
    """Return the positions after the first, second and third layer that the next layer uses.

    The first convolution may compute a few positions more, which the second pooling drops.
    Raises BioqError if the window is too short.
    """
    first = (window_bp - filter_width + 1) // pool_width
    second = (first - filter_width + 1) // pool_width
    third = second - filter_width + 1
    if third < 1:
        needed = pool_width * filter_width + filter_width - 1  # positions after the first pooling
        raise BioqError(
            f"window of {window_bp} bp is too short for this model; "
            f"expected at least {pool_width * needed + filter_width - 1} bp: "
            "take longer windows, or a smaller filter_width or pool_width"
        )
    return second * pool_width + filter_width - 1, second, third


FAMILY = Family(
    DeepSEA,
    # Zhou & Troyanskaya 2015, supplementary note on the architecture
    published={"deepsea": DeepSEASizes(320, 8, 4, 925, 0.2, 0.5)},
    first_layer="conv1",
)
