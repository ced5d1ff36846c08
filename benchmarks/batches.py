"""Random batches from disk, memory and the device: windows per second and peak memory, by size.

    python benchmarks/batches.py [--windows 100000 1000000] [--batches 1000]

Generated data sets of 1,000-bp windows with 919 targets; each row is a process of its own, reading
batches of 100 windows in random order and decoding them to float32 one-hot, as training does. The
table goes to stdout, in Markdown.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bioq.batches import Batches
from bioq.dataset import Description, new_dataset, open_dataset

TARGETS = 919
BATCH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="+", default=(100_000, 1_000_000))
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None, help="where the data sets are made")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(Path(options.read[0]), options.read[1], options.batches)))
        return
    print("| windows | stored | data in | windows/s | peak memory |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for windows in options.windows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            generate(Path(folder) / "data", windows)
            for place in ("disk", "memory"):
                found = json.loads(
                    subprocess.run(
                        [
                            sys.executable,
                            __file__,
                            "--read",
                            f"{folder}/data",
                            place,
                            "--batches",
                            str(options.batches),
                        ],
                        check=True,
                        stdout=subprocess.PIPE,
                    ).stdout
                )
                print(
                    f"| {windows:,} | {found['stored'] / 1e6:,.0f} MB | {place} "
                    f"| {found['rate']:,.0f} | {found['peak_mb']:,.0f} MB |",
                    flush=True,
                )


def generate(path: Path, windows: int) -> None:
    """Write a data set of random windows with 2 % positive labels."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"name": [f"target {number}" for number in range(TARGETS)]})
    description = Description(made_by="peaks", window_bp=1000, bin_bp=200, label_rule="half")
    with new_dataset(path, description, table) as writer, writer.split("train") as split:
        for start in range(0, windows, 10_000):
            rows = min(10_000, windows - start)
            codes = random.integers(0, 4, (rows, 1000), dtype=np.uint8)
            labels = random.integers(0, 256, (rows, -(-TARGETS // 8)), dtype=np.uint8)
            split.append(codes, labels & 1)


def read(path: Path, place: str, batches: int) -> dict[str, float]:
    """Read random batches of a data set; return the rate and this process's peak memory."""
    torch.set_num_threads(1)
    split = open_dataset(path)["train"]
    reader = Batches(split, torch.device("cpu"), data_in=place)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    started = time.monotonic()
    for number in range(batches):
        start = number * BATCH % (len(split) - BATCH)
        reader.read(order[start : start + BATCH])
    seconds = time.monotonic() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": batches * BATCH / seconds, "peak_mb": peak_mb, "stored": split.stored_bytes}


if __name__ == "__main__":
    main()
