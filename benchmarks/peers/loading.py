"""Random batches from disk to float32 tensors: BioQ beside h5py row reads and Selene's loader.

    python benchmarks/peers/loading.py [--windows 12800] [--batches 4] [--tiny]

Batches of 100 windows with 919 targets in random order, one process and no workers: one-hot float32
and labels, as a training step takes them. The files are in the page cache.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import TINY, Call, Contender, main, parser
from lively import targets_of
from measuring import parse
from rows import RowByRow, RowsOfMat, write_rows
from torch.utils.data import DataLoader

BATCH = 100


def h5py_rows(options: argparse.Namespace, case: str, *, mat: bool = False) -> Call:
    torch.set_num_threads(options.threads)
    dataset = (
        RowsOfMat(options.folder / "train.mat") if mat else RowByRow(options.folder / "rows.h5")
    )
    loader: Any = DataLoader(dataset, BATCH, sampler=_order(options).tolist())
    return lambda: _read_all(loader)


def mat_rows(options: argparse.Namespace, case: str) -> Call:
    return h5py_rows(options, case, mat=True)


def bioq(options: argparse.Namespace, case: str, *, data_in: Any = "disk") -> Call:
    from bioq.dataset import open_dataset
    from bioq.dataset.batches import Batches

    torch.set_num_threads(options.threads)
    split = open_dataset(options.folder / "data")["train"]
    batches = Batches(split, torch.device("cpu"), data_in=data_in)
    order = _order(options)
    return lambda: _read_all(batches.read(rows) for rows in order.split(BATCH))


def bioq_memory(options: argparse.Namespace, case: str) -> Call:
    return bioq(options, case, data_in="memory")


def selene(options: argparse.Namespace, case: str) -> Call:
    from selene_sdk.samplers.dataloader import H5DataLoader, _H5Dataset

    torch.set_num_threads(options.threads)
    loader = H5DataLoader(
        _H5Dataset(str(options.folder / "selene.h5"), unpackbits_seq=True),
        num_workers=0,
        batch_size=BATCH,
        sampler=_order(options).tolist(),
        shuffle=False,
    )

    def in_our_layout() -> Any:
        for windows, labels in loader:
            yield windows.transpose(1, 2), labels

    return lambda: _read_all(in_our_layout())


def generate(folder: Path, options: argparse.Namespace) -> None:
    write_rows(folder, options.windows, targets=targets_of(tiny=options.tiny), also_mat=True)


def _order(options: argparse.Namespace) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(options.windows, generator=generator)[: options.batches * BATCH]


def _read_all(batches: Any) -> Any:
    """Read every batch; return the last window of each and its labels."""
    result = []
    for windows, labels in batches:
        result.append(np.concatenate([windows[-1].numpy().ravel(), labels[-1].numpy()]))
    return np.stack(result).astype(np.float32)


CONTENDERS = (
    Contender("h5py, rows of (n, 4, 1000)", h5py_rows, ("h5py",)),
    Contender("BioQ, from disk", bioq, ours=True, tolerance=0),
    Contender("BioQ, from memory", bioq_memory, ours=True, tolerance=0),
    Contender("h5py, rows of train.mat (1000, 4, n)", mat_rows, tolerance=0),
    Contender("Selene SDK, H5DataLoader", selene, ("selene-sdk",), tolerance=0),
)

if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--windows", type=int, default=12_800)
    arguments.add_argument("--batches", type=int, default=4, help="read in one go")
    chosen = parse(arguments, tiny={**TINY, "windows": 400, "batches": 2})
    main(
        chosen,
        CONTENDERS,
        {f"{chosen.batches} batches of {BATCH}": chosen.batches * BATCH},
        subject="loading",
        unit="windows",
        generate=generate,
    )
