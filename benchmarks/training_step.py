"""A training step on a CPU: BioQ as it trains beside plain eager PyTorch, step by step in turn.

    python benchmarks/training_step.py                            # bioq as published, 919 targets
    python benchmarks/training_step.py --model deepsea --steps 10
    python benchmarks/training_step.py --sizes filters=64 lstm_units=32 dense_units=128 \
        --targets 399 --batch 32 --optimizer adamw --steps 200            # as on yeast

Both are `bioq.train` in processes of their own, from the same seed, on random windows and labels;
plain is the same with BIOQ_PLAIN=1. They take a step each in turn, so that what else runs on the
machine meets both. The first steps (--warm) are not timed. Prints medians, and how far the losses
of the two are apart.
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

WAYS = ("plain", "fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bioq")
    parser.add_argument("--sizes", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--targets", type=int, default=919)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--optimizer", default="rmsprop")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "data", arguments.batch * (arguments.steps + 1), arguments.targets)
        workers = [start(way, Path(folder)) for way in WAYS]
        result: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for step in range(arguments.steps):
            order = list(zip(WAYS, workers, strict=True))
            for way, worker in order if step % 2 else reversed(order):
                result[way].append(ask(worker))
        for worker in workers:
            worker.stdin.close()
            worker.wait()
    report(result, arguments.warm, arguments.batch)


def report(result: dict[str, list[dict[str, float]]], warm: int, batch: int) -> None:
    timed = {way: steps[warm:] for way, steps in result.items()}

    def median(way: str, name: str) -> float:
        return statistics.median(step[name] for step in timed[way])

    print(
        "| step | seconds | CPU seconds (user + system) | windows/s | page faults | peak memory |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for way in WAYS:
        wall, user, system = (median(way, name) for name in ("wall", "user", "system"))
        print(
            f"| {way} | {wall:.3f} | {user + system:.3f} ({user:.3f} + {system:.3f}) | "
            f"{batch / wall:,.0f} | {median(way, 'faults'):,.0f} | "
            f"{timed[way][-1]['peak_mb']:,.0f} MB |"
        )
    pairs = list(zip(timed["plain"], timed["fast"], strict=True))
    by_clock = statistics.median(plain["wall"] / fast["wall"] for plain, fast in pairs)
    by_cpu = statistics.median(
        (plain["user"] + plain["system"]) / (fast["user"] + fast["system"]) for plain, fast in pairs
    )
    apart = max(
        abs(plain["loss"] / fast["loss"] - 1)
        for plain, fast in zip(result["plain"], result["fast"], strict=True)
    )
    first, last = result["plain"][0]["loss"], result["plain"][-1]["loss"]
    print(
        f"\nfaster by the clock {by_clock:.2f} times, by CPU {by_cpu:.2f} times (medians of pairs)"
    )
    print(
        f"losses of {len(result['plain'])} steps, from {first:.4f} to {last:.4f}: "
        f"at most {apart:.1e} apart, relative"
    )


def start(way: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "BIOQ_PLAIN": "1" if way == "plain" else "0"}
    return subprocess.Popen(
        [sys.executable, *sys.argv, "--worker", str(folder / way)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def ask(worker: subprocess.Popen[str]) -> Any:
    """Have a worker take a step."""
    worker.stdin.write("step\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def work(arguments: argparse.Namespace) -> None:
    """Train; wait for a line before every step and write what it took."""
    import torch

    import bioq
    import bioq.training.loop
    from bioq import TrainConfig
    from bioq.models import sizes_from

    torch.set_num_threads(arguments.threads)
    take_step = bioq.training.loop.TrainingLoop._step

    def measured(self: Any, *batch: Any) -> Any:
        if not sys.stdin.readline():
            os._exit(0)
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        loss = take_step(self, *batch)
        taken = {"wall": time.perf_counter() - started}
        after = resource.getrusage(resource.RUSAGE_SELF)
        taken["user"] = after.ru_utime - before.ru_utime
        taken["system"] = after.ru_stime - before.ru_stime
        taken["faults"] = after.ru_minflt - before.ru_minflt
        taken["peak_mb"] = after.ru_maxrss / 1024
        taken["loss"] = float(loss) / arguments.batch
        print(json.dumps(taken), flush=True)
        return loss

    bioq.training.loop.TrainingLoop._step = measured  # type: ignore[method-assign]
    sizes = {name: int(value) for name, value in (size.split("=") for size in arguments.sizes)}
    bioq.train(
        arguments.worker.parent / "data",
        arguments.worker,
        model=arguments.model,
        sizes=sizes_from(sizes),
        config=TrainConfig(
            recipe="bioq",
            optimizer=arguments.optimizer,
            lr=arguments.lr,
            batch_size=arguments.batch,
            strands="random",
            device="cpu",
            checkpoint_min=1e9,
        ),
    )


def generate(path: Path, windows: int, targets: int) -> None:
    import numpy as np
    import pandas as pd

    from bioq.dataset import Description, new_dataset, pack_labels

    random = np.random.default_rng(0)
    description = Description(made_by="peaks", window_bp=1000, bin_bp=200, label_rule="half")
    table = pd.DataFrame({"name": [f"target{number}" for number in range(targets)]})
    with new_dataset(path, description, table) as writer, writer.split("train") as split:
        codes = random.integers(0, 4, (windows, 1000)).astype(np.uint8)
        split.append(codes, pack_labels(random.random((windows, targets)) < 0.02))


if __name__ == "__main__":
    main()
