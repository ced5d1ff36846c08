"""DeepATT: every target asks for what it needs with a query of its own, in place of a dense layer
over all positions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.errors import UsageError
from bioq.models.recurrent import read_in_order
from bioq.models.sizes import pooled_positions


class DeepATT(nn.Module):
    """Convolution, max pooling, bidirectional LSTM, attention with one query a target, and two
    dense layers over what each query got.

    Sources: Li et al. 2021 and the authors' code, whose count of weights this has (tests). There
    the first dense layer is the same for all targets. The last one is, too, in their DeepATT, and
    has a row for each target in their DeepATT-Plus: the latter is built here, since BioQ starts and
    calibrates each target by its bias. Theirs differ by 0.0009 in macro AUROC, in favour of the
    shared layer.
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
        attention_units: int,
        attention_heads: int,
        dense_units: int,
        dropout_conv: float,
        dropout_head: float,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {}
        """What `build_model` needs to build this network again."""
        pooled_positions(window_bp, filter_width, pool_width)
        self.conv = nn.Conv1d(4, filters, filter_width)
        self.pool = nn.MaxPool1d(pool_width)
        self.drop_conv = nn.Dropout(dropout_conv)
        self.lstm = nn.LSTM(filters, lstm_units, lstm_layers, batch_first=True, bidirectional=True)
        self.attention = TargetAttention(
            targets=targets, inputs=2 * lstm_units, units=attention_units, heads=attention_heads
        )
        self.drop_head = nn.Dropout(dropout_head)
        self.dense = nn.Linear(attention_units, dense_units)
        self.output = TargetLinear(dense_units, targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        found = functional.relu(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(found))

    def after_pooling(self, found: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = read_in_order(
            self.lstm, self.drop_conv(found).transpose(1, 2)
        )  # (batch, position, 2 * units)
        got = self.attention(read)  # (batch, target, attention_units)
        hidden = functional.relu(self.dense(self.drop_head(got)))  # (batch, target, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits


class TargetAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017) whose queries are weights, one a target.

    Raises UsageError if the heads do not divide the units.
    """

    def __init__(self, *, targets: int, inputs: int, units: int, heads: int):
        super().__init__()
        if units % heads:
            raise UsageError(
                f"attention_units is {units} and attention_heads {heads}; "
                "expected units that the heads divide: choose a multiple"
            )
        self.heads = heads
        self.query = nn.Linear(targets, units)
        """The query of target t is what this gives of a one at t: column t and the bias."""
        self.key = nn.Linear(inputs, units)
        self.value = nn.Linear(inputs, units)
        self.merge = nn.Linear(units, units)
        # As nn.MultiheadAttention starts, and the authors' Keras layers.
        for layer in (self.query, self.key, self.value, self.merge):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, target, units)` of `(batch, position, inputs)`."""
        query = self._by_head((self.query.weight.t() + self.query.bias)[None])
        key, value = self._by_head(self.key(read)), self._by_head(self.value(read))
        got = functional.scaled_dot_product_attention(
            query.expand(len(read), -1, -1, -1), key, value
        )  # (batch, head, target, units / heads)
        merged: Tensor = self.merge(got.transpose(1, 2).flatten(2))
        return merged

    def _by_head(self, rows: Tensor) -> Tensor:
        """Return `(batch, head, row, units / heads)` of `(batch, row, units)`."""
        batch, count, units = rows.shape
        return rows.reshape(batch, count, self.heads, units // self.heads).transpose(1, 2)


class TargetLinear(nn.Linear):
    """A dense layer whose every output reads features of its own target."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return `(batch, target)` of `(batch, target, features)`."""
        return torch.einsum("btf,tf->bt", hidden, self.weight) + self.bias
