"""Marq: a convolution, a recurrent network and one query per target; added to them, a linear
model of the 5-mers in the window."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bioq.models.composition import COMPOSITION_KIND, Composition
from bioq.models.family import Architecture, Family, LayerKind, Shape
from bioq.models.recipe import SMALL
from bioq.models.recurrent import lstm_states
from bioq.models.sizes import pooled_positions

SQUEEZED = 8
"""Numbers that each position passes to the dense layer over the whole window."""


@dataclass(frozen=True)
class MarqSizes:
    """Sizes of a Marq; `ModelSizes` describes each."""

    filters: int
    filter_width: int
    pool_width: int
    lstm_units: int
    lstm_layers: int
    dense_units: int
    dropout_conv: float
    dropout_head: float
    composition_share: float


class Marq(nn.Module):
    """DanQ with other last layers: convolution, max pooling, bidirectional LSTM, and for each
    target the sum of a weighted mean over the positions and a dense layer over the whole window.

    The convolution and the LSTM are those of DanQ (Quang & Xie 2016), with a norm between them, so
    that filters can be read as motifs. A query per target is the idea of DeepATT (Li et al. 2021),
    here with one head, low rank and a linear layer instead of dense layers. The dense layer over
    all positions is that of DanQ, with few inputs per position.

    The logits of this network are mixed with those of the window's composition, weighted by
    `composition_share`. Training changes the network alone (`network`), without the composition:
    two predictors that are trained separately make different errors. docs/log/experiments.md has
    the numbers behind each choice.
    """

    def __init__(self, architecture: Architecture[MarqSizes]):
        super().__init__()
        sizes, targets = architecture.sizes, architecture.targets
        units = 2 * sizes.lstm_units
        self.architecture = architecture.as_json()
        """The arguments of `build_model` that build this network again."""
        positions = pooled_positions(architecture.window_bp, sizes.filter_width, sizes.pool_width)
        self.conv = nn.Conv1d(4, sizes.filters, sizes.filter_width)
        self.relu_conv = nn.ReLU()
        self.pool = nn.MaxPool1d(sizes.pool_width)
        self.norm = nn.LayerNorm(sizes.filters)
        self.drop_conv = nn.Dropout(sizes.dropout_conv)
        self.lstm = nn.LSTM(
            sizes.filters,
            sizes.lstm_units,
            sizes.lstm_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.drop_head = nn.Dropout(sizes.dropout_head)
        self.output = nn.Linear(units, targets)
        self.mean = TargetMean(positions, units, targets)
        self.window = WindowHead(positions, units, sizes.dense_units, targets, sizes.dropout_head)
        self.composition_share = sizes.composition_share
        self.composition = (
            Composition(architecture.window_bp, targets) if sizes.composition_share else None
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        logits = self.network(windows)
        if self.composition is None:
            return logits
        return self.mixed(logits, self.composition(windows))

    def mixed(self, of_network: Tensor, of_composition: Tensor) -> Tensor:
        """Return the mean of the two logits `(batch, targets)`, weighted by
        `composition_share`."""
        return torch.lerp(of_network, of_composition.to(of_network.dtype), self.composition_share)

    def network(self, windows: Tensor) -> Tensor:
        """Return the logits of the part that training changes, without the composition.

        Takes and returns tensors of the same shapes as `forward`.
        """
        maps = self.relu_conv(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(maps))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = lstm_states(self.lstm, self.drop_conv(self.norm(pooled.transpose(1, 2))))
        return self.after_lstm(read)

    def after_lstm(self, read: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of the LSTM's output `(batch, position, unit)`."""
        read = self.drop_head(read)
        logits: Tensor = self.mean(read, self.output(read)) + self.window(read)
        return logits


class TargetMean(nn.Module):
    """For each target the mean of its scores over the positions, weighted by a softmax. The weight
    of a position is the product of its key with the target's query, plus a bias per position."""

    def __init__(self, positions: int, units: int, targets: int):
        super().__init__()
        rank = max(units // 4, 1)
        self.keys = nn.Linear(units, rank)
        queries = torch.empty(targets, rank)
        if not queries.is_meta:  # there PyTorch loads its compiler for it: a second per command
            queries.normal_().mul_(rank**-0.5)
        self.queries = nn.Parameter(queries)
        self.place = nn.Parameter(torch.zeros(positions, 1))  # trained runs have this name

    def forward(self, read: Tensor, scores: Tensor) -> Tensor:
        """Return `(batch, target)` of the LSTM's output `(batch, position, units)` and its scores
        `(batch, position, target)`."""
        weights = torch.softmax(self.keys(read) @ self.queries.t() + self.place, dim=1)
        return (weights * scores).sum(dim=1)


class WindowHead(nn.Module):
    """A dense layer over the whole window, as in DanQ, with a few inputs per position. Its output
    starts at zero."""

    def __init__(self, positions: int, units: int, hidden: int, targets: int, dropout: float):
        super().__init__()
        self.squeeze = nn.Linear(units, SQUEEZED)
        self.dense = nn.Linear(positions * SQUEEZED, hidden)
        self.gelu = nn.GELU()
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, targets, bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, target)` of the LSTM's output `(batch, position, units)`."""
        hidden = self.gelu(self.dense(self.squeeze(read).flatten(1)))
        logits: Tensor = self.output(self.drop(hidden))
        return logits


def _network(model: Marq) -> Callable[[Tensor], Tensor]:
    return model.network


def _mean_flops(layer: TargetMean, given: Shape, _output: Shape) -> int:
    positions, _ = given
    targets, rank = layer.queries.shape
    return 2 * positions * (layer.keys.weight.numel() + targets * rank)


def _head_text(layer: WindowHead) -> str:
    return f"dense {layer.dense.out_features}, GELU, dense"


def _head_flops(layer: WindowHead, _given: Shape, _output: Shape) -> int:
    parts = (layer.squeeze, layer.dense, layer.output)
    squeeze, dense, out = (part.weight.numel() for part in parts)
    positions = layer.dense.in_features // layer.squeeze.out_features
    return 2 * (positions * squeeze + dense + out)


# docs/log/experiments.md: Marq bears a higher rate if the second moments forget faster; shifted
# windows keep it from memorising them; micro AP, of all targets together, chooses the epoch. Three
# epochs of warm-up: with one, an earlier Marq with convolutional blocks instead of the LSTM stayed
# on a plateau on the simulated grammar for one seed in three.
_RECIPE = replace(
    SMALL,
    learning_rate=4e-3,
    warmup_epochs=3.0,
    beta2=0.99,
    weight_decay=5e-2,
    shift=20,
    average=0.995,
    select_by="valid_micro_average_precision",
)

FAMILY = Family(
    Marq,
    # docs/log/experiments.md
    published={"marq": MarqSizes(64, 20, 20, 32, 1, 128, 0.2, 0.4, 0.3)},
    recipes={"marq": _RECIPE},
    small_recipe="marq",
    trained=_network,
    layers={
        TargetMean: LayerKind(lambda _: "attention, a query per target", ("target",), _mean_flops),
        WindowHead: LayerKind(_head_text, ("target",), _head_flops),
        Composition: COMPOSITION_KIND,
    },
)
