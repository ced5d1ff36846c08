"""How to train: the papers' recipes, BioQ's own, and what a user may change of them."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bioq.dataset.batches import DataIn
from bioq.errors import UsageError
from bioq.forward import Precision
from bioq.models import families as models
from bioq.models.recipe import SMALL, Optimizer, Recipe, Schedule, SelectBy, TrainStrands

if TYPE_CHECKING:
    RecipeName = str
else:  # the choices of `--recipe` follow from the models' records
    RecipeName = Literal[("auto", "small", "large", *models.RECIPES)]

SMALL_WINDOWS = 200_000
"""Training sets with fewer windows than this get the recipe `small`."""

RECIPES: dict[str, Recipe] = {
    "small": SMALL,
    # For millions of windows an epoch has steps enough: larger batches, fewer epochs. Not measured
    # at that size yet. Where outputs start matters to the first steps of very many, and harms
    # deepatt.
    "large": replace(SMALL, batch_size=256, epochs=10, warmup_epochs=0.1, output_bias=False),
    **models.RECIPES,
}


FINE_TUNING_RATE = 3e-4
"""Learning rate where a trained network learns on."""
FROZEN_RATE = 3e-3
"""Learning rate where only its output layer does."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. What is left out (None) is as the recipe says."""

    recipe: RecipeName = "auto"
    """auto: BioQ's own recipes, small (deepatt and marq for these models) or large, by the number
    of training windows. bioq: Conboy & Konka 2024. danq: Quang & Xie 2016."""
    optimizer: Optimizer | None = None
    """rmsprop (smoothing 0.9), adam or adamw."""
    lr: float | None = None
    """Learning rate at its highest."""
    weight_decay: float | None = None
    """Pull of the weights towards zero (biases are left alone); decoupled with adamw."""
    schedule: Schedule | None = None
    """constant, or cosine: down to a hundredth of the learning rate at the last step."""
    warmup_epochs: float | None = None
    """Epochs over which the learning rate rises from zero."""
    batch_size: int | None = None
    """Windows a step."""
    epochs: int | None = None
    """Times that every training window is shown, at most."""
    patience: int | None = None
    """Stop after this many epochs without a better validation; 0 never stops early."""
    clip_norm: float | None = None
    """Largest norm of the gradient; 0 does not clip."""
    strands: TrainStrands | None = None
    """random: each window on a strand drawn anew every epoch. both: every window on both strands
    every epoch, as the papers do. forward: as stored."""
    shift: int | None = None
    """Move each window by up to so many bases, either way, drawn anew every epoch; the bases that
    come in are unknown ones. 0 shows it as it is."""
    select_by: SelectBy | None = None
    """The validation figure that decides which weights are kept and when to stop."""
    output_bias: bool | None = None
    """Start the outputs at the targets' positive rates instead of at one half."""
    average: float | None = None
    """Share of itself that a running mean of the weights keeps at every step; the mean is what is
    validated and kept. 0 keeps the weights themselves."""
    seed: int = 0
    """Decides initial weights, order, strands and dropout."""
    precision: Precision = "32"
    """32: exact float32. tf32: matrix units of NVIDIA cards. bf16: mixed bfloat16, with tf32 in
    the LSTM on NVIDIA cards."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps; by default the first CUDA card, else the CPU."""
    devices: int = 1
    """Devices that train together on each machine, one process each (needs bioq[distributed]);
    under torchrun and srun as many as they start."""
    nodes: int = 1
    """Machines that train together."""
    data_in: DataIn = "auto"
    """Where the packed windows lie: disk, memory, device (GPU memory), or auto."""
    checkpoint_min: float = 5.0
    """Minutes between two checkpoints within an epoch; one is written after every epoch anyway."""
    tensorboard: bool = False
    """Also log for TensorBoard into RUN/tensorboard (needs bioq[tensorboard])."""

    def resolve(self, train_windows: int, model: str = "") -> Recipe:
        """Return the recipe of a model with every choice made. Raises UsageError for one out of
        range."""
        self.check_devices()
        name: str = self.recipe
        if name == "auto":
            small = models.family_named(model).small_recipe if model else "small"
            name = small if train_windows < SMALL_WINDOWS else "large"
        if name not in RECIPES:
            raise UsageError(f"recipe {name!r}; expected one of auto, {', '.join(RECIPES)}")
        names = {field.name for field in fields(Recipe)}
        chosen = {
            _OPTION_NAMES.get(option, option): value
            for option, value in asdict(self).items()
            if value is not None
        }
        recipe = replace(
            RECIPES[name], **{option: chosen[option] for option in chosen.keys() & names}
        )
        _check(recipe)
        return recipe

    def check_devices(self) -> None:
        """Raise UsageError for a number of devices or nodes that is none."""
        for flag, value in (("--devices", self.devices), ("--nodes", self.nodes)):
            if value < 1:
                raise UsageError(f"{flag} {value}, expected 1 or more")


def fine_tuning(config: TrainConfig, *, freeze: bool) -> TrainConfig:
    """Return how to train from the weights of a run: BioQ's own recipe with a learning rate for
    that, measured in docs/experiments.md; a rate or recipe that the user names is kept."""
    if config.lr is not None or config.recipe != "auto":
        return config
    return replace(config, lr=FROZEN_RATE if freeze else FINE_TUNING_RATE)


def as_it_was(config: TrainConfig, resolved: Mapping[str, Any]) -> TrainConfig:
    """Return a config with the choices that its recipe made when a run began, as the run keeps
    them: recipes change between versions, a run does not."""
    names = {option.name: _OPTION_NAMES.get(option.name, option.name) for option in fields(config)}
    return replace(
        config, **{option: resolved[name] for option, name in names.items() if name in resolved}
    )


_OPTION_NAMES = {"lr": "learning_rate"}
# What may differ between the start of a run and its continuation: it changes no result, but for
# `device`, whose arithmetic may differ in the last bits, and the number of devices, which also
# decides what is dropped where.
RUNTIME_OPTIONS = ("device", "devices", "nodes", "data_in", "checkpoint_min", "tensorboard")

_LOWEST_LEARNING_RATE = 0.01
"""The cosine schedule ends at this share of the learning rate."""


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
    """Return the recipe's optimizer over the parameters of a model that learn; weight decay spares
    the biases."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in learning if parameter.ndim > 1]
    biases = [parameter for parameter in learning if parameter.ndim <= 1]
    groups: Iterable[dict[str, Any]] = (
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    )
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=0.9)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    # One pass over the memory in place of a dozen; None, PyTorch's choice, where there is none.
    fused = True if weights[0].device.type in ("cpu", "cuda") else None
    return kind(groups, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), fused=fused)


def running_mean(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a model whose `update_parameters` moves it by 1 - decay towards its argument
    (Polyak & Juditsky 1992, with the exponential weights of Kingma & Ba 2015, section 7.2); the
    first call takes the weights over."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def seed_of(seed: int, *what: str | int) -> int:
    """Return a seed of its own for every use, from the one that the user gives."""
    text = repr((seed, *what)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def _check(recipe: Recipe) -> None:
    wrong = [
        f"{flag} {value!r}, expected {expected}"
        for flag, value, expected, right in (
            ("--lr", recipe.learning_rate, "more than 0", recipe.learning_rate > 0),
            ("--weight-decay", recipe.weight_decay, "0 or more", recipe.weight_decay >= 0),
            ("--warmup-epochs", recipe.warmup_epochs, "0 or more", recipe.warmup_epochs >= 0),
            ("--batch-size", recipe.batch_size, "1 or more", recipe.batch_size >= 1),
            ("--epochs", recipe.epochs, "1 or more", recipe.epochs >= 1),
            ("--patience", recipe.patience, "0 or more", recipe.patience >= 0),
            ("--clip-norm", recipe.clip_norm, "0 or more", recipe.clip_norm >= 0),
            ("--shift", recipe.shift, "0 or more", recipe.shift >= 0),
            ("--average", recipe.average, "0 or more, below 1", 0 <= recipe.average < 1),
            (
                "--optimizer",
                recipe.optimizer,
                "rmsprop, adam, adamw",
                recipe.optimizer in ("rmsprop", "adam", "adamw"),
            ),
            (
                "--schedule",
                recipe.schedule,
                "constant, cosine",
                recipe.schedule in ("constant", "cosine"),
            ),
            (
                "--strands",
                recipe.strands,
                "random, both, forward",
                recipe.strands in ("random", "both", "forward"),
            ),
        )
        if not right
    ]
    if wrong:
        raise UsageError("; ".join(wrong))
