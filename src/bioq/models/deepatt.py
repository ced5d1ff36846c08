"""DeepATT: attention with one query per target instead of a dense layer over all positions."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.errors import UsageError
from bioq.models.family import Architecture, Family, LayerKind, Shape
from bioq.models.recipe import SMALL
from bioq.models.recurrent import lstm_states
from bioq.models.sizes import pooled_positions


@dataclass(frozen=True)
class DeepATTSizes:
    """Sizes of a DeepATT; `ModelSizes` describes each."""

    filters: int
    filter_width: int
    pool_width: int
    lstm_units: int
    lstm_layers: int
    dense_units: int
    dropout_conv: float
    dropout_head: float
    attention_units: int
    attention_heads: int


class DeepATT(nn.Module):
    """Convolution, max pooling, bidirectional LSTM, attention with one query per target, and two
    dense layers over the result of each query.

    Sources: Li et al. 2021 and the authors' code; the number of weights is equal (tests). The
    authors share the first dense layer between all targets. Their DeepATT also shares the last
    layer, their DeepATT-Plus has one row per target: BioQ builds DeepATT-Plus, because it starts
    and calibrates each target by its bias. In the authors' results the two differ by 0.0009 in
    macro AUROC, in favour of the shared layer.
    """

    def __init__(self, architecture: Architecture[DeepATTSizes]):
        super().__init__()
        sizes, targets = architecture.sizes, architecture.targets
        self.architecture = architecture.as_json()
        """The arguments of `build_model` that build this network again."""
        pooled_positions(architecture.window_bp, sizes.filter_width, sizes.pool_width)
        self.conv = nn.Conv1d(4, sizes.filters, sizes.filter_width)
        self.relu_conv = nn.ReLU()
        self.pool = nn.MaxPool1d(sizes.pool_width)
        self.drop_conv = nn.Dropout(sizes.dropout_conv)
        self.lstm = nn.LSTM(
            sizes.filters,
            sizes.lstm_units,
            sizes.lstm_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.attention = TargetAttention(
            targets=targets,
            inputs=2 * sizes.lstm_units,
            units=sizes.attention_units,
            heads=sizes.attention_heads,
        )
        self.drop_head = nn.Dropout(sizes.dropout_head)
        self.dense = nn.Linear(sizes.attention_units, sizes.dense_units)
        self.relu = nn.ReLU()
        self.output = TargetLinear(sizes.dense_units, targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        maps = self.relu_conv(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(maps))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = lstm_states(self.lstm, self.drop_conv(pooled).transpose(1, 2))
        answers = self.attention(read)  # (batch, target, attention_units)
        hidden = self.relu(self.dense(self.drop_head(answers)))  # (batch, target, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits


class TargetAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017) whose queries are weights, one per target.

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
        """The query of target t is column t of the weights plus the bias."""
        self.key = nn.Linear(inputs, units)
        self.value = nn.Linear(inputs, units)
        self.merge = nn.Linear(units, units)
        # nn.MultiheadAttention and the authors' Keras layers start with these values.
        for layer in (self.query, self.key, self.value, self.merge):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, read: Tensor) -> Tensor:
        """Return `(batch, target, units)` of `(batch, position, inputs)`."""
        query = self._by_head((self.query.weight.t() + self.query.bias)[None])
        key, value = self._by_head(self.key(read)), self._by_head(self.value(read))
        answers = functional.scaled_dot_product_attention(
            query.expand(len(read), -1, -1, -1), key, value
        )  # (batch, head, target, units / heads)
        merged: Tensor = self.merge(answers.transpose(1, 2).flatten(2))
        return merged

    def _by_head(self, rows: Tensor) -> Tensor:
        """Return `(batch, head, row, units / heads)` of `(batch, row, units)`."""
        batch, count, units = rows.shape
        return rows.reshape(batch, count, self.heads, units // self.heads).transpose(1, 2)


class TargetLinear(nn.Linear):
    """A dense layer whose output for a target reads the features of that target alone."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return `(batch, target)` of `(batch, target, features)`."""
        return torch.einsum("btf,tf->bt", hidden, self.weight) + self.bias


def _attention_text(layer: TargetAttention) -> str:
    units = layer.merge.out_features // layer.heads
    return f"attention, a query per target, {layer.heads} heads of {units}"


def _attention_flops(_layer: TargetAttention, given: Shape, output: Shape) -> int:
    (positions, inputs), (targets, units) = given, output
    attended = positions * inputs * units + targets * units * positions  # keys; and products
    return 2 * (2 * attended + targets * units * units)  # values as keys; then `merge`


FAMILY = Family(
    DeepATT,
    # Li et al. 2021, and model/model.py of the authors
    published={"deepatt": DeepATTSizes(1024, 30, 15, 512, 1, 100, 0.2, 0.2, 400, 4)},
    # docs/log/experiments.md: with outputs that start at the positive rates, first steps reduce
    # every varying input of the outputs, and every unit of the ReLU layer dies.
    recipes={"deepatt": replace(SMALL, output_bias=False)},
    small_recipe="deepatt",
    layers={TargetAttention: LayerKind(_attention_text, ("target", "unit"), _attention_flops)},
)
