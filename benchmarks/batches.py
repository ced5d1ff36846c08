"""Random batches from disk and memory, beside row reads with h5py: windows per second and memory.

    python benchmarks/batches.py [--windows 100000 1000000] [--batches 1000] [--h5py-windows 22000]
        [--tiny]

Generated data sets of 1,000-bp windows with 919 targets; each row is a process of its own with one
thread, reading batches of 100 windows in random order and decoding them to float32 one-hot, as
training does. h5py reads the rows of a generated train.mat in the shipped layout, in chunks of 64
whole windows (the kindest to it), gzip 3. The full size is --windows 2200000, DeepSEA's 4.4 million
rows folded. The table goes to stdout, in Markdown.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from deepsea_import import CHUNKS, write_hdf5
from generated import write_dataset
from measuring import in_own_process, own_peak_mib, parse, parser, peak_mib, print_heads, print_row

TARGETS = 919
BATCH = 100
H5PY_BATCHES = 10  # a thousand rows: each inflates a chunk


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--windows", type=int, nargs="+", default=(100_000, 1_000_000))
    arguments.add_argument("--batches", type=int, default=1000)
    arguments.add_argument("--h5py-windows", type=int, default=22_000)
    arguments.add_argument("--folder", type=Path, help="where the data sets are made")
    arguments.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    options = parse(arguments, tiny={"windows": [500], "batches": 4, "h5py_windows": 300})
    if options.read:
        path, data_in = options.read
        reader = read_h5py if data_in == "h5py" else read
        print(json.dumps(reader(Path(path), data_in, options.batches)))
        return
    print_heads(
        "windows", "stored", "data in", "windows/s", "peak memory", "of it this process's own"
    )
    for windows in options.windows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder) / "data"
            write_dataset(path, {"train": windows}, targets=TARGETS)
            for data_in in ("disk", "memory"):
                measure(path, data_in, windows, options.batches)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "train.mat"
        write_hdf5(path, options.h5py_windows, CHUNKS["rows"])
        measure(
            path, "h5py", options.h5py_windows, min(H5PY_BATCHES, options.h5py_windows // BATCH)
        )


def measure(path: Path, data_in: str, windows: int, batches: int) -> None:
    """Read in a process of its own and print a row of the table."""
    result = in_own_process(__file__, "--read", path, data_in, "--batches", batches)
    print_row(
        f"{windows:,}",
        f"{result['stored'] / 1e6:,.0f} MB",
        data_in,
        f"{result['rate']:,.0f}",
        f"{result['peak_mib']:,.0f} MB",
        f"{result['own_mib']:,.0f} MB",
    )


def read(path: Path, storage: str, batches: int) -> dict[str, float | None]:
    """Read random batches of a data set; return the rate and this process's memory."""
    import torch

    from bioq.dataset import open_dataset
    from bioq.dataset.batches import Batches

    torch.set_num_threads(1)
    split = open_dataset(path)["train"]
    reader = Batches(split, torch.device("cpu"), data_in=storage)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    started = time.monotonic()
    for number in range(batches):
        start = number * BATCH % (len(split) - BATCH)
        reader.read(order[start : start + BATCH])
    rate = batches * BATCH / (time.monotonic() - started)
    return {"rate": rate, "stored": split.stored_bytes, **memory()}


def read_h5py(path: Path, _: str, batches: int) -> dict[str, float | None]:
    """Read random rows of a train.mat one by one, as loaders that index the file do."""
    import h5py
    import numpy as np
    import torch

    torch.set_num_threads(1)
    with h5py.File(path) as file:
        windows, labels = file["trainxdata"], file["traindata"]
        order = np.random.default_rng(0).permutation(windows.shape[2])
        started = time.monotonic()
        for number in range(batches):
            rows = order[number * BATCH : (number + 1) * BATCH]
            one_hot = np.stack([windows[:, :, row].T for row in rows])
            marks = np.stack([labels[:, row] for row in rows])
            torch.from_numpy(one_hot).float(), torch.from_numpy(marks).float()
        rate = batches * BATCH / (time.monotonic() - started)
    return {"rate": rate, "stored": path.stat().st_size, **memory()}


def memory() -> dict[str, float | None]:
    return {"peak_mib": peak_mib(), "own_mib": own_peak_mib()}


if __name__ == "__main__":
    main()
