"""Marq: motifs, a recurrent network that reads how they are arranged, a query a target; and
beside it what the window is made of."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.models.composition import Composition
from bioq.models.recurrent import read_in_order
from bioq.models.sizes import pooled_positions

SQUEEZED = 8
"""Numbers that each position gives to the dense layer over the whole window."""


class Marq(nn.Module):
    """DanQ with another end: convolution, max pooling, bidirectional LSTM, and for each target the
    sum of two: a weighted mean over the positions, and what the window says as a whole.

    Where it comes from: the convolution and the LSTM are those of DanQ (Quang & Xie 2016), with a
    norm between them, so that filters can be read as motifs. A query for each target is the idea of
    DeepATT (Li et al. 2021), here with one head, low rank and a linear layer in place of dense
    ones. The dense layer over all positions is that of DanQ, from few numbers a position.

    The logits of all this are mixed with those of the window's composition, which has a share of
    its own. Only the network learns by steps, as if it were alone (`network`): two that know
    nothing of each other's errors make different ones. docs/experiments.md has the numbers behind
    each choice.
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
        composition_share: float,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {}
        """What `build_model` needs to build this network again."""
        positions, units = pooled_positions(window_bp, filter_width, pool_width), 2 * lstm_units
        self.conv = nn.Conv1d(4, filters, filter_width)
        self.pool = nn.MaxPool1d(pool_width)
        self.norm = nn.LayerNorm(filters)
        self.drop_conv = nn.Dropout(dropout_conv)
        self.lstm = nn.LSTM(filters, lstm_units, lstm_layers, batch_first=True, bidirectional=True)
        self.drop_head = nn.Dropout(dropout_head)
        self.output = nn.Linear(units, targets)
        self.mean = TargetMean(positions, units, targets)
        self.window = WindowHead(positions, units, dense_units, targets, dropout_head)
        self.composition_share = composition_share
        self.composition = Composition(window_bp, targets) if composition_share else None

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        own = self.network(windows)
        return own if self.composition is None else self.mixed(own, self.composition(windows))

    def mixed(self, own: Tensor, of_composition: Tensor) -> Tensor:
        """Return the logits of the network and of the composition by their shares."""
        return torch.lerp(own, of_composition.to(own.dtype), self.composition_share)

    def network(self, windows: Tensor) -> Tensor:
        """Return the logits of what is trained, without the composition, as `forward`."""
        found = functional.relu(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(found))

    def after_pooling(self, found: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = read_in_order(self.lstm, self.drop_conv(self.norm(found.transpose(1, 2))))
        return self.after_lstm(read)

    def after_lstm(self, read: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of what the LSTM gives, `(batch, position, unit)`."""
        read = self.drop_head(read)
        logits: Tensor = self.mean(read, self.output(read)) + self.window(read)
        return logits


class TargetMean(nn.Module):
    """For each target the mean of its scores over the positions, weighted by a softmax of how well
    its query goes with each position's key, and of the place in the window."""

    def __init__(self, positions: int, units: int, targets: int):
        super().__init__()
        rank = max(units // 4, 1)
        self.keys = nn.Linear(units, rank)
        self.queries = nn.Parameter(torch.randn(targets, rank) * rank**-0.5)
        self.place = nn.Parameter(torch.zeros(positions, 1))

    def forward(self, read: Tensor, scores: Tensor) -> Tensor:
        """Return `(batch, target)` of what was read, `(batch, position, units)`, and its scores
        `(batch, position, target)`."""
        weights = torch.softmax(self.keys(read) @ self.queries.t() + self.place, dim=1)
        return (weights * scores).sum(dim=1)


class WindowHead(nn.Module):
    """What the whole window says: a few numbers from each position, side by side, through a dense
    layer, as DanQ ends in one. It starts at zero."""

    def __init__(self, positions: int, units: int, hidden: int, targets: int, dropout: float):
        super().__init__()
        self.squeeze = nn.Linear(units, SQUEEZED)
        self.dense = nn.Linear(positions * SQUEEZED, hidden)
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, targets, bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, target)` of what was read, `(batch, position, units)`."""
        hidden = functional.gelu(self.dense(self.squeeze(read).flatten(1)))
        said: Tensor = self.output(self.drop(hidden))
        return said
