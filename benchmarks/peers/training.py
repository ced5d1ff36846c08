"""One training step of 100 windows: BioQ beside eager PyTorch, the papers' loop and Keras.

    python benchmarks/peers/training.py [--model bioq] [--threads 1] [--tiny]

Published sizes, 919 targets, float32, the recipe of BioQ's paper: RMSprop at 1e-5, gradients
clipped to norm 1, dropout. BioQ is `bioq.train`, which reads its windows from disk; the loop reads
row by row from HDF5 and looks at the loss after every step; eager PyTorch and Keras get tensors
that lie ready. Checked before: three steps without dropout on the same 100 windows, from the same
weights, give the same losses.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from contest import TINY, Call, Contender, main, parser
from generated import write_dataset
from lively import sizes_of, targets_of
from measuring import parse
from rows import RowByRow, write_rows
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training_steps import PausedTraining

import bioq
from bioq.models import ModelSizes, build_model

BATCH, CHECKED, WINDOWS = 100, 3, 600
STEPS_OF_BIOQ = 600
"""Steps of its one epoch; they are not all taken."""
RATE, CLIP_NORM = 1e-5, 1.0
NO_DROPOUT = {"dropout_conv": 0.0, "dropout_head": 0.0}
# Keras's LSTM has one bias where PyTorch's has two, which RMSprop moves one by one.
KERAS_TOLERANCE = 1e-3

Step = Callable[[], float]
"""Takes the next step; returns its loss."""
Make = Callable[[nn.Module, Path], Step]
"""A model and the folder of its rows -> its steps."""


def eager(options: argparse.Namespace, case: str) -> Call:
    def make(model: nn.Module, folder: Path) -> Step:
        step, ready = _eager_step(model.train()), _endless(_batches(folder))
        return lambda: step(*next(ready))

    return _call(options, make)


def row_by_row(options: argparse.Namespace, case: str) -> Call:
    def make(model: nn.Module, folder: Path) -> Step:
        step = _eager_step(model.train())
        stream = _endless(DataLoader(RowByRow(folder / "rows.h5"), BATCH))
        return lambda: step(*next(stream))

    return _call(options, make)


def bioq_train(options: argparse.Namespace, case: str) -> Call:
    torch.set_num_threads(options.threads)
    own = options.folder / f"contender-{options.turns_of}"
    training: PausedTraining | None = None

    def call() -> Any:
        nonlocal training
        if training is None:
            losses = _train(options, options.folder / "check", own / "check", epochs=CHECKED)
            training = PausedTraining(
                lambda: _train(options, options.folder / "long", own / "run", epochs=1)
            )
            training.step()
            return losses
        return training.step()

    return call


def keras(options: argparse.Namespace, case: str) -> Call:
    import keras
    from keras_danq import keras_danq

    def make(model: nn.Module, folder: Path) -> Step:
        network = keras_danq(model, dropout=True)
        optimizer = keras.optimizers.RMSprop(
            RATE,
            rho=0.9,
            epsilon=1e-16,  # Keras adds it before the root, PyTorch 1e-8 after
            global_clipnorm=CLIP_NORM,
        )
        network.compile(optimizer, loss="binary_crossentropy")
        ready = _endless(
            [
                (windows.transpose(1, 2).contiguous().numpy(), labels.numpy())
                for windows, labels in _batches(folder)
            ]
        )
        return lambda: float(network.train_on_batch(*next(ready)))

    return _call(options, make)


def generate(folder: Path, options: argparse.Namespace) -> None:
    targets = targets_of(tiny=options.tiny)
    write_rows(folder, WINDOWS, targets=targets)
    (folder / "check").mkdir()
    write_rows(folder / "check", BATCH, targets=targets)
    (folder / "long").mkdir()
    write_dataset(folder / "long" / "data", {"train": STEPS_OF_BIOQ * BATCH}, targets=targets)
    _train(options, folder / "check", folder / "start", epochs=1)


def _train(options: argparse.Namespace, data: Path, run: Path, *, epochs: int) -> Any:
    """Train, on `check` without dropout and from `start` if it is there; return the loss of every
    epoch."""
    begun = (data.parent / "start").is_dir() and data.name == "check"
    sizes = _sizes(options, dropout=data.name != "check")
    bioq.train(
        data / "data",
        run,
        model="auto" if begun else options.model,
        sizes=None if begun else sizes,
        motifs=None if begun else "none",
        from_run=data.parent / "start" if begun else None,
        config=bioq.TrainConfig(
            recipe="bioq",
            lr=RATE,
            clip_norm=CLIP_NORM,
            batch_size=BATCH,
            epochs=epochs,
            strands="forward",
            data_in="disk",
            device="cpu",
            checkpoint_min=1e9,
        ),
    )
    return pd.read_csv(run / "history.csv")["train_loss"].to_numpy()


def _call(options: argparse.Namespace, make: Make) -> Call:
    """Return a call that checks three losses without dropout once and then times steps with it."""
    torch.set_num_threads(options.threads)
    step: Step | None = None

    def call() -> Any:
        nonlocal step
        if step is None:
            without = make(bioq.load(options.folder / "start").network, options.folder / "check")
            losses = [without() for _ in range(CHECKED)]
            del without
            step = make(_model(options), options.folder)
            step()
            return np.array(losses)
        return step()

    return call


def _model(options: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    targets = targets_of(tiny=options.tiny)
    return build_model(options.model, targets=targets, sizes=_sizes(options, dropout=True))


def _sizes(options: argparse.Namespace, *, dropout: bool) -> ModelSizes:
    sizes = sizes_of(options.model, tiny=options.tiny)
    return sizes if dropout else replace(sizes, **NO_DROPOUT)


def _eager_step(model: nn.Module) -> Callable[[Tensor, Tensor], float]:
    optimizer = torch.optim.RMSprop(model.parameters(), lr=RATE, alpha=0.9)

    def step(windows: Tensor, labels: Tensor) -> float:
        loss = nn.functional.binary_cross_entropy_with_logits(model(windows), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        return loss.item()

    return step


def _batches(folder: Path) -> list[list[Tensor]]:
    return list(DataLoader(RowByRow(folder / "rows.h5"), BATCH))


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


CONTENDERS = (
    Contender("PyTorch eager, windows ready", eager, ("torch",)),
    Contender("BioQ, from disk", bioq_train, ours=True, tolerance=1e-5),
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
    arguments.add_argument("--model", default="bioq", help="a model of BioQ, such as danq")
    chosen = parse(arguments, tiny=TINY)
    main(
        chosen,
        CONTENDERS,
        {f"{chosen.model}, batch {BATCH}": BATCH},
        subject=f"training of {chosen.model}",
        unit="windows",
        generate=generate,
    )
