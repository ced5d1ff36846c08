"""Exact ROC AUC and average precision: BioQ beside scikit-learn and torchmetrics.

    python benchmarks/peers/metrics.py [--windows 100000] [--targets 50] [--threads 1] [--tiny]

uint8 labels and float32 probabilities `(windows, targets)` in memory, of every target by itself
and of all pooled. BioQ gives F1, accuracy and the Brier score of every target in the same time.
DeepSEA's test set is --windows 455024 --targets 919.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from contest import TINY, Call, Contender, main, parser
from generated import write_labels
from measuring import parse

EACH, POOLED = "every target", "all pooled"


def scikit_learn(options: argparse.Namespace, case: str) -> Call:
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels, probability = _load(options)

    def areas(label: Any, scores: Any) -> list[float]:
        return [roc_auc_score(label, scores), average_precision_score(label, scores)]

    if case == POOLED:
        return lambda: np.array(areas(labels.ravel(), probability.ravel()))
    targets = range(labels.shape[1])
    return lambda: np.array([areas(labels[:, one], probability[:, one]) for one in targets])


def bioq(options: argparse.Namespace, case: str) -> Call:
    from bioq import metrics

    labels, probability = _load(options)

    def pooled() -> Any:
        points = metrics.operating_points(labels, probability)
        return np.array([metrics.roc_auc(points), metrics.average_precision(points)])

    def each() -> Any:
        table = metrics.per_target(labels, probability)
        return table[["roc_auc", "average_precision"]].to_numpy()

    return pooled if case == POOLED else each


def torchmetrics(options: argparse.Namespace, case: str) -> Call:
    import torch
    from torchmetrics.functional.classification import (
        binary_auroc,
        binary_average_precision,
        multilabel_auroc,
        multilabel_average_precision,
    )

    torch.set_num_threads(options.threads)
    arrays = _load(options)
    labels, probability = torch.from_numpy(arrays[0]).long(), torch.from_numpy(arrays[1])
    count = labels.shape[1]

    def pooled() -> Any:
        scores, label = probability.flatten(), labels.flatten()
        result = [binary_auroc(scores, label), binary_average_precision(scores, label)]
        return torch.stack(result).numpy()

    def each() -> Any:
        result = [
            function(probability, labels, num_labels=count, average=None)
            for function in (multilabel_auroc, multilabel_average_precision)
        ]
        return torch.stack(result, dim=1).numpy()

    return pooled if case == POOLED else each


def generate(folder: Path, options: argparse.Namespace) -> None:
    write_labels(folder, options.windows, options.targets)


def _load(options: argparse.Namespace) -> tuple[Any, Any]:
    return np.load(options.folder / "labels.npy"), np.load(options.folder / "probability.npy")


CONTENDERS = (
    Contender("scikit-learn", scikit_learn, ("scikit-learn",)),
    Contender("BioQ", bioq, tolerance=1e-9, ours=True),
    # It computes in float32, so 1e-9 is not reachable.
    Contender("torchmetrics", torchmetrics, ("torchmetrics",), tolerance=1e-3),
)

if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--windows", type=int, default=100_000)
    arguments.add_argument("--targets", type=int, default=50)
    chosen = parse(arguments, tiny={**TINY, "windows": 3000, "targets": 3})
    main(
        chosen,
        CONTENDERS,
        dict.fromkeys((EACH, POOLED), chosen.windows * chosen.targets),
        subject="metrics",
        unit="labels",
        generate=generate,
    )
