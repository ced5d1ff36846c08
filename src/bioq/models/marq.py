"""Marq: motifs, a few blocks that read how they are arranged, a query a target."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.errors import UsageError
from bioq.models.sizes import pooled_positions

KERNEL = 5
"""Pooled positions that the depth-wise convolution of a block spans."""
SQUEEZED = 8
"""Numbers that each position gives to the summary of the window."""
ROTARY_BASE = 10_000.0
"""Longest wavelength of the rotary positions, over two pi: Su et al. 2021."""


class Marq(nn.Module):
    """Convolution, max pooling, blocks of convolution and attention, and one weighted mean over the
    positions for each target.

    Where it comes from: the first layer is that of DanQ (Quang & Xie 2016), so that its filters can
    be read as motifs. A block is that of Conformer (Gulati et al. 2020) cut down: a depth-wise
    convolution with a gate (Dauphin et al. 2017), attention with rotary positions (Su et al. 2021)
    and a feed-forward layer, each after a norm and added to what came in. A query for each target
    is the idea of DeepATT (Li et al. 2021), here with one head, low rank and a linear layer in
    place of dense ones. docs/experiments.md has the numbers behind each choice.
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
        attention_units: int,
        attention_heads: int,
        dropout_conv: float,
        dropout_block: float,
        dropout_head: float,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {}
        """What `build_model` needs to build this network again."""
        positions = pooled_positions(window_bp, filter_width, pool_width)
        if attention_units % (2 * attention_heads):
            raise UsageError(
                f"attention_units is {attention_units}, attention_heads {attention_heads}; "
                "expected units that twice the heads divide"
            )
        self.conv = nn.Conv1d(4, filters, filter_width)
        self.pool = nn.MaxPool1d(pool_width)
        self.embed = Embedding(positions, filters, attention_units, dropout_conv)
        self.blocks = nn.Sequential(
            *(Block(attention_units, attention_heads, dropout_block) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(attention_units)
        self.drop_head = nn.Dropout(dropout_head)
        self.window = WindowSummary(positions, attention_units, dropout_head)
        self.output = nn.Linear(attention_units, targets)
        self.mean = TargetMean(positions, attention_units, targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        found = functional.relu(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(found))

    def after_pooling(self, found: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = self.norm(self.blocks(self.embed(found.transpose(1, 2))))
        read = self.drop_head(read)  # (batch, position, unit)
        scores = self.output(read + self.window(read))  # (batch, position, target)
        logits: Tensor = self.mean(read, scores)
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
    """Neighbours by convolution, all positions by attention, each position by itself."""

    def __init__(self, units: int, heads: int, dropout: float):
        super().__init__()
        self.near_norm = nn.LayerNorm(units)
        self.near = nn.Conv1d(units, units, KERNEL, padding=KERNEL // 2, groups=units)
        self.near_gate = nn.Linear(units, 2 * units)
        self.near_out = nn.Linear(units, units)
        self.far_norm = nn.LayerNorm(units)
        self.far = RotaryAttention(units, heads)
        self.dense_norm = nn.LayerNorm(units)
        self.dense = nn.Linear(units, 2 * units)
        self.dense_out = nn.Linear(2 * units, units)
        self.drop = nn.Dropout(dropout)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, position, units)` of the same shape."""
        near = self.near(self.near_norm(read).transpose(1, 2)).transpose(1, 2)
        read = read + self.drop(self.near_out(functional.glu(self.near_gate(near))))
        read = read + self.drop(self.far(self.far_norm(read)))
        hidden = functional.gelu(self.dense(self.dense_norm(read)))
        added: Tensor = self.drop(self.dense_out(hidden))
        return read + added


class RotaryAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017) that knows distances by rotation (Su et al.
    2021): queries and keys are turned by an angle that grows with the position."""

    def __init__(self, units: int, heads: int):
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(units, 3 * units)
        self.merge = nn.Linear(units, units)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, position, units)` of the same shape."""
        batch, positions, units = read.shape
        split = self.inputs(read).view(batch, positions, 3, self.heads, units // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (batch, head, position, unit of head)
        seen = functional.scaled_dot_product_attention(_turned(query), _turned(key), value)
        merged: Tensor = self.merge(seen.transpose(1, 2).reshape(batch, positions, units))
        return merged


def _turned(vectors: Tensor) -> Tensor:
    """Return vectors `(batch, head, position, unit)`, each pair of units (the n-th of either half)
    turned by the position times the pair's rate."""
    first, second = vectors.chunk(2, dim=-1)
    pairs = torch.arange(first.shape[-1], device=vectors.device)
    rates = ROTARY_BASE ** (-pairs / len(pairs))
    angles = torch.arange(vectors.shape[-2], device=vectors.device)[:, None] * rates
    cosine, sine = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat(turned, dim=-1)


class WindowSummary(nn.Module):
    """What the whole window adds to every position: a few numbers from each of them, side by side,
    through a dense layer, as DanQ ends in one."""

    def __init__(self, positions: int, units: int, dropout: float):
        super().__init__()
        self.squeeze = nn.Linear(units, SQUEEZED)
        self.dense = nn.Linear(positions * SQUEEZED, units)
        self.drop = nn.Dropout(dropout)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, 1, units)` of what was read, `(batch, position, units)`."""
        hidden = functional.gelu(self.dense(self.squeeze(read).flatten(1)))
        summary: Tensor = self.drop(hidden)[:, None]
        return summary


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
