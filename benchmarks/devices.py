"""Training on several CPU processes of this machine beside one: steps, efficiency, all-reduce.

    python benchmarks/devices.py                                 # bioq as published, 919 targets
    python benchmarks/devices.py --processes 1 2 4 --steps 20
    python benchmarks/devices.py --sizes filters=64 lstm_units=32 dense_units=128 \
        --targets 399 --batch 32                                 # as on yeast

Every number of processes trains twice: on the same global batch, of which each process takes a part
(strong scaling), and on a batch for each (weak). One thread a process. The first steps (--warm) are
not timed; "fastest" is what to compare where other work runs on the machine. Then the gradients of
the model are summed over the processes alone, as gloo does it. Prints a table in Markdown.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training_step import generate

PROGRAM = "import json, sys, devices; devices.work(**json.loads(sys.argv[1]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bioq")
    parser.add_argument("--sizes", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--targets", type=int, default=919)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2])
    arguments = parser.parse_args()
    # Read by the processes that are started from here.
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    print(
        "| batch | processes | windows per step | s per step | fastest | CPU s | windows/s | "
        "share of linear |"
    )
    print("| --- " * 8 + "|")
    with tempfile.TemporaryDirectory() as folder:
        windows = arguments.batch * max(arguments.processes) * arguments.steps
        generate(Path(folder) / "data", windows, arguments.targets)
        alone: dict[str, Any] = {}
        for processes in arguments.processes:
            for kind in ("shared", "each"):
                if processes == 1 and kind == "each":
                    continue
                batch = arguments.batch * (processes if kind == "each" else 1)
                result = measure(Path(folder), arguments, processes, batch)
                alone = alone or result
                show(result, alone, kind, processes, batch, arguments)
    if "all_reduce_s" in result:
        print(
            f"\nall-reduce of {result['gradient_bytes'] / 1e6:.0f} MB over gloo, loopback, "
            f"{arguments.processes[-1]} processes: {result['all_reduce_s']:.3f} s"
        )


def show(
    result: dict[str, Any], alone: dict[str, Any], kind: str, processes: int, batch: int, a: Any
) -> None:
    seconds = result["step_s"][a.warm :]
    rate, one = batch / min(seconds), a.batch / min(alone["step_s"][a.warm :])
    print(
        f"| {kind} | {processes} | {batch} | {statistics.median(seconds):.3f} | {min(seconds):.3f} "
        f"| {statistics.median(result['cpu_s'][a.warm :]):.3f} | {rate:.1f} "
        f"| {rate / one / processes:.0%} |",
        flush=True,
    )


def measure(folder: Path, a: argparse.Namespace, processes: int, batch: int) -> dict[str, Any]:
    """Train for the steps in processes of their own; return what the first wrote down."""
    from bioq.training.launch import start_ranks

    out = folder / f"{processes}-{batch}.json"
    job = {
        "folder": str(folder),
        "out": str(out),
        "model": a.model,
        "sizes": {name: int(value) for name, value in (word.split("=") for word in a.sizes)},
        "batch": batch,
        "steps": a.steps,
    }
    if processes == 1:
        subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(job)], check=True)
    else:
        start_ranks("devices:work", job, device="cpu", devices=processes, nodes=1)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def work(
    *, folder: str, out: str, model: str, sizes: dict[str, int], batch: int, steps: int
) -> None:
    """Train as one rank and stop after some steps; the first rank writes down what they took."""
    import torch

    import bioq
    from bioq import ModelSizes, TrainConfig
    from bioq.training import train as training

    class Done(Exception):
        pass

    result: dict[str, Any] = {"step_s": [], "cpu_s": []}

    class Timed(training.TrainingLoop):
        def _step(self, batch: Any) -> torch.Tensor:
            started, cpu = time.perf_counter(), time.process_time()
            loss = super()._step(batch)
            result["step_s"].append(time.perf_counter() - started)
            result["cpu_s"].append(time.process_time() - cpu)
            if len(result["step_s"]) == steps:
                if not self.ranks.is_alone:
                    result.update(time_all_reduce(self.state.network))
                if self.ranks.is_first:
                    Path(out).write_text(json.dumps(result))
                raise Done
            return loss

    training.TrainingLoop = Timed
    config = TrainConfig(
        batch_size=batch, optimizer="rmsprop", lr=1e-5, device="cpu", data_in="memory"
    )
    run = Path(out).with_suffix("")
    with contextlib.suppress(Done):
        bioq.train(
            f"{folder}/data",
            run,
            model=model,
            sizes=ModelSizes(**sizes),
            motifs="none",
            config=config,
        )


def time_all_reduce(model: Any) -> dict[str, Any]:
    """Sum as many numbers as a model has weights over all ranks, five times; the median."""
    import torch
    from torch import distributed

    gradients = torch.zeros(sum(weight.numel() for weight in model.parameters()))
    times = []
    for _ in range(5):
        distributed.barrier()
        started = time.perf_counter()
        distributed.all_reduce(gradients)
        times.append(time.perf_counter() - started)
    return {"gradient_bytes": gradients.numel() * 4, "all_reduce_s": statistics.median(times)}


if __name__ == "__main__":
    main()
