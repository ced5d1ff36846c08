"""Speed and memory of `bioq.metrics` on random labels and probabilities, beside scikit-learn.

    python benchmarks/metrics.py [--windows 100000] [--targets 200] [--reference 20] [--folder DIR]

The arrays are in files that are removed at the end (uint8 labels in memory, float32 probabilities
memory-mapped, as a large evaluation has them). Each step runs in a process of its own and prints
its seconds and its peak resident memory without the pages of the mapped file. scikit-learn scores
`--reference` targets, one after the other, and pooled at most 20 million values (it takes about 60
bytes for each); its times are scaled to everything. Its scores are compared with BioQ's. The full
size is --windows 455024 --targets 919.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

STEPS = (
    "read",
    "per_target",
    "per_target with intervals",
    "scikit-learn, every target",
    "micro",
    "micro with intervals",
    "scikit-learn, pooled",
    "quick_scores",
    "calibration",
)
POOLED_VALUES = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--reference", type=int, default=20, help="targets scikit-learn scores")
    parser.add_argument("--folder", type=Path, default=None, help="where the files are written")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = (arguments.windows, arguments.targets)
    if arguments.step:
        _step(arguments.step, arguments.folder, shape, arguments.reference)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        _generate(Path(folder), shape)
        print(f"{shape[0]:,} windows x {shape[1]:,} targets\n")
        print("| step | seconds | CPU seconds | peak memory |")
        print("| --- | --- | --- | --- |", flush=True)
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--folder", folder]
            sizes = ["--windows", str(shape[0]), "--targets", str(shape[1])]
            reference = ["--reference", str(arguments.reference)]
            subprocess.run([*command, *sizes, *reference], check=True)


def _generate(folder: Path, shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    rates = generator.uniform(0.001, 0.04, shape[1])
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, shape)
    probability = np.lib.format.open_memmap(folder / "probability.npy", "w+", np.float32, shape)
    for start in range(0, shape[0], 10_000):
        rows = labels[start : start + 10_000]
        rows[:] = generator.random(rows.shape, dtype=np.float32) < rates
        logits = generator.standard_normal(rows.shape, dtype=np.float32)
        logits += 2 * rows + np.log(rates).astype(np.float32)
        probability[start : start + 10_000] = 1 / (1 + np.exp(-logits))


def _step(step: str, folder: Path, shape: tuple[int, int], reference: int) -> None:
    labels = np.load(folder / "labels.npy")
    probability = np.load(folder / "probability.npy", mmap_mode="r")
    if step == "scikit-learn, every target":
        _time_every_target(labels, probability, reference)
        return
    if step == "scikit-learn, pooled":
        _time_pooled(labels, probability)
        return
    from bioq import metrics

    steps = {
        "read": lambda: np.asarray(probability).max(),
        "quick_scores": lambda: metrics.quick_scores(labels, probability),
        "per_target": lambda: metrics.per_target(
            labels, probability, thresholds=np.full(shape[1], 0.2)
        ),
        "per_target with intervals": lambda: metrics.score_targets(
            labels, probability, thresholds=np.full(shape[1], 0.2), blocks=_blocks(shape[0])
        ),
        "micro": lambda: metrics.operating_points(labels, probability),
        "micro with intervals": lambda: metrics.block_effects(
            metrics.operating_points(labels, probability), labels, probability, _blocks(shape[0])
        ),
        "calibration": lambda: metrics.reliability(labels, probability),
    }
    seconds, cpu_s = _time(steps[step])
    print(f"| {step} | {seconds:.1f} | {cpu_s:.1f} | {_peak_mb():,.0f} MB |", flush=True)


def _blocks(windows: int) -> np.ndarray:
    """Return blocks of 500 windows: 100 kb of bins of 200 bp."""
    from bioq import metrics

    return metrics.joined_blocks(np.arange(windows) // 500)


def _time_every_target(labels: np.ndarray, probability: np.ndarray, reference: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    from bioq import metrics

    few = min(reference, labels.shape[1])
    copied = [(np.array(labels[:, t]), np.array(probability[:, t])) for t in range(few)]
    expected: list[tuple[float, float]] = []
    seconds, cpu_s = _time(
        lambda: expected.extend(
            (roc_auc_score(*column), average_precision_score(*column)) for column in copied
        )
    )
    result = metrics.per_target(labels[:, :few], probability[:, :few])
    gap = np.abs(result[["roc_auc", "average_precision"]].to_numpy() - expected).max()
    _print_reference("every target", seconds, cpu_s, labels.shape[1] / few, gap)


def _time_pooled(labels: np.ndarray, probability: np.ndarray) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    from bioq import metrics

    rows = min(max(POOLED_VALUES // labels.shape[1], 1), len(labels))
    pooled = labels[:rows].ravel(), np.array(probability[:rows]).ravel()
    expected: list[float] = []
    seconds, cpu_s = _time(
        lambda: expected.extend((roc_auc_score(*pooled), average_precision_score(*pooled)))
    )
    points = metrics.operating_points(labels[:rows], probability[:rows])
    result = metrics.roc_auc(points), metrics.average_precision(points)
    gap = np.abs(np.subtract(result, expected)).max()
    _print_reference("pooled", seconds, cpu_s, len(labels) / rows, gap)


def _time(function: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of a call."""
    started, cpu_started = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - started, time.process_time() - cpu_started


def _print_reference(what: str, seconds: float, cpu_s: float, scale: float, gap: float) -> None:
    print(
        f"| scikit-learn, ROC AUC and AP, {what}, scaled; BioQ differs by at most {gap:.0e} "
        f"| {seconds * scale:.1f} | {cpu_s * scale:.1f} | |",
        flush=True,
    )


def _peak_mb() -> float:
    """Return the most memory this process has held itself, in MB (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, mapped = (int(status[name].split()[0]) for name in ("VmHWM", "RssFile"))
    return (peak - mapped) / 1024


if __name__ == "__main__":
    main()
