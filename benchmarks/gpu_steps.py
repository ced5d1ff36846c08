"""What `gpu.py` times: training steps, BioQ's and plain ones, the windows they read, and where."""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from generated import tiny_sizes, write_dataset
from measuring import machine, reason, timed
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from training_steps import EnoughStepsError, train_with

import bioq
from bioq.dataset import Dataset
from bioq.models import AS_PUBLISHED, ModelSizes, build_model


def network_of(options: argparse.Namespace) -> nn.Module:
    return build_model(options.model, targets=options.targets, sizes=sizes_of(options)).to(
        options.device
    )


def sizes_of(options: argparse.Namespace) -> ModelSizes:
    return tiny_sizes(options.model) if options.tiny else AS_PUBLISHED


def train(
    data: Dataset,
    batch: int,
    precision: Any,
    options: argparse.Namespace,
    after_step: Callable[[int], None],
) -> None:
    """Run `bioq.train`, and `after_step` after each of its steps; the data on the card."""
    on_card = options.device.startswith("cuda")
    data_in: Any = "device" if on_card else "memory"
    config = bioq.TrainConfig(
        recipe="bioq",
        strands="random",
        batch_size=batch,
        precision=precision,
        data_in=data_in,
        device=options.device,
        epochs=1 << 20,
        checkpoint_min=1e9,
    )
    with tempfile.TemporaryDirectory() as folder:
        train_with(
            after_step,
            lambda: bioq.train(
                data,
                Path(folder) / "run",
                model=options.model,
                sizes=sizes_of(options),
                motifs="none",
                config=config,
            ),
        )


WARM_STEPS = 3
_LOSSES_CHECKED_EVERY = 50
"""Steps: the loop waits for the card once in so many."""


@dataclass
class StepClock:
    """Times the steps of a training in turns: the `after_step` of `train`."""

    device: torch.device
    turns: int
    turn_s: float
    step_s: list[float] = field(default_factory=list)
    """Seconds per step of every turn."""
    is_waiting_an_error: bool = False
    """Whether the last step, after the turns, is taken: PyTorch raises an error in it if it has the
    processor wait for the card."""
    _first: int = WARM_STEPS - 1
    _started: float = 0.0

    def __call__(self, number: int) -> None:
        if number < WARM_STEPS - 1:
            return
        if self.is_waiting_an_error:
            raise EnoughStepsError
        if len(self.step_s) == self.turns:
            if self.device.type != "cuda":
                raise EnoughStepsError
            if number % _LOSSES_CHECKED_EVERY == 10:
                self.is_waiting_an_error = True
                torch.cuda.set_sync_debug_mode("error")
            return
        if number == self._first:
            wait(self.device)
            self._started = time.perf_counter()
        elif time.perf_counter() - self._started >= self.turn_s:
            wait(self.device)
            self.step_s.append((time.perf_counter() - self._started) / (number - self._first))
            self._first, self._started = number, time.perf_counter()


def bioq_steps(
    data: Dataset, batch: int, precision: Any, options: argparse.Namespace
) -> tuple[float, str]:
    """Return the median seconds of a step of `bioq.train`, and whether it waits for the card."""
    device = torch.device(options.device)
    clock = StepClock(device, options.turns, options.turn_s)
    waits = "no" if device.type == "cuda" else "no card"
    try:
        train(data, batch, precision, options, clock)
    except RuntimeError as error:
        if not clock.is_waiting_an_error:
            raise
        waits = f"yes: {reason(error)}"
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return statistics.median(clock.step_s), waits


def naive_step(path: Path, batch: int, options: argparse.Namespace) -> Callable[[], float]:
    """What published code does: a read of the file a window, float32, a look at every loss."""
    device = torch.device(options.device)
    network = network_of(options).train()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-5, alpha=0.9)
    file = h5py.File(path)
    windows, labels, random = file["windows"], file["labels"], np.random.default_rng(0)

    def step() -> float:
        rows = random.integers(0, len(windows), batch)
        read, wanted = (
            torch.stack([torch.from_numpy(part[row].astype(np.float32)) for row in rows])
            for part in (windows, labels)
        )
        loss = binary_cross_entropy_with_logits(network(read.to(device)), wanted.to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


@torch.no_grad()
def naive_prediction(model: nn.Module, windows: Tensor) -> Tensor:
    """What a user of PyTorch writes: float32 windows in memory, PyTorch's own settings."""
    windows = windows.to(next(model.parameters()).device)
    both = torch.sigmoid(model(windows)) + torch.sigmoid(model(windows.flip(1, 2)))
    return (both / 2).cpu()


def epoch_rate(data: Dataset, batch: int, options: argparse.Namespace) -> tuple[float, float]:
    """Train two epochs in bf16; return the windows/s of the second and the seconds of all."""
    config = bioq.TrainConfig(
        recipe="bioq",
        strands="random",
        batch_size=batch,
        epochs=2,
        patience=0,
        precision="bf16",
        device=options.device,
    )
    with tempfile.TemporaryDirectory() as folder:
        run, sizes = Path(folder) / "run", sizes_of(options)
        taken = timed(
            lambda: bioq.train(
                data, run, model=options.model, sizes=sizes, motifs="none", config=config
            )
        )
        rate = float(pd.read_csv(run / "history.csv")["windows_per_s"].iloc[-1])
    return rate, taken.seconds


@contextlib.contextmanager
def data_set(options: argparse.Namespace) -> Iterator[tuple[Dataset, Path]]:
    """Random windows with 2 % positives, as a data set of ours and as rows of HDF5 (the first)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "data", {"train": options.windows}, targets=options.targets)
        data = bioq.open_dataset(folder / "data")
        first = data["train"].read(slice(0, 1000))
        with h5py.File(folder / "rows.h5", "w") as file:
            file["windows"] = first.windows.astype(np.uint8)
            file["labels"] = data["train"].labels()[:1000]
        yield data, folder / "rows.h5"


def random_codes(windows: int) -> Tensor:
    generator = torch.Generator().manual_seed(windows)
    return torch.randint(0, 4, (windows, 1000), generator=generator, dtype=torch.uint8)


def machine_of(device: torch.device) -> dict[str, Any]:
    """Return what a result depends on, with the card if there is one."""
    result = machine() | {"cuda": torch.version.cuda, "device": str(device)}
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        result |= {"card": about.name, "card_gib": round(about.total_memory / 2**30, 1)}
        result |= {"card_processors": about.multi_processor_count}
        result["cudnn"] = torch.backends.cudnn.version()
    return result


def wait(device: torch.device) -> None:
    """Wait until a card has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
