"""Every command of BioQ on a CUDA card beside the CPU: are the results the same?

    python benchmarks/card_paths.py --out bench-results
    python benchmarks/card_paths.py --device cpu --tiny       # only whether this script works

Trains, evaluates, predicts, scores variants, mutates and attributes on simulated data, and runs
the published models on random windows. Prints one row per check: the largest difference from the
CPU's float32, and what is allowed. The exit status is 1 if a check is wrong.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measuring import parse, parser, say
from peers.lively import lively_model, random_codes

from bioq.cli import main as bioq
from bioq.fast import cuda
from bioq.forward import predict_codes

Row = tuple[str, float, float]
"""What was checked, the difference, and the largest one allowed."""

PROBABILITY = {"32": 2e-5, "tf32": 5e-3, "bf16": 0.1}
"""Largest differences of a probability of published models, whose logits vary by about one."""
TRAINED = {"32": 2e-5, "tf32": 5e-3, "bf16": 0.03}
"""The same of trained small models."""
LOSS = {"32": 1e-3, "tf32": 5e-3, "bf16": 2e-2}
"""Relative differences of the losses of two epochs without dropout."""
SCORE = {"32": 1e-4, "tf32": 1e-3, "bf16": 5e-3}
"""Differences of macro ROC AUC and average precision."""
SMALL = ["--filters", "32", "--lstm-units", "32", "--dense-units", "64", "--patience", "0"]
NO_DROPOUT = ["--dropout-conv", "0", "--dropout-head", "0"]


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--device", default="cuda")
    arguments.add_argument("--out", type=Path, help="folder for paths.md")
    options = parse(arguments, tiny={})
    options.precisions = ("32", "tf32", "bf16") if options.device == "cuda" else ("32", "bf16")
    table = ["| check | difference | allowed | |", "| --- | --- | --- | --- |"]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for check in (published_models, graph_sizes, changed_weights, pipeline):
            say(f"{check.__name__}: {check.__doc__}")
            started = time.monotonic()
            rows = check(options, Path(folder))
            while True:
                try:
                    name, difference, allowed = next(rows)
                    right = difference <= allowed  # False if it is NaN
                    line = f"| {name} | {difference:.2g} | {allowed:.2g} | "
                    line += f"{'right' if right else '**WRONG**'} |"
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001 the other checks are still worth it
                    right, line = False, f"| {check.__name__}: {error!r:.300} | | | **WRONG** |"
                wrong += not right
                table.append(line)
                print(line, flush=True)
                if options.out:
                    options.out.mkdir(parents=True, exist_ok=True)
                    (options.out / "paths.md").write_text("\n".join(table) + "\n")
            say(f"{time.monotonic() - started:.0f} s")
    print(f"{len(table) - 2 - wrong} checks right, {wrong} wrong")
    return int(wrong > 0)


def published_models(options: argparse.Namespace, _: Path) -> Iterator[Row]:
    """Published sizes, 919 targets, 300 windows, both strands."""
    codes = random_codes(32 if options.tiny else 300)
    for name in ("bioq",) if options.tiny else ("bioq", "danq", "danq-jaspar", "deepsea"):
        model = lively_model(name, tiny=options.tiny).cpu()
        exact = predict_codes(model, codes)
        model.to(options.device)
        for precision in options.precisions:
            result = predict_codes(model, codes, precision=precision)
            yield f"{name}, {precision}", distance(result, exact), PROBABILITY[precision]
        model.cpu()


def graph_sizes(options: argparse.Namespace, _: Path) -> Iterator[Row]:
    """`bioq` in bf16 in batches around the sizes of graphs, some of them smaller than before."""
    model = lively_model("bioq", tiny=options.tiny).to(options.device)
    codes = random_codes(40 if options.tiny else 5000)
    exact = np.concatenate(
        [predict_codes(model, codes[start : start + 500]) for start in range(0, len(codes), 500)]
    )
    sizes = (1, 16, 40) if options.tiny else (300, 1, 127, 128, 129, 257, 256, 4097, 4096, 5000, 2)
    for size in sizes:
        result = predict_codes(model, codes[-size:], precision="bf16")
        difference = distance(result, exact[-size:])
        yield f"bf16, {size} windows at once", difference, PROBABILITY["bf16"]
    yield f"ways given up: {cuda.failed or 'none'}", float(len(cuda.failed)), 0.0
    model.cpu()


def changed_weights(options: argparse.Namespace, _: Path) -> Iterator[Row]:
    """A prediction after the weights have changed in place."""
    model = lively_model("bioq", tiny=options.tiny).to(options.device)
    codes = random_codes(16 if options.tiny else 256)
    predict_codes(model, codes, precision="bf16")
    with torch.no_grad():
        model.lstm.weight_hh_l0.mul_(-1)
    result, exact = (predict_codes(model, codes, precision=p) for p in ("bf16", "32"))
    with torch.no_grad():
        model.lstm.weight_hh_l0.mul_(-1)
    model.cpu()
    yield "bf16 after a change of weights", distance(result, exact), PROBABILITY["bf16"]


def pipeline(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Commands on simulated data."""
    data = folder / "data"
    size = ("1", "60000") if options.tiny else ("2", "600000")
    call("data", "simulate", "--out", data, "--train-contigs", size[0], "--contig-bp", size[1])
    yield from trainings(options, folder, data)
    run = folder / "trained"
    epochs = "2" if options.tiny else "12"
    flags = ["--model", "bioq", *SMALL, "--epochs", epochs, "--device", options.device]
    call("train", data, "--out", run, *flags)
    for what, act in commands(folder, data, run).items():
        exact = act("cpu", "32")
        for precision in options.precisions:
            if what == "attribution" and precision != "32":
                continue
            allowed = SCORE if what == "evaluation" else TRAINED
            # Attribution is of logits; a network that has hardly learned ranks by the last digits.
            slack = 100 if what == "attribution" or options.tiny else 1
            result = act(options.device, precision)
            yield f"{what}, {precision}", distance(result, exact), slack * allowed[precision]


def trainings(options: argparse.Namespace, folder: Path, data: Path) -> Iterator[Row]:
    def train(name: str, *flags: str) -> pd.DataFrame:
        call("train", data, "--out", folder / name, *SMALL, *flags)
        return pd.read_csv(folder / name / "history.csv")

    epochs = ["--model", "bioq", "--epochs", "2"]
    exact = train("train-cpu-32", *epochs, *NO_DROPOUT, "--device", "cpu")
    on = ["--device", options.device]
    for precision in options.precisions:
        result = train(f"train-{precision}", *epochs, *NO_DROPOUT, *on, "--precision", precision)
        yield f"training, {precision}: losses", losses(result, exact), LOSS[precision]
    if options.tiny:
        return
    lying = {
        storage: train(f"train-in-{storage}", *epochs, *on, "--data-in", storage)
        for storage in ("device", "memory", "disk")
    }
    for storage in ("memory", "disk"):
        yield f"training, data in {storage}: losses", losses(lying[storage], lying["device"]), 0.0
    killed = folder / "killed"
    kills = train_with_kills(data, killed, [*epochs, *on, "--data-in", "device"])
    yield (
        f"training, killed {kills} times: losses",
        losses(pd.read_csv(killed / "history.csv"), lying["device"]) if kills else float("nan"),
        0.0,
    )
    for model in ("danq", "deepatt", "marq"):
        flags = [*NO_DROPOUT, "--epochs", "1", "--model", model]
        slow = train(f"{model}-cpu", *flags, "--device", "cpu")
        yield f"training of {model}, 32: losses", losses(train(model, *flags, *on), slow), 5e-3


def train_with_kills(data: Path, run: Path, flags: list[str]) -> int:
    """Train, killed with signal 9 soon after each of the first two checkpoints."""
    command = [sys.executable, "-m", "bioq", "train", str(data), "--out", str(run)]
    command += [*SMALL, *flags, "--checkpoint-min", "0.001"]
    state, kills = run / "resume" / "state.safetensors", 0
    for attempt in itertools.count():
        before = state.stat().st_mtime_ns if state.exists() else 0
        resume = ["--resume"] if run.exists() else []
        process = subprocess.Popen(command + resume, env={**os.environ})
        while process.poll() is None and kills < 2:
            if state.exists() and state.stat().st_mtime_ns != before:
                time.sleep(0.05)
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        if process.wait() == 0:
            return kills
        if attempt > 4:
            raise RuntimeError("the training does not go on")
    return kills


def commands(
    folder: Path, data: Path, run: Path
) -> dict[str, Callable[[str, str], np.ndarray[Any, Any]]]:
    """Return what runs a command on a device in a precision and returns its numbers."""
    genome = data / "simulation" / "genome.fa"
    contigs = [
        "".join(part.split("\n")[1:]) for part in genome.read_text().split(">") if part.strip()
    ]
    regions, vcf = folder / "regions.bed", folder / "variants.vcf"
    positions = range(2000, len(contigs[0]) - 2000, max(200, len(contigs[0]) // 400))
    regions.write_text("".join(f"chr1\t{start}\t{start + 200}\n" for start in positions))
    alleles = [(position, contigs[0][position]) for position in positions]
    vcf.write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(
            f"chr1\t{position + 1}\t.\t{ref}\t{'C' if ref == 'A' else 'A'}\t.\t.\t.\n"
            for position, ref in alleles
        )
    )

    number = itertools.count()

    def evaluation(device: str, precision: str) -> np.ndarray[Any, Any]:
        call("evaluate", run, data, "--force", "--device", device, "--precision", precision)
        scores = json.loads((run / "evaluation" / "metrics.json").read_text())
        return np.array(numbers(scores["macro"]))

    def table(*command: object) -> Callable[[str, str], np.ndarray[Any, Any]]:
        def act(device: str, precision: str) -> np.ndarray[Any, Any]:
            # On a CPU alone a command runs twice with the same options.
            out = folder / f"{command[0]}-{next(number)}.parquet"
            more = [] if command[0] == "attribution" else ["--precision", precision]
            call(*command, "--genome", genome, "--out", out, "--device", device, *more)
            result = pd.read_parquet(out).select_dtypes("floating")
            return result.drop(columns=[c for c in result if "log2" in c]).to_numpy()

        return act

    region = "chr1:10001-10200"
    return {
        "evaluation": evaluation,
        "prediction": table("predict", run, regions),
        "variants": table("variants", run, vcf),
        "mutagenesis": table("mutagenesis", run, region),
        "attribution": table("attribution", run, region, "--steps", "16"),
    }


def call(*words: object) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        status = bioq([str(word) for word in words])
    if status:
        raise RuntimeError(f"bioq {words[0]} ended with status {status}")


def numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict):
        return [value for part in tree.values() for value in numbers(part)]
    return [float(tree)] if isinstance(tree, float) else []


def losses(result: pd.DataFrame, exact: pd.DataFrame) -> float:
    columns = ["train_loss", "valid_loss"]
    left, right = result[columns].to_numpy(), exact[columns].to_numpy()
    return float(np.abs(left / right - 1).max()) if left.shape == right.shape else float("nan")


def distance(result: np.ndarray[Any, Any], exact: np.ndarray[Any, Any]) -> float:
    if result.shape != exact.shape or not (np.isnan(result) == np.isnan(exact)).all():
        return float("nan")
    return float(np.nanmax(np.abs(result.astype(np.float64) - exact)))


if __name__ == "__main__":
    sys.exit(main())
