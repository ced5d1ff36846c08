"""Training on several CPU processes of this machine beside one: steps, efficiency, all-reduce.

    python benchmarks/devices.py                                 # bioq as published, 919 targets
    python benchmarks/devices.py --processes 1 2 4 --steps 20
    python benchmarks/devices.py --sizes filters=64 lstm_units=32 dense_units=128 \
        --targets 399 --batch 32                                 # as on yeast
    python benchmarks/devices.py --tiny

Every number of processes trains twice: on the same global batch, of which each process takes a part
(strong scaling), and on a batch for each (weak). One thread a process. The first steps (--warm) are
not timed; "fastest" is what to compare where other work runs on the machine. Then the gradients of
the model are summed over the processes alone, as gloo does it. Prints a table in Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from generated import write_dataset
from measuring import Failures, parse, parser, print_heads, print_row
from training_steps import TINY, EnoughStepsError, add_options, sizes_of, train_with


def main() -> None:
    options = parser(__doc__)
    add_options(options)
    options.add_argument("--steps", type=int, default=12)
    options.add_argument("--warm", type=int, default=3)
    options.add_argument("--processes", nargs="*", type=int, default=[1, 2])
    options.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    arguments = parse(options, tiny={**TINY, "steps": 5, "warm": 2})
    if arguments.work:
        work(**arguments.work)
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started from here
    print_heads(
        *("batch", "processes", "windows per step", "s per step", "fastest", "CPU s", "windows/s"),
        "share of linear",
    )
    failures, result = Failures(), {}
    with tempfile.TemporaryDirectory() as folder:
        windows = arguments.batch * max(arguments.processes) * arguments.steps
        write_dataset(Path(folder) / "data", {"train": windows}, targets=arguments.targets)
        alone: dict[str, Any] = {}
        for processes in arguments.processes:
            for kind in ("shared", "each"):
                if processes == 1 and kind == "each":
                    continue
                batch = arguments.batch * (processes if kind == "each" else 1)
                with failures.of(f"{processes} processes, batch {batch}"):
                    result = measure(Path(folder), arguments, processes, batch)
                    alone = alone or result
                    show(result, alone, kind, processes, batch, arguments)
    if "all_reduce_s" in result:
        print(
            f"\nall-reduce of {result['gradient_bytes'] / 1e6:.0f} MB over gloo, loopback, "
            f"{arguments.processes[-1]} processes: {result['all_reduce_s']:.3g} s"
        )
    failures.end()


def show(
    result: dict[str, Any], alone: dict[str, Any], kind: str, processes: int, batch: int, a: Any
) -> None:
    seconds = result["step_s"][a.warm :]
    rate, one = batch / min(seconds), a.batch / min(alone["step_s"][a.warm :])
    print_row(
        *(kind, processes, batch, f"{statistics.median(seconds):.3g}", f"{min(seconds):.3g}"),
        *(f"{statistics.median(result['cpu_s'][a.warm :]):.3g}", f"{rate:.1f}"),
        f"{rate / one / processes:.0%}",
    )


def measure(folder: Path, a: argparse.Namespace, processes: int, batch: int) -> dict[str, Any]:
    """Train for the steps in processes of their own, which torchrun starts; return what the first
    of them measured."""
    out = folder / f"{processes}-{batch}.json"
    job = {
        "data": str(folder / "data"),
        "out": str(out),
        "model": a.model,
        "sizes": a.sizes,
        "batch": batch,
        "steps": a.steps,
        "processes": processes,
    }
    ranks = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    start = [sys.executable, *(ranks if processes > 1 else ())]
    subprocess.run([*start, __file__, "--work", json.dumps(job)], check=True, stdout=sys.stderr)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def work(
    *,
    data: str,
    out: str,
    model: str,
    sizes: list[str],
    batch: int,
    steps: int,
    processes: int,
) -> None:
    """Train as one rank and stop after some steps; the first rank writes what they took."""
    import bioq

    result: dict[str, Any] = {"step_s": [], "cpu_s": []}
    before = [time.perf_counter(), time.process_time()]

    def after_step(number: int) -> None:
        now = [time.perf_counter(), time.process_time()]
        result["step_s"].append(now[0] - before[0])
        result["cpu_s"].append(now[1] - before[1])
        if number + 1 < steps:
            before[:] = [time.perf_counter(), time.process_time()]
            return
        if processes > 1:
            result.update(time_all_reduce(model, sizes, data))
        if os.environ.get("RANK", "0") == "0":
            Path(out).write_text(json.dumps(result))
        raise EnoughStepsError

    config = bioq.TrainConfig(
        batch_size=batch, optimizer="rmsprop", lr=1e-5, device="cpu", data_in="memory"
    )
    train_with(
        after_step,
        lambda: bioq.train(
            data,
            Path(out).with_suffix(""),
            model=model,
            sizes=sizes_of(sizes),
            motifs="none",
            config=config,
        ),
    )


def time_all_reduce(model: str, sizes: list[str], data: str) -> dict[str, Any]:
    """Sum as many numbers as a model has weights over all ranks, five times; the median."""
    import torch
    from torch import distributed

    import bioq

    targets = bioq.open_dataset(data)["train"].targets
    network = bioq.build_model(model, targets=targets, sizes=sizes_of(sizes))
    gradients = torch.zeros(sum(weight.numel() for weight in network.parameters()))
    times = []
    for _ in range(5):
        distributed.barrier()
        started = time.perf_counter()
        distributed.all_reduce(gradients)
        times.append(time.perf_counter() - started)
    return {"gradient_bytes": gradients.numel() * 4, "all_reduce_s": statistics.median(times)}


if __name__ == "__main__":
    main()
