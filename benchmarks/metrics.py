"""Speed and memory of `bioq.metrics` on random labels and probabilities, beside scikit-learn.

    python benchmarks/metrics.py [--windows 100000] [--targets 200] [--reference 20] [--folder DIR]
        [--tiny]

The arrays are in files that are removed at the end (uint8 labels in memory, float32 probabilities
memory-mapped, as a large evaluation has them). Each step runs in a process of its own and prints
its seconds and its peak resident memory without the pages of the mapped file. scikit-learn scores
`--reference` targets, one after the other, and pooled at most 20 million values (it takes about 60
bytes for each); its times are scaled to everything. Its scores are compared with BioQ's. The full
size is --windows 455024 --targets 919.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from generated import write_labels
from measuring import (
    Taken,
    in_own_process,
    own_peak_mib,
    parse,
    parser,
    print_heads,
    print_row,
    timed,
)

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
Row = tuple[str, ...]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--windows", type=int, default=100_000)
    options.add_argument("--targets", type=int, default=200)
    options.add_argument("--reference", type=int, default=20, help="targets scikit-learn scores")
    options.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    options.add_argument("--folder", type=Path, help="where the files are written")
    options.add_argument("--step", help=argparse.SUPPRESS)
    tiny = {"windows": 20_000, "targets": 3, "reference": 2}
    arguments = parse(options, tiny=tiny)
    shape = (arguments.windows, arguments.targets)
    if arguments.step:
        print(json.dumps(_step(arguments.step, arguments.folder, shape, arguments.reference)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write_labels(Path(folder), *shape)
        print(f"{shape[0]:,} windows x {shape[1]:,} targets\n")
        print_heads("step", "seconds", "CPU seconds", "peak memory")
        for step in arguments.steps:
            sizes = ("--windows", shape[0], "--targets", shape[1])
            words = ("--step", step, "--folder", folder, *sizes)
            row = in_own_process(__file__, *words, "--reference", arguments.reference)
            print_row(*row)


def _step(step: str, folder: Path, shape: tuple[int, int], reference: int) -> Row:
    labels = np.load(folder / "labels.npy")
    probability = np.load(folder / "probability.npy", mmap_mode="r")
    if step == "scikit-learn, every target":
        return _time_every_target(labels, probability, reference)
    if step == "scikit-learn, pooled":
        return _time_pooled(labels, probability)
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
    taken = timed(steps[step])
    return (step, f"{taken.seconds:.3g}", f"{taken.cpu_s:.3g}", f"{own_peak_mib() or 0:,.0f} MB")


def _blocks(windows: int) -> np.ndarray:
    """Return blocks of 500 windows: 100 kb of bins of 200 bp."""
    from bioq import metrics

    return metrics.joined_blocks(np.arange(windows) // 500)


def _time_every_target(labels: np.ndarray, probability: np.ndarray, reference: int) -> Row:
    from sklearn.metrics import average_precision_score, roc_auc_score

    from bioq import metrics

    few = min(reference, labels.shape[1])
    copied = [(np.array(labels[:, t]), np.array(probability[:, t])) for t in range(few)]
    expected: list[tuple[float, float]] = []
    taken = timed(
        lambda: expected.extend(
            (roc_auc_score(*column), average_precision_score(*column)) for column in copied
        )
    )
    result = metrics.per_target(labels[:, :few], probability[:, :few])
    gap = np.abs(result[["roc_auc", "average_precision"]].to_numpy() - expected).max()
    return _reference_row("every target", taken, labels.shape[1] / few, gap)


def _time_pooled(labels: np.ndarray, probability: np.ndarray) -> Row:
    from sklearn.metrics import average_precision_score, roc_auc_score

    from bioq import metrics

    rows = min(max(POOLED_VALUES // labels.shape[1], 1), len(labels))
    pooled = labels[:rows].ravel(), np.array(probability[:rows]).ravel()
    expected: list[float] = []
    taken = timed(
        lambda: expected.extend((roc_auc_score(*pooled), average_precision_score(*pooled)))
    )
    points = metrics.operating_points(labels[:rows], probability[:rows])
    result = metrics.roc_auc(points), metrics.average_precision(points)
    gap = np.abs(np.subtract(result, expected)).max()
    return _reference_row("pooled", taken, len(labels) / rows, gap)


def _reference_row(what: str, taken: Taken, scale: float, gap: float) -> Row:
    name = f"scikit-learn, ROC AUC and AP, {what}, scaled; BioQ differs by at most {gap:.0e}"
    return (name, f"{taken.seconds * scale:.3g}", f"{taken.cpu_s * scale:.3g}", "")


if __name__ == "__main__":
    main()
