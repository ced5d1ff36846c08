"""Every substitution of a window on a CPU: eager PyTorch, a forward pass of each, what they share.

    python benchmarks/mutagenesis.py [--models danq bioq] [--span 200] [--rounds 3] [--threads 1]
    python benchmarks/mutagenesis.py --runs RUN --span 1000

The middle --span bases of one random 1,000-bp window, 919 targets, both strands. Three ways, in
turn: 3 * span forward passes by the plain model (BIOQ_PLAIN=1) and by its fast path, 256 windows at
a time, and `mutate_window`. Prints medians, each round's ratio to the plain model of that round,
the largest difference of a probability from the plain model's, and the peak memory of a process
that only does that.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bioq
from bioq.forward import predict_codes
from bioq.interpretation import mutate_window
from bioq.models import build_model

BATCH = 256
WINDOW_BP = 1000
PLAIN, EACH, SHARED = "eager PyTorch", "a forward pass of each", "shared"
WAYS = (PLAIN, EACH, SHARED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=("danq", "bioq", "danq-jaspar", "deepsea"))
    parser.add_argument("--runs", nargs="*", default=(), help="trained models, in their place")
    parser.add_argument("--span", type=int, default=200, help="bases in the middle")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        run(arguments.peak[1], load(arguments.peak[0]), arguments.span)
        print(peak_mib())
        return
    print("| model | way | ms a mutant | CPU ms | ratio | CPU ratio | differs by | peak memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in arguments.runs or arguments.models:
        compare(name, arguments)


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one model."""
    model = load(name)
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    effects: dict[str, Any] = {}
    for way in WAYS:
        run(way, model, 10)  # what is prepared once
    for number in range(arguments.rounds):
        for way in WAYS if number % 2 else reversed(WAYS):
            wall, cpu = time.perf_counter(), time.process_time()
            effects[way] = run(way, model, arguments.span)
            seconds[way].append((time.perf_counter() - wall, time.process_time() - cpu))
    for way in WAYS:
        walls, cpus = zip(*seconds[way], strict=True)
        plain_walls, plain_cpus = zip(*seconds[PLAIN], strict=True)
        differs = np.abs(effects[way] - effects[PLAIN]).max()
        print(
            f"| {name} | {way} | {each(walls, arguments):.2f} | {each(cpus, arguments):.2f} "
            f"| {ratio(plain_walls, walls):.2f} | {ratio(plain_cpus, cpus):.2f} | {differs:.1e} "
            f"| {peak_of(name, way, arguments):,.0f} MiB |",
            flush=True,
        )


def each(seconds: tuple[float, ...], arguments: argparse.Namespace) -> float:
    return statistics.median(seconds) * 1000 / (3 * arguments.span)


def ratio(plain: tuple[float, ...], other: tuple[float, ...]) -> float:
    return statistics.median(a / b for a, b in zip(plain, other, strict=True))


def load(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if Path(name).is_dir():
        return bioq.load(name)
    return build_model(name, targets=919, window_bp=WINDOW_BP)


def run(way: str, model: torch.nn.Module, span: int) -> Any:
    """Return the effects `(4, span, targets)`."""
    os.environ["BIOQ_PLAIN"] = "1" if way == PLAIN else "0"
    codes = np.random.default_rng(0).integers(0, 4, WINDOW_BP).astype(np.uint8)
    start = (WINDOW_BP - span) // 2
    if way == SHARED:
        return mutate_window(model, codes, start=start, end=start + span)[1]
    return passes(lambda windows: predict_codes(model, windows), codes, start, span)


def passes(predict: Callable[[Any], Any], codes: Any, start: int, span: int) -> Any:
    """Predict every mutant by itself."""
    position, base = np.nonzero(codes[start : start + span, None] != np.arange(4))
    reference = predict(codes[None])[0]
    effects = np.zeros((4, span, len(reference)), dtype=np.float32)
    for first in range(0, len(position), BATCH):
        rows = slice(first, first + BATCH)
        windows = np.repeat(codes[None], len(position[rows]), axis=0)
        windows[np.arange(len(windows)), start + position[rows]] = base[rows]
        effects[base[rows], position[rows]] = predict(windows) - reference
    return effects


def peak_of(name: str, way: str, arguments: argparse.Namespace) -> float:
    """Return the peak memory (MiB) of a process that predicts the mutants so, once."""
    options = ["--span", str(arguments.span), "--threads", str(arguments.threads)]
    command = [sys.executable, __file__, "--peak", name, way, *options]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peak_mib() -> float:
    """Return this process's own peak memory (getrusage would count its parent's before exec)."""
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak) / 1024


if __name__ == "__main__":
    main()
