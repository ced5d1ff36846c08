"""DanQ and BioQ: a convolution finds motifs, a recurrent network reads how they are arranged."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.models.recurrent import read_in_order
from bioq.models.sizes import pooled_positions


class DanQ(nn.Module):
    """Convolution, max pooling, bidirectional LSTM over the pooled positions, two dense layers.

    `bioq`, `danq` and `danq-jaspar` are this network in different sizes. The dropout between two
    LSTM layers is none: the published models drop after the last one only.

    Sources: Quang & Xie 2016 (danq, danq-jaspar), Conboy & Konka 2024 (bioq: two LSTM layers).
    """

    def __init__(
        self,
        *,
        targets: int,
        window_bp: int,
        filters: int,
        filter_width: int,
        pool_width: int,
        lstm_units: int,
        lstm_layers: int,
        dense_units: int,
        dropout_conv: float,
        dropout_head: float,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {}
        """What `build_model` needs to build this network again."""
        positions = pooled_positions(window_bp, filter_width, pool_width)
        self.conv = nn.Conv1d(4, filters, filter_width)
        self.pool = nn.MaxPool1d(pool_width)
        self.drop_conv = nn.Dropout(dropout_conv)
        self.lstm = nn.LSTM(filters, lstm_units, lstm_layers, batch_first=True, bidirectional=True)
        self.drop_head = nn.Dropout(dropout_head)
        self.dense = nn.Linear(positions * 2 * lstm_units, dense_units)
        self.output = nn.Linear(dense_units, targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        found = functional.relu(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(found))

    def after_pooling(self, found: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = read_in_order(
            self.lstm, self.drop_conv(found).transpose(1, 2)
        )  # (batch, position, 2 * units)
        flat = torch.flatten(self.drop_head(read), 1)  # (batch, position * 2 * lstm_units)
        hidden = functional.relu(self.dense(flat))  # (batch, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits
