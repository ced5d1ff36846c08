"""DeepSEA: three convolutions and no recurrence."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.errors import BioqError


class DeepSEA(nn.Module):
    """Three convolutions, max pooling after the first two, then two dense layers.

    Source: Zhou & Troyanskaya 2015.
    """

    def __init__(
        self,
        *,
        targets: int,
        window_bp: int,
        filters: int,
        filter_width: int,
        pool_width: int,
        dense_units: int,
        dropout_conv: float,
        dropout_head: float,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {}
        """What `build_model` needs to build this network again."""
        pooled = (window_bp - filter_width + 1) // pool_width
        pooled = (pooled - filter_width + 1) // pool_width
        positions = pooled - filter_width + 1
        if positions < 1:
            needed = pool_width * filter_width + filter_width - 1  # positions after the first pool
            raise BioqError(
                f"window of {window_bp} bp is too short for this model; "
                f"expected at least {pool_width * needed + filter_width - 1} bp: "
                "take longer windows, or a smaller filter_width or pool_width"
            )
        self.conv1 = nn.Conv1d(4, filters, filter_width)
        self.conv2 = nn.Conv1d(filters, filters * 3 // 2, filter_width)
        self.conv3 = nn.Conv1d(filters * 3 // 2, filters * 3, filter_width)
        self.pool = nn.MaxPool1d(pool_width)
        self.drop_conv = nn.Dropout(dropout_conv)
        self.drop_head = nn.Dropout(dropout_head)
        self.dense = nn.Linear(positions * filters * 3, dense_units)
        self.output = nn.Linear(dense_units, targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        return self.after_pooling(self.pool(functional.relu(self.conv1(windows))))

    def after_pooling(self, found: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of what the first filters found, pooled."""
        # (batch, filter, position) from here to the last convolution, position ever shorter
        found = self.drop_conv(found)
        found = self.drop_conv(self.pool(functional.relu(self.conv2(found))))
        found = self.drop_head(functional.relu(self.conv3(found)))
        flat = torch.flatten(found, 1)  # (batch, 3 * filters * position)
        hidden = functional.relu(self.dense(flat))  # (batch, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits
