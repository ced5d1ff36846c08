"""How to train: the recipes of the papers, those of BioQ, and the options that change them."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bioq.dataset.batches import DataIn
from bioq.forward import Precision
from bioq.models import families as models
from bioq.models.recipe import SMALL, Optimizer, Recipe, Schedule, SelectBy, Start, TrainStrands
from bioq.models.source import names_source
from bioq.options import AtLeastOne, AtLeastZero, NotNegative, Positive, Range, Share, check_types
from bioq.training.keras import KerasRMSprop

if TYPE_CHECKING:
    RecipeName = str
else:  # the choices of `--recipe` follow from the models' records
    RecipeName = Literal[("auto", "small", "large", *models.FAMILY_RECIPES)]

Devices = Annotated[int, Range(least=1, most=4096)]
"""Devices of a machine, or machines: more are a slip of the keyboard, and each device is a process.
"""
SMALL_WINDOWS = 200_000
"""Training sets with fewer windows than this get the recipe `small`."""

RECIPES: dict[str, Recipe] = {
    "small": SMALL,
    # With millions of windows an epoch has enough steps: larger batches, fewer epochs. Not measured
    # at that size yet. Outputs that start at the positive rates help the first steps only, and
    # harm deepatt.
    "large": replace(SMALL, batch_size=256, epochs=10, warmup_epochs=0.1, output_bias=False),
    **models.FAMILY_RECIPES,
}

SMALL_RECIPES = frozenset(family.small_recipe for family in models.FAMILIES)
"""The recipes for small training sets."""
LEAST_STEPS = 5400
"""A small training set gets the epochs that make so many steps:
docs/reference/training-defaults.md, "Epochs of a small training set"."""
MOST_EPOCHS = 200
"""The largest number of epochs that `LEAST_STEPS` leads to: each epoch costs a validation too."""

FINE_TUNING_RATE = 3e-4
"""Learning rate of a training that starts from a trained network."""
FROZEN_RATE = 3e-3
"""The same with `--freeze`: only the output layer learns."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. For an option that is None the recipe decides."""

    recipe: RecipeName = "auto"
    """auto: large from 200,000 training windows; below that small or, for the models deepatt and
    marq, the recipe of that name. bioq: Conboy & Konka 2024. danq: Quang & Xie 2016."""
    start: Start | None = None
    """First weights of convolutions, LSTMs and dense layers: pytorch, or keras (Keras 0.2, in which
    DanQ was trained: docs/reference/training-defaults.md)."""
    optimizer: Optimizer | None = None
    """rmsprop (smoothing 0.9), rmsprop-keras (that of Keras 0.2, whose steps become smaller with
    small gradients), adam or adamw."""
    lr: Positive | None = None
    """Highest learning rate."""
    weight_decay: NotNegative | None = None
    """Pull of the weights, not of the biases, towards zero; decoupled with adamw."""
    schedule: Schedule | None = None
    """constant, or cosine: down to a hundredth of the learning rate at the last step."""
    warmup_epochs: NotNegative | None = None
    """Epochs over which the learning rate rises from zero."""
    batch_size: AtLeastOne | None = None
    """Windows per step."""
    epochs: AtLeastOne | None = None
    """Largest number of epochs: times that every training window is shown."""
    patience: AtLeastZero | None = None
    """Stop after this many epochs without a better validation; 0 never stops early."""
    clip_norm: NotNegative | None = None
    """Largest norm of the gradient; 0 does not clip."""
    strands: TrainStrands | None = None
    """random: each window on a random strand, drawn again every epoch. both: every window on both
    strands every epoch, as in the papers. forward: the stored strand."""
    shift: AtLeastZero | None = None
    """Move each window by up to this many bases to either side, drawn again every epoch; the bases
    that move in are unknown. 0 moves no window."""
    select_by: SelectBy | None = None
    """Validation score that decides which weights are kept and when to stop; if it is undefined (no
    target has both positive and negative windows), the validation loss decides."""
    output_bias: bool | None = None
    """Start the outputs at the targets' positive rates instead of at one half."""
    average: Share | None = None
    """Decay per step of a running mean of the weights, for example 0.995; validation uses the
    mean, and the run keeps it. 0 computes no mean."""
    seed: int = 0
    """Decides initial weights, order, strands and dropout."""
    precision: Precision = "32"
    """32: exact float32. tf32: matrix units of NVIDIA cards. bf16: mixed bfloat16, with tf32 in
    the LSTM on NVIDIA cards."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""
    devices: Devices = 1
    """Devices per machine that train together, each in a process (needs bioq[distributed]); under
    torchrun and srun as many as these start."""
    nodes: Devices = 1
    """Machines that train together."""
    data_in: DataIn = "auto"
    """Where the packed windows are kept: disk, memory, device (GPU memory), or auto."""
    checkpoint_min: NotNegative = 5.0
    """Minutes between two checkpoints within an epoch; each epoch also ends with a checkpoint."""
    tensorboard: bool = False
    """Also log for TensorBoard into RUN/tensorboard (needs bioq[tensorboard])."""

    def __post_init__(self) -> None:
        check_types(self)

    def recipe_name(self, train_windows: int, model: str = "") -> str:
        """Return the name of the recipe: `recipe`, or the recipe that auto takes for a model."""
        if self.recipe != "auto":
            return self.recipe
        is_family = model and not names_source(model)
        small = models.family_named(model).small_recipe if is_family else "small"
        return small if train_windows < SMALL_WINDOWS else "large"

    def resolve(self, train_windows: int, model: str = "") -> Recipe:
        """Return the recipe of a model with every choice made."""
        name = self.recipe_name(train_windows, model)
        options = {**asdict(self), "learning_rate": self.lr}
        names = [field.name for field in fields(Recipe) if options.get(field.name) is not None]
        return replace(RECIPES[name], **{name: options[name] for name in names})

    def with_enough_steps(self, recipe: Recipe, train_windows: int, model: str) -> Recipe:
        """Return the recipe of a training with validation: a small training set gets more epochs,
        from which validation chooses, unless `epochs` is given."""
        if self.epochs is not None or self.recipe_name(train_windows, model) not in SMALL_RECIPES:
            return recipe
        steps_per_epoch = math.ceil(train_windows * recipe.times_shown / recipe.batch_size)
        epochs = min(math.ceil(LEAST_STEPS / max(steps_per_epoch, 1)), MOST_EPOCHS)
        return replace(recipe, epochs=max(epochs, recipe.epochs))


def fine_tuning(config: TrainConfig, *, freeze: bool) -> TrainConfig:
    """Return the options of a training that starts from the weights of a run: a learning rate
    measured for it (docs/log/experiments.md), unless the caller names a learning rate or a recipe.
    """
    if config.lr is not None or config.recipe != "auto":
        return config
    return replace(config, lr=FROZEN_RATE if freeze else FINE_TUNING_RATE)


# Options that may differ when a run is resumed. They do not change the result, except `device`,
# whose arithmetic may differ in the last bits, and the number of devices, which also decides what
# dropout drops.
RUNTIME_OPTIONS = ("device", "devices", "nodes", "data_in", "checkpoint_min", "tensorboard")

_LOWEST_LEARNING_RATE = 0.01
"""Share of the learning rate at which the cosine schedule ends."""


def learning_rate_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step (from 0): linear warm-up, then the schedule."""
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    total = recipe.epochs * steps_per_epoch
    done = min((step - warmup) / max(total - warmup, 1), 1.0)
    share = _LOWEST_LEARNING_RATE + (1 - _LOWEST_LEARNING_RATE) * (1 + math.cos(math.pi * done)) / 2
    return recipe.learning_rate * share


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of the parameters of a model that learn; biases have no weight
    decay."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in learning if parameter.ndim > 1]
    biases = [parameter for parameter in learning if parameter.ndim <= 1]
    groups: Iterable[dict[str, Any]] = (
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    )
    if recipe.optimizer == "rmsprop-keras":
        return KerasRMSprop(groups, lr=recipe.learning_rate)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=0.9)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    # fused: one pass over the memory instead of a dozen. None lets PyTorch choose.
    fused = True if learning[0].device.type in ("cpu", "cuda") else None
    return kind(groups, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), fused=fused)


def running_mean(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a model whose `update_parameters` moves it by 1 - decay towards its argument
    (Polyak & Juditsky 1992, with the exponential weights of Kingma & Ba 2015, section 7.2); the
    first call copies the weights."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def seed_of(seed: int, *use: str | int) -> int:
    """Return a different seed for every use, derived from the user's seed."""
    text = repr((seed, *use)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1
