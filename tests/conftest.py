"""Settings of every test: one thread, no windows, no deadline that a busy machine breaks."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator

# Before NumPy, torch or matplotlib are imported: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Read when Triton is first imported, by whichever test makes PyTorch do so.
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")
# A shell that starts the tests in the background has Ctrl-C ignored, and so would every process of
# theirs; tests interrupt some.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# Fixtures import what they need: a test file without torch or pandas starts in two seconds.
if TYPE_CHECKING:
    from trained_run import TrainedRun

    from bioq.dataset import Dataset

pytest_plugins = ["browser_fixtures", "download_site", "input_fixtures", "must_run", "web_fixtures"]

settings.register_profile("bioq", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("bioq")


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """A test that leaves PyTorch another number of threads changes the sums of the tests after it,
    in their last bits."""
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    yield
    if torch is not None and before is not None:
        after = torch.get_num_threads()
        torch.set_num_threads(before)
        assert after == before


@pytest.fixture(autouse=True)
def usual_sigterm() -> Iterator[None]:
    """Ray, which some tests start in this process, takes SIGTERM for itself: a test that stops a
    training with it would end here."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def masked_data(tmp_path: Path) -> Dataset:
    """A small data set: three splits of windows of 200 bp, two targets, some unknown bases."""
    import numpy as np
    import pandas as pd

    from bioq import dna
    from bioq.dataset import Description, new_dataset, open_dataset, pack_labels

    random = np.random.default_rng(0)
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    table = pd.DataFrame({"name": ["first", "second"]})
    with new_dataset(tmp_path / "data", description, table) as writer:
        for name, windows in (("train", 40), ("valid", 20), ("test", 20)):
            codes = random.integers(0, 4, (windows, 200)).astype(np.uint8)
            codes[::5, 7:30] = dna.UNKNOWN
            # One target says that the middle base is C, the other that it is G or T.
            labels = np.stack([codes[:, 100] == 1, codes[:, 100] >= 2], axis=1)
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    return open_dataset(tmp_path / "data")


@pytest.fixture
def run(tmp_path: Path, masked_data: Dataset) -> Path:
    """A run on `masked_data` whose model says something else of every window."""
    import torch

    from bioq.models import ModelSizes, build_model
    from bioq.runs.folder import create_run
    from bioq.runs.weights import save_weights

    sizes = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
    torch.manual_seed(0)
    model = build_model("danq", targets=2, window_bp=200, sizes=sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    folder = tmp_path / "run"
    create_run(folder, model=model.architecture, training={"seed": 0}, data=masked_data)
    save_weights(model, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A `danq` of 16 filters, trained for some seconds on windows that hold a motif or do not."""
    import numpy as np
    import pandas as pd
    from trained_run import TrainedRun

    import bioq
    from bioq import ModelSizes, TrainConfig, dna
    from bioq.dataset import Description, new_dataset, pack_labels

    folder = tmp_path_factory.mktemp("trained")
    result = TrainedRun(
        folder / "run", folder / "data", {"first": "TGACGTCACAT", "second": "CCAATCAGGCC"}
    )
    random = np.random.default_rng(0)
    description = Description(
        made_by="peaks", window_bp=result.window_bp, bin_bp=40, label_rule="half"
    )
    with new_dataset(
        result.data, description, pd.DataFrame({"name": list(result.motifs)})
    ) as writer:
        for name, windows in (("train", 2000), ("valid", 500), ("test", 500)):
            codes = random.integers(0, 4, (windows, result.window_bp)).astype(np.uint8)
            labels = random.random((windows, len(result.motifs))) < 0.5
            for row, target in zip(*np.nonzero(labels), strict=True):
                site = dna.encode(list(result.motifs.values())[target])
                if random.random() < 0.5:
                    site = dna.reverse_complement(site)
                start = random.integers(80, 120 - len(site))
                codes[row, start : start + len(site)] = site
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    sizes = ModelSizes(
        filters=16, filter_width=14, pool_width=20, lstm_units=8, lstm_layers=1, dense_units=16
    )
    config = TrainConfig(epochs=8, lr=0.01, patience=0, device="cpu")
    bioq.train(result.data, result.run, model="danq", sizes=sizes, config=config)
    return result
