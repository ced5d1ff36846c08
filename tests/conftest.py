"""Settings of every test: one thread, no windows, no deadline that a busy machine breaks."""

import os

# Before NumPy, torch or matplotlib are imported: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from bioq import dna
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels

settings.register_profile("bioq", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("bioq")


@pytest.fixture
def masked_data(tmp_path: Path) -> Dataset:
    """A small data set: three splits of windows of 200 bp, two targets, some unknown bases."""
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
