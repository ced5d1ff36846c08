"""Training recipes, and the recipe `small` that the recipes of single models start from.

The recipe of a model is in the model's file; `training.recipes` collects the recipes. Does not
import torch.
"""

from dataclasses import dataclass
from typing import Literal

from bioq.options import AtLeastOne, AtLeastZero, NotNegative, Positive, Share

Optimizer = Literal["rmsprop", "rmsprop-keras", "adam", "adamw"]
Start = Literal["pytorch", "keras"]
Schedule = Literal["constant", "cosine"]
TrainStrands = Literal["random", "both", "forward"]
SelectBy = Literal[
    "valid_loss",
    "valid_macro_average_precision",
    "valid_macro_roc_auc",
    "valid_micro_average_precision",
]


@dataclass(frozen=True)
class Recipe:
    """How the weights are trained. `--from`, seed and precision complete the computation."""

    start: Start
    optimizer: Optimizer
    learning_rate: Positive
    weight_decay: NotNegative
    schedule: Schedule
    warmup_epochs: NotNegative
    batch_size: AtLeastOne
    epochs: AtLeastOne
    patience: AtLeastZero
    clip_norm: NotNegative
    strands: TrainStrands
    shift: AtLeastZero
    select_by: SelectBy
    output_bias: bool
    average: Share
    beta2: Share

    @property
    def times_shown(self) -> int:
        """How often an epoch shows each window."""
        return 2 if self.strands == "both" else 1


# The best on validation of the recipes in docs/log/experiments.md, on 11,719 yeast windows. Steps
# count, so batches are small; the cosine runs to its end, since its last epochs are the best.
SMALL = Recipe(
    start="pytorch",
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    schedule="cosine",
    warmup_epochs=1.0,
    batch_size=32,
    epochs=20,
    patience=0,
    clip_norm=1.0,
    strands="random",
    shift=0,
    select_by="valid_macro_roc_auc",
    output_bias=True,
    average=0.0,
    beta2=0.999,
)
