"""DeepSEA: three convolutions and no recurrence."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bioq.models.family import Architecture, Family
from bioq.models.sizes import used_positions


@dataclass(frozen=True)
class DeepSEASizes:
    """Sizes of a DeepSEA; `ModelSizes` describes each."""

    filters: int
    filter_width: int
    pool_width: int
    dense_units: int
    dropout_conv: float
    dropout_head: float
    floor: float = 0.0


class DeepSEA(nn.Module):
    """Three convolutions, max pooling after the first two, then two dense layers.

    Every nonlinear step is a module of its own, which DeepLIFT (Shrikumar et al. 2017) needs.
    Source: Zhou & Troyanskaya 2015. Their weights belong to `floor` 1e-6: the published network has
    nn.Threshold(0, 1e-6) after every layer but the last.
    """

    def __init__(self, architecture: Architecture[DeepSEASizes]):
        super().__init__()
        sizes = architecture.sizes
        filters, width = sizes.filters, sizes.filter_width
        self.architecture = architecture.as_json()
        """The arguments of `build_model` that build this network again."""
        self.floor = sizes.floor
        """Output of a unit whose sum is not above 0."""
        self.pool_widths = (sizes.pool_width, sizes.pool_width, 1)
        """Of each convolution; 1 is no pooling."""
        self.positions = used_positions(architecture.window_bp, width, self.pool_widths)
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
        return self.after_pooling(self.pool(self._lifted(self.relu1(self.conv1(windows)))))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of the first convolution's pooled activations
        `(batch, filter, position)`."""
        # (batch, filter, position) until the last convolution, with ever fewer positions
        maps = self.drop_conv(pooled)
        maps = self.drop_conv(self.pool2(self._lifted(self.relu2(self.conv2(maps)))))
        maps = self.drop_head(self._lifted(self.relu3(self.conv3(maps))))
        flat = torch.flatten(maps, 1)  # (batch, 3 * filters * position)
        hidden = self._lifted(self.relu(self.dense(flat)))  # (batch, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits

    def _lifted(self, outputs: Tensor) -> Tensor:
        """Return the outputs of a ReLU with the floor in place of zeros. The floor is added: for
        DeepLIFT the network is then one of ReLUs, which it knows."""
        return torch.add(outputs, outputs == 0, alpha=self.floor) if self.floor else outputs


FAMILY = Family(
    DeepSEA,
    # Zhou & Troyanskaya 2015, supplementary note on the architecture
    published={"deepsea": DeepSEASizes(320, 8, 4, 925, 0.2, 0.5)},
    first_layer="conv1",
)
