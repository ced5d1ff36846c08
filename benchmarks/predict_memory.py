"""Memory and rate of `bioq predict`: does either change with the number of windows?

    python benchmarks/predict_memory.py [--windows 20000 200000] [--targets 100] [--folder DIR]
        [--endings .tsv.gz .parquet .h5 .h5ad .bw]

A tiny untrained model of 200-bp windows predicts regions of a random genome; every output runs in a
process of its own, which prints its seconds and its peak resident memory (Linux).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WINDOW_BP, BIN_BP = 200, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are written")
    parser.add_argument(
        "--endings", nargs="+", default=[".tsv.gz", ".parquet", ".h5", ".h5ad", ".bw"]
    )
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out:
        _predict(arguments.folder, arguments.out)
        return
    print("| output | windows | targets | seconds | windows/s | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for windows in arguments.windows:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            generate(folder, windows, arguments.targets)
            for ending in arguments.endings:
                command = [
                    sys.executable,
                    __file__,
                    "--folder",
                    folder,
                    "--out",
                    folder / f"o{ending}",
                ]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                seconds, memory_mib = map(float, output.stdout.split())
                print(
                    f"| {ending} | {windows:,} | {arguments.targets} | {seconds:.1f} | "
                    f"{windows / seconds:,.0f} | {memory_mib:,.0f} MiB |",
                    flush=True,
                )


def generate(folder: Path, windows: int, targets: int) -> None:
    import pandas as pd
    import torch

    from bioq.dataset import Description, new_dataset, open_dataset, pack_labels
    from bioq.models import ModelSizes, build_model
    from bioq.runs.folder import create_run
    from bioq.runs.weights import save_weights

    random = np.random.default_rng(0)
    genome = random.choice(np.frombuffer(b"ACGT", dtype=np.uint8), windows * BIN_BP)
    (folder / "g.fa").write_bytes(b">chr1\n" + genome.tobytes() + b"\n")
    region_bp = 10 * BIN_BP
    with open(folder / "r.bed", "w") as file:
        for start in range(0, windows * BIN_BP, region_bp):
            file.write(f"chr1\t{start}\t{start + region_bp}\n")
    table = pd.DataFrame({"name": [f"t{number}" for number in range(targets)]})
    description = Description(
        made_by="peaks", window_bp=WINDOW_BP, bin_bp=BIN_BP, label_rule="half"
    )
    with new_dataset(folder / "data", description, table) as writer:
        for name in ("train", "valid", "test"):
            with writer.split(name) as split:
                codes = np.zeros((1, WINDOW_BP), dtype=np.uint8)
                split.append(codes, pack_labels(np.ones((1, targets), dtype=bool)))
    torch.manual_seed(0)
    sizes = ModelSizes(filters=8, filter_width=8, pool_width=50, lstm_units=4, dense_units=8)
    model = build_model("danq", targets=targets, window_bp=WINDOW_BP, sizes=sizes)
    data = open_dataset(folder / "data")
    create_run(folder / "run", model=model.architecture, training={}, data=data)
    save_weights(model, folder / "run" / "model.safetensors")


def _predict(folder: Path, out: Path) -> None:
    from bioq.prediction import predict_file

    started = time.monotonic()
    predict_file(folder / "run", folder / "r.bed", out, genome=folder / "g.fa")
    seconds = time.monotonic() - started
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(seconds, int(status["VmHWM"].split()[0]) / 1024)


if __name__ == "__main__":
    main()
