"""DanQ and BioQ: a convolution finds motifs, a recurrent network reads how they are arranged."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bioq.models.family import Architecture, Family
from bioq.models.recipe import Recipe
from bioq.models.recurrent import bidirectional_lstm, lstm_states
from bioq.models.sizes import Gates, SecondLstm, pooled_positions
from bioq.motifs import danq_jaspar_motifs


@dataclass(frozen=True)
class DanQSizes:
    """Sizes of a DanQ; `ModelSizes` describes each."""

    filters: int
    filter_width: int
    pool_width: int
    lstm_units: int
    lstm_layers: int
    dense_units: int
    dropout_conv: float
    dropout_head: float
    gates: Gates = "sigmoid"
    second_lstm: SecondLstm = "backward"


class DanQ(nn.Module):
    """Convolution, max pooling, bidirectional LSTM over the pooled positions, two dense layers.

    `bioq`, `danq` and `danq-jaspar` are this network in different sizes. There is no dropout
    between two LSTM layers: the published models drop after the last layer only.

    Sources: Quang & Xie 2016 (danq, danq-jaspar), Conboy & Konka 2024 (bioq: two LSTM layers).
    """

    def __init__(self, architecture: Architecture[DanQSizes]):
        super().__init__()
        sizes, units = architecture.sizes, architecture.sizes.lstm_units
        self.architecture = architecture.as_json()
        """The arguments of `build_model` that build this network again."""
        self.positions = pooled_positions(
            architecture.window_bp, sizes.filter_width, sizes.pool_width
        )
        """Positions after pooling."""
        self.conv = nn.Conv1d(4, sizes.filters, sizes.filter_width)
        self.relu_conv = nn.ReLU()
        self.pool = nn.MaxPool1d(sizes.pool_width)
        self.drop_conv = nn.Dropout(sizes.dropout_conv)
        self.lstm = bidirectional_lstm(
            sizes.filters, units, sizes.lstm_layers, gates=sizes.gates, second=sizes.second_lstm
        )
        self.drop_head = nn.Dropout(sizes.dropout_head)
        self.dense = nn.Linear(self.positions * 2 * units, sizes.dense_units)
        self.relu = nn.ReLU()
        self.output = nn.Linear(sizes.dense_units, architecture.targets)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of float one-hot windows `(batch, 4, window_bp)`."""
        maps = self.relu_conv(self.conv(windows))  # (batch, filter, window_bp - width + 1)
        return self.after_pooling(self.pool(maps))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of pooled activations `(batch, filter, position)`."""
        read = lstm_states(self.lstm, self.drop_conv(pooled).transpose(1, 2))
        flat = torch.flatten(self.drop_head(read), 1)  # (batch, position * 2 * lstm_units)
        hidden = self.relu(self.dense(flat))  # (batch, dense_units)
        logits: Tensor = self.output(hidden)  # (batch, target)
        return logits


# Conboy & Konka 2024: RMSprop at 1e-5, smoothing 0.9, clipping, 55 epochs over both strands.
_BIOQ_RECIPE = Recipe(
    start="pytorch",
    optimizer="rmsprop",
    learning_rate=1e-5,
    weight_decay=0.0,
    schedule="constant",
    warmup_epochs=0.0,
    batch_size=100,
    epochs=55,
    patience=0,
    clip_norm=1.0,
    strands="both",
    shift=0,
    select_by="valid_loss",
    output_bias=False,
    average=0.0,
    beta2=0.999,
)
# Quang & Xie 2016: RMSprop. Their DanQ_train.py: at most 60 epochs, stop after 5 without a better
# loss. Their Keras: learning rate 1e-3, first weights, how RMSprop computes (`training.keras`).
_DANQ_RECIPE = replace(
    _BIOQ_RECIPE,
    start="keras",
    optimizer="rmsprop-keras",
    learning_rate=1e-3,
    epochs=60,
    patience=5,
    clip_norm=0.0,
)

FAMILY = Family(
    DanQ,
    published={
        # Conboy & Konka 2024
        "bioq": DanQSizes(320, 26, 13, 320, 2, 925, 0.2, 0.5),
        # Quang & Xie 2016, Methods
        "danq": DanQSizes(320, 26, 13, 320, 1, 925, 0.2, 0.5),
        "danq-jaspar": DanQSizes(1024, 30, 15, 512, 1, 925, 0.2, 0.5),
    },
    recipes={"bioq": _BIOQ_RECIPE, "danq": _DANQ_RECIPE},
    motifs={"danq-jaspar": danq_jaspar_motifs},
)
