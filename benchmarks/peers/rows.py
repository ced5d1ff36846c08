"""The same windows as a data set of ours and as the HDF5 files that others read row by row."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from lively import random_codes
from torch import Tensor

from bioq import dna
from bioq.dataset import Description, new_dataset, pack_labels

POSITIVE = 0.02
MAT_WINDOWS_A_CHUNK = 64
_BLOCK = 6400  # whole chunks


def write_rows(folder: Path, windows: int, *, targets: int, also_mat: bool = False) -> None:
    """Write `data` (ours), `rows.h5` of uint8 one-hot (n, 4, 1000), `selene.h5` with
    packed bases, and, if asked, `train.mat` in DeepSEA's layout (1000, 4, n), deflated."""
    table = pd.DataFrame({"name": [f"target {number}" for number in range(targets)]})
    described = Description(made_by="peaks", window_bp=1000, bin_bp=200, label_rule="half")
    with (
        new_dataset(folder / "data", described, table) as writer,
        writer.split("train") as split,
        h5py.File(folder / "rows.h5", "w") as by_row,
        h5py.File(folder / "selene.h5", "w") as packed,
    ):
        rows = _create(by_row, windows, (4, 1000), (targets,))
        bits = _create(packed, windows, (125, 4), (targets,))
        packed["sequences_length"] = 1000
        for start in range(0, windows, _BLOCK):
            here = slice(start, min(start + _BLOCK, windows))
            codes, labels = _block(here, targets)
            split.append(codes, pack_labels(labels))
            one_hot = dna.one_hot(codes)
            rows[0][here], rows[1][here] = one_hot, labels
            bits[0][here] = np.packbits(one_hot.transpose(0, 2, 1), axis=1)
            bits[1][here] = labels  # packed labels of single rows are a NameError in 0.6.0
    if also_mat:
        _write_mat(folder / "train.mat", windows, targets)


class RowByRow(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """What most published code does: one read of the file a window, float32 at once."""

    def __init__(self, path: Path):
        file = h5py.File(path)
        self._windows, self._labels = file["sequences"], file["targets"]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        window = torch.from_numpy(self._windows[row].astype(np.float32))
        return window, torch.from_numpy(self._labels[row].astype(np.float32))


class RowsOfMat(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """The same from DeepSEA's own train.mat, where windows are the last axis."""

    def __init__(self, path: Path):
        file = h5py.File(path)
        self._windows, self._labels = file["trainxdata"], file["traindata"]

    def __len__(self) -> int:
        return int(self._windows.shape[2])

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        window = self._windows[:, :, row][:, [0, 2, 1, 3]].T.astype(np.float32)  # A, G, C, T
        return torch.from_numpy(window), torch.from_numpy(self._labels[:, row].astype(np.float32))


def _block(here: slice, targets: int) -> tuple[dna.Bytes, dna.Bytes]:
    codes = random_codes(here.stop - here.start, seed=here.start)
    random = np.random.default_rng(here.start)
    labels = random.random((len(codes), targets), dtype=np.float32) < POSITIVE
    return codes, labels.astype(np.uint8)


def _create(file: Any, windows: int, window: tuple[int, ...], labels: tuple[int, ...]) -> Any:
    return (
        file.create_dataset("sequences", (windows, *window), "u1"),
        file.create_dataset("targets", (windows, *labels), "u1"),
    )


def _write_mat(path: Path, windows: int, targets: int) -> None:
    width = min(MAT_WINDOWS_A_CHUNK, windows)
    deflated: Any = {"compression": "gzip", "compression_opts": 3}
    with h5py.File(path, "w") as file:
        rows = file.create_dataset(
            "trainxdata", (1000, 4, windows), "u1", chunks=(1000, 4, width), **deflated
        )
        labels = file.create_dataset(
            "traindata", (targets, windows), "u1", chunks=(targets, width), **deflated
        )
        for start in range(0, windows, _BLOCK):
            here = slice(start, min(start + _BLOCK, windows))
            codes, marks = _block(here, targets)
            rows[..., here] = dna.one_hot(codes).transpose(2, 1, 0)[:, [0, 2, 1, 3]]
            labels[:, here] = marks.T
