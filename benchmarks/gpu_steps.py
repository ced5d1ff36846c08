"""What `gpu.py` times: training steps, BioQ's and plain ones, the windows they read, and where."""

import argparse
import contextlib
import datetime
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.dna.tensors import one_hot
from bioq.models import AS_PUBLISHED, ModelSizes, build_model
from bioq.runs.folder import read_history
from bioq.training.distributed import Ranks
from bioq.training.plan import TrainingRequest, make_plan
from bioq.training.recipes import TrainConfig, make_optimizer
from bioq.training.train import make_loop, train

TARGETS = 919
TINY = ModelSizes(filters=8, lstm_units=8, dense_units=8)


def network_of(options: argparse.Namespace) -> nn.Module:
    return build_model(options.model, targets=TARGETS, sizes=sizes_of(options)).to(options.device)


def sizes_of(options: argparse.Namespace) -> ModelSizes:
    return TINY if options.tiny else AS_PUBLISHED


def bioq_step(
    data: Dataset, batch: int, precision: Any, options: argparse.Namespace
) -> Callable[[], Tensor]:
    device = torch.device(options.device)
    data_in: Any = "device" if device.type == "cuda" else "memory"
    config = TrainConfig(
        recipe="bioq", strands="random", batch_size=batch, precision=precision, data_in=data_in
    )
    network = network_of(options).train()
    with tempfile.TemporaryDirectory() as run:
        plan = make_plan(TrainingRequest(config=config), data)
        loop = make_loop(plan, network, data, Path(run), Ranks(device))
    order = loop._epoch_order(0)
    number = 0

    def step() -> Tensor:
        nonlocal number
        start = number * batch % (len(order) - batch + 1)
        number += 1
        return loop._step(order[start : start + batch])

    return step


def naive_step(path: Path, batch: int, options: argparse.Namespace) -> Callable[[], float]:
    """What published code does: a read of the file a window, float32, a look at every loss."""
    device = torch.device(options.device)
    network = network_of(options).train()
    optimizer = make_optimizer(TrainConfig(recipe="bioq").resolve(1000), network)
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
    config = TrainConfig(
        recipe="bioq",
        strands="random",
        batch_size=batch,
        epochs=2,
        patience=0,
        precision="bf16",
        device=options.device,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run, sizes = Path(folder) / "run", sizes_of(options)
        train(data, run, model=options.model, sizes=sizes, config=config)
        rate = float(read_history(run)["windows_per_s"].iloc[-1])
    return rate, time.monotonic() - started


@contextlib.contextmanager
def data_set(windows: int) -> Iterator[tuple[Dataset, Path]]:
    """Random windows with 2 % positives, as a data set of ours and as rows of HDF5 (the first)."""
    table = pd.DataFrame({"name": [f"target {number}" for number in range(TARGETS)]})
    described = Description(made_by="peaks", window_bp=1000, bin_bp=200, label_rule="half")
    codes = random_codes(windows)
    labels = (torch.rand(windows, TARGETS) < 0.02).numpy().astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        with (
            new_dataset(Path(folder) / "data", described, table) as writer,
            writer.split("train") as split,
        ):
            split.append(codes.numpy(), pack_labels(labels))
        path = Path(folder) / "rows.h5"
        with h5py.File(path, "w") as file:
            file["windows"] = one_hot(codes[:1000]).numpy().astype(np.uint8)
            file["labels"] = labels[:1000]
        yield open_dataset(Path(folder) / "data"), path


def random_codes(windows: int) -> Tensor:
    generator = torch.Generator().manual_seed(windows)
    return torch.randint(0, 4, (windows, 1000), generator=generator, dtype=torch.uint8)


def machine(device: torch.device) -> dict[str, Any]:
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
    }
    result |= {"torch": torch.__version__, "cuda": torch.version.cuda, "device": str(device)}
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        result |= {"card": about.name, "memory_gib": round(about.total_memory / 2**30, 1)}
        result |= {"processors": about.multi_processor_count}
        result["cudnn"] = torch.backends.cudnn.version()
    return result
