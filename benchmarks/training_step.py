"""A training step on a CPU: BioQ as it trains beside plain eager PyTorch, step by step in turn.

    python benchmarks/training_step.py                            # bioq as published, 919 targets
    python benchmarks/training_step.py --model deepsea --steps 10
    python benchmarks/training_step.py --sizes filters=64 lstm_units=32 dense_units=128 \
        --targets 399 --batch 32 --optimizer adamw --steps 200            # as on yeast
    python benchmarks/training_step.py --tiny

Both are `bioq.train` in processes of their own, from the same seed, on random windows and labels;
plain is the same with BIOQ_PLAIN=1. They take a step each in turn, so that what else runs on the
machine meets both. The first steps (--warm) are not timed. Prints medians, and how far the mean
losses of all steps of the two are apart.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from generated import write_dataset
from measuring import in_turns, parse, parser, peak_mib, print_heads, print_row
from training_steps import TINY, add_options, sizes_of, train_with

WAYS = ("plain", "fast")


def main() -> None:
    options = parser(__doc__)
    add_options(options)
    options.add_argument("--optimizer", default="rmsprop")
    options.add_argument("--lr", type=float, default=1e-3)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--warm", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parse(options, tiny={**TINY, "steps": 6, "warm": 2})
    if arguments.warm < 1 or arguments.warm >= arguments.steps:
        options.error("--warm must be at least 1 and less than --steps")
    if arguments.worker:
        work(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        windows = arguments.batch * arguments.steps
        write_dataset(Path(folder) / "data", {"train": windows}, targets=arguments.targets)
        workers = {way: start(way, Path(folder)) for way in WAYS}
        result: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for way in in_turns(WAYS, arguments.steps):
            result[way].append(ask(workers[way]))
        losses = {way: ask(worker)["loss"] for way, worker in workers.items()}
        for worker in workers.values():
            worker.communicate()
    report(result, losses, arguments)


def report(
    result: dict[str, list[dict[str, float]]],
    losses: dict[str, float],
    arguments: argparse.Namespace,
) -> None:
    timed = {way: steps[arguments.warm :] for way, steps in result.items()}

    def median(way: str, name: str) -> float:
        return statistics.median(step[name] for step in timed[way])

    print_heads(
        *("step", "seconds", "CPU seconds (user + system)", "windows/s", "page faults"),
        "peak memory",
    )
    for way in WAYS:
        wall, user, system = (median(way, name) for name in ("wall", "user", "system"))
        print_row(
            *(way, f"{wall:.3g}", f"{user + system:.3g} ({user:.3g} + {system:.3g})"),
            *(f"{arguments.batch / wall:,.0f}", f"{median(way, 'faults'):,.0f}"),
            f"{timed[way][-1]['peak_mib']:,.0f} MB",
        )
    pairs = list(zip(timed["plain"], timed["fast"], strict=True))
    by_clock = statistics.median(plain["wall"] / fast["wall"] for plain, fast in pairs)
    by_cpu = statistics.median(
        (plain["user"] + plain["system"]) / (fast["user"] + fast["system"]) for plain, fast in pairs
    )
    apart = abs(losses["plain"] / losses["fast"] - 1)
    print(
        f"\nfaster by the clock {by_clock:.2f} times, by CPU {by_cpu:.2f} times (medians of pairs)"
    )
    print(
        f"mean loss of {len(result['plain'])} steps, {losses['plain']:.4f}: "
        f"{apart:.1e} apart, relative"
    )


def start(way: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "BIOQ_PLAIN": "1" if way == "plain" else "0"}
    return subprocess.Popen(
        [sys.executable, *sys.argv, "--worker", str(folder / way)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ask(worker: subprocess.Popen[str]) -> Any:
    """Have a worker take a step; after the last one, return its losses."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("step\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"a training ended with status {worker.wait()}; see above")
    return json.loads(line)


def work(arguments: argparse.Namespace) -> None:
    """Train; wait for a line before every step, and write what it took."""
    import torch

    import bioq

    torch.set_num_threads(arguments.threads)
    sizes = sizes_of(arguments.sizes)
    data, run = arguments.worker.parent / "data", arguments.worker
    config = bioq.TrainConfig(
        recipe="bioq",
        optimizer=arguments.optimizer,
        lr=arguments.lr,
        batch_size=arguments.batch,
        strands="random",
        epochs=1,
        device="cpu",
        checkpoint_min=1e9,
    )
    begun: list[tuple[float, Any]] = []

    def begin() -> None:
        sys.stdin.readline()
        begun.append((time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)))

    def after_step(_: int) -> None:
        (started, before), ended = begun.pop(), time.perf_counter()
        after = resource.getrusage(resource.RUSAGE_SELF)
        taken = {
            "wall": ended - started,
            "user": after.ru_utime - before.ru_utime,
            "system": after.ru_stime - before.ru_stime,
            "faults": after.ru_minflt - before.ru_minflt,
            "peak_mib": peak_mib(),
        }
        print(json.dumps(taken), flush=True)
        begin()

    begin()  # the first step includes the start of the training, and is not timed
    train_with(
        after_step,
        lambda: bioq.train(
            data, run, model=arguments.model, sizes=sizes, motifs="none", config=config
        ),
    )
    history = pd.read_csv(run / "history.csv")
    print(json.dumps({"loss": float(history["train_loss"][0])}), flush=True)


if __name__ == "__main__":
    main()
