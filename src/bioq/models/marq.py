"""Marq: motifs, a few blocks that read how they are arranged, a query a target."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.models.sizes import pooled_positions

KERNEL = 9
"""Pooled positions that the depth-wise convolution of a block spans."""
SQUEEZED = 8
"""Numbers that each position gives to the dense layer over the whole window."""


class Marq(nn.Module):
    """Convolution, max pooling, convolutional blocks, and for each target the sum of two: a
    weighted mean over the positions, and what the window says as a whole.

    Where it comes from: the first layer is that of DanQ (Quang & Xie 2016), so that its filters can
    be read as motifs. A block is that of Conformer (Gulati et al. 2020) without its attention: a
    depth-wise convolution with a gate (Dauphin et al. 2017) and a feed-forward layer, each after a
    norm and added to what came in. A query for each target is the idea of DeepATT (Li et al. 2021),
    here with one head, low rank and a linear layer in place of dense ones. The dense layer over all
    positions is that of DanQ, from few numbers a position. docs/experiments.md has the numbers
    behind each choice.
    """

    def __init__(
        self,
        *,
        targets: int,
        window_bp: int,
        filters: int,
        filter_width: int,
        pool_width: int,
        blocks: int,
        block_units: int,
        dense_units: int,
        dropout_conv: float,
        dropout_block: float,
        dropout_head: float,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {}
        """What `build_model` needs to build this network again."""
        positions = pooled_positions(window_bp, filter_width, pool_width)
        self.conv = nn.Conv1d(4, filters, filter_width)
        self.pool = nn.MaxPool1d(pool_width)
        self.embed = Embedding(positions, filters, block_units, dropout_conv)
        self.blocks = nn.Sequential(*(Block(block_units, dropout_block) for _ in range(blocks)))
        self.norm = nn.LayerNorm(block_units)
        self.drop_head = nn.Dropout(dropout_head)
        self.output = nn.Linear(block_units, targets)
        self.mean = TargetMean(positions, block_units, targets)
        self.window = WindowHead(positions, block_units, dense_units, targets, dropout_head)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        found = functional.relu(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(found))

    def after_pooling(self, found: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = self.norm(self.blocks(self.embed(found.transpose(1, 2))))
        read = self.drop_head(read)  # (batch, position, unit)
        logits: Tensor = self.mean(read, self.output(read)) + self.window(read)
        return logits


class Embedding(nn.Module):
    """A vector for each pooled position: what was found there, and where it is."""

    def __init__(self, positions: int, inputs: int, units: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.drop = nn.Dropout(dropout)
        self.dense = nn.Linear(inputs, units)
        self.place = nn.Parameter(0.02 * torch.randn(positions, units))

    def forward(self, found: Tensor) -> Tensor:
        """Return `(batch, position, units)` of `(batch, position, inputs)`."""
        embedded: Tensor = self.dense(self.drop(self.norm(found))) + self.place
        return embedded


class Block(nn.Module):
    """Neighbours by convolution, then each position by itself."""

    def __init__(self, units: int, dropout: float):
        super().__init__()
        self.near_norm = nn.LayerNorm(units)
        self.near = nn.Conv1d(units, units, KERNEL, padding=KERNEL // 2, groups=units)
        self.near_gate = nn.Linear(units, 2 * units)
        self.near_out = nn.Linear(units, units)
        self.dense_norm = nn.LayerNorm(units)
        self.dense = nn.Linear(units, 2 * units)
        self.dense_out = nn.Linear(2 * units, units)
        self.drop = nn.Dropout(dropout)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, position, units)` of the same shape."""
        near = self.near(self.near_norm(read).transpose(1, 2)).transpose(1, 2)
        read = read + self.drop(self.near_out(functional.glu(self.near_gate(near))))
        hidden = functional.gelu(self.dense(self.dense_norm(read)))
        added: Tensor = self.drop(self.dense_out(hidden))
        return read + added


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
