"""Speed and memory of `bioq.metrics` on random labels and probabilities, beside scikit-learn.

    python benchmarks/metrics.py [--windows 100000] [--targets 200] [--reference 20] [--folder DIR]

The arrays lie in files that are removed at the end (uint8 labels in memory, float32 probabilities
memory-mapped, as a large evaluation has them). Each step runs in a process of its own and prints
its seconds and its peak resident memory without the pages of the mapped file; scikit-learn scores
`--reference` targets, one after the other, and its time is scaled to all of them. The full size is
--windows 455024 --targets 919.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STEPS = ("read", "quick_scores", "per_target", "micro", "calibration", "scikit-learn")


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
            own = [sys.executable, __file__, "--step", step, "--folder", folder]
            sizes = ["--windows", str(shape[0]), "--targets", str(shape[1])]
            reference = ["--reference", str(arguments.reference)]
            subprocess.run([*own, *sizes, *reference], check=True)


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
    if step == "scikit-learn":
        _time_reference(labels, probability, reference)
        return
    from bioq import metrics

    steps = {
        "read": lambda: np.asarray(probability).max(),
        "quick_scores": lambda: metrics.quick_scores(labels, probability),
        "per_target": lambda: metrics.per_target(
            labels, probability, thresholds=np.full(shape[1], 0.2)
        ),
        "micro": lambda: metrics.operating_points(labels, probability),
        "calibration": lambda: metrics.calibration(labels, probability),
    }
    started, cpu_started = time.perf_counter(), time.process_time()
    steps[step]()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    print(f"| {step} | {seconds:.1f} | {cpu_s:.1f} | {_peak_mb():,.0f} MB |", flush=True)


def _time_reference(labels: np.ndarray, probability: np.ndarray, reference: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    columns = range(min(reference, labels.shape[1]))
    copied = [np.array(probability[:, column]) for column in columns]
    started, cpu_started = time.perf_counter(), time.process_time()
    for column, scores in zip(columns, copied, strict=True):
        roc_auc_score(labels[:, column], scores)
        average_precision_score(labels[:, column], scores)
    whole = labels.shape[1] / len(columns)
    seconds = (time.perf_counter() - started) * whole
    cpu_s = (time.process_time() - cpu_started) * whole
    what = "scikit-learn: ROC AUC and AP of every target, scaled"
    print(f"| {what} | {seconds:.1f} | {cpu_s:.1f} | |", flush=True)


def _peak_mb() -> float:
    """Return the most memory this process has held itself, in MB (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, mapped = (int(status[name].split()[0]) for name in ("VmHWM", "RssFile"))
    return (peak - mapped) / 1024


if __name__ == "__main__":
    main()
