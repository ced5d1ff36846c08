"""One training step of 100 windows: BioQ beside eager PyTorch, the papers' loop and Keras.

    python benchmarks/peers/training.py [--model bioq] [--threads 1]

Published sizes, 919 targets, float32, the recipe of BioQ's paper: RMSprop at 1e-5, gradients
clipped to norm 1, dropout. BioQ reads its windows from disk, the loop row by row from HDF5 with a
look at the loss after every step; eager PyTorch and Keras get tensors that lie ready. Checked
before: three steps without dropout give the same losses.
"""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import Call, Contender, main, parser
from rows import RowByRow, write_rows
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bioq.models import ModelSizes, build_model
from bioq.training.recipes import TrainConfig, make_optimizer

BATCH, CHECKED, WINDOWS = 100, 3, 600
CONFIG = TrainConfig(recipe="bioq")
# Keras's LSTM has one bias where PyTorch's has two, which RMSprop moves one by one.
KERAS_TOLERANCE = 1e-3

_PROCESS = contextlib.ExitStack()
"""Holds what stays open until the process ends."""

Step = Callable[[int], float]
"""Takes the step of a number, on rows 100 * number and on; returns its loss."""


def eager(options: argparse.Namespace, case: str) -> Call:
    def make(model: nn.Module) -> Step:
        step, ready = _eager_step(model.train()), _batches(options)
        return lambda number: step(*ready[number % len(ready)])

    return _call(options, make)


def row_by_row(options: argparse.Namespace, case: str) -> Call:
    def make(model: nn.Module) -> Step:
        step = _eager_step(model.train())
        stream = _endless(DataLoader(RowByRow(options.folder / "rows.h5"), BATCH))
        return lambda number: step(*next(stream))

    return _call(options, make)


def bioq(options: argparse.Namespace, case: str) -> Call:
    from bioq.dataset import open_dataset
    from bioq.fast.memory import kept_memory
    from bioq.training.augmentation import EpochOrder
    from bioq.training.distributed import Ranks
    from bioq.training.plan import TrainingRequest, make_plan
    from bioq.training.train import make_loop

    _PROCESS.enter_context(kept_memory())  # as a run of `bioq.train` does throughout
    data = open_dataset(options.folder / "data")
    run = options.folder / f"contender-{options.turns_of}"

    def make(model: nn.Module) -> Step:
        config = TrainConfig(recipe="bioq", data_in="disk")
        plan = make_plan(TrainingRequest(config=config), data)
        loop = make_loop(plan, model, data, run, Ranks(torch.device("cpu")))
        model.train()
        order = EpochOrder(torch.arange(WINDOWS), torch.zeros(WINDOWS, dtype=torch.bool), None)

        def step(number: int) -> float:
            start = number * BATCH % WINDOWS
            return float(loop._step(order[start : start + BATCH])) / BATCH

        return step

    return _call(options, make)


def keras(options: argparse.Namespace, case: str) -> Call:
    import keras
    from keras_danq import keras_danq

    def make(model: nn.Module) -> Step:
        network = keras_danq(model, dropout=True)
        recipe = CONFIG.resolve(WINDOWS)
        optimizer = keras.optimizers.RMSprop(
            recipe.learning_rate,
            rho=0.9,
            epsilon=1e-16,  # Keras adds it before the root, PyTorch 1e-8 after
            global_clipnorm=recipe.clip_norm,
        )
        network.compile(optimizer, loss="binary_crossentropy")
        ready = [
            (windows.transpose(1, 2).contiguous().numpy(), labels.numpy())
            for windows, labels in _batches(options)
        ]
        return lambda number: float(network.train_on_batch(*ready[number % len(ready)]))

    return _call(options, make)


def generate(folder: Path, options: argparse.Namespace) -> None:
    write_rows(folder, WINDOWS)


def _call(options: argparse.Namespace, make: Callable[[nn.Module], Step]) -> Call:
    """Return a call that checks three losses without dropout once and then times steps with it."""
    torch.set_num_threads(options.threads)
    step: Step | None = None
    taken = 0

    def call() -> Any:
        nonlocal step, taken
        if step is None:
            without = make(_model(options, dropout=False))
            losses = [without(number) for number in range(CHECKED)]
            del without
            step = make(_model(options, dropout=True))
            step(0)
            return np.array(losses)
        taken += 1
        return step(taken)

    return call


def _model(options: argparse.Namespace, *, dropout: bool) -> nn.Module:
    torch.manual_seed(0)
    sizes = ModelSizes() if dropout else ModelSizes(dropout_conv=0.0, dropout_head=0.0)
    return build_model(options.model, targets=919, sizes=sizes)


def _eager_step(model: nn.Module) -> Callable[[Tensor, Tensor], float]:
    recipe = CONFIG.resolve(WINDOWS)
    optimizer = make_optimizer(recipe, model)

    def step(windows: Tensor, labels: Tensor) -> float:
        loss = nn.functional.binary_cross_entropy_with_logits(model(windows), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        return loss.item()

    return step


def _batches(options: argparse.Namespace) -> list[list[Tensor]]:
    return list(DataLoader(RowByRow(options.folder / "rows.h5"), BATCH))


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


CONTENDERS = (
    Contender("PyTorch eager, windows ready", eager, ("torch",)),
    Contender("BioQ, from disk", bioq, ours=True, tolerance=1e-5),
    Contender("the papers' loop, h5py row by row", row_by_row, ("h5py",)),
    Contender(
        "Keras on PyTorch",
        keras,
        ("keras",),
        tolerance=KERAS_TOLERANCE,
        environment={"KERAS_BACKEND": "torch"},
    ),
    Contender(
        "Keras on JAX",
        keras,
        ("keras", "jax"),
        tolerance=KERAS_TOLERANCE,
        environment={"KERAS_BACKEND": "jax"},
    ),
)

if __name__ == "__main__":
    arguments = parser(__doc__, rounds=3)
    arguments.add_argument("--model", default="bioq", help="bioq, danq or danq-jaspar")
    chosen = arguments.parse_args()
    main(
        chosen,
        CONTENDERS,
        {f"{chosen.model}, batch {BATCH}": BATCH},
        subject=f"training of {chosen.model}",
        unit="windows",
        generate=generate,
    )
