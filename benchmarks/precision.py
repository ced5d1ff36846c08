"""What the fast paths and bf16 do to the scores of a trained model, on its validation split.

    python benchmarks/precision.py RUN DATASET

Prints, for each way of computing on this machine's CPU, the rate, the largest difference of a
probability from plain float32, and the four scores. scikit-learn computes the scores.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import bioq
from bioq.fast.switch import SWITCH
from bioq.forward import predict_split

WAYS = (("plain", "32"), ("fast", "32"), ("plain", "bf16"), ("fast", "bf16"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("dataset", type=Path)
    arguments = parser.parse_args()
    model = bioq.load(arguments.run)
    split = bioq.open_dataset(arguments.dataset)["valid"]
    packed = split.read_packed(slice(0, len(split))).labels
    labels = np.unpackbits(packed, axis=1, bitorder="little")[:, : split.targets]
    defined = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
    print("| way | windows/s | largest difference | macro ROC AUC | AP | micro ROC AUC | AP |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    exact = None
    for way, precision in WAYS:
        os.environ[SWITCH] = "1" if way == "plain" else "0"
        predict_split(model, split, precision=precision)  # warm
        started = time.perf_counter()
        result = predict_split(model, split, precision=precision)
        seconds = time.perf_counter() - started
        exact = result if exact is None else exact
        difference = np.abs(result - exact).max()
        scores = scores_of(labels[:, defined], result[:, defined])
        print(
            f"| {way} {precision} | {len(split) / seconds:,.0f} | {difference:.1e} | "
            + " | ".join(f"{score:.5f}" for score in scores)
            + " |",
            flush=True,
        )


def scores_of(labels: np.ndarray, result: np.ndarray) -> list[float]:
    """Return macro ROC AUC and AP, micro ROC AUC and AP."""
    columns = range(labels.shape[1])
    return [
        float(np.mean([roc_auc_score(labels[:, c], result[:, c]) for c in columns])),
        float(np.mean([average_precision_score(labels[:, c], result[:, c]) for c in columns])),
        float(roc_auc_score(labels.ravel(), result.ravel())),
        float(average_precision_score(labels.ravel(), result.ravel())),
    ]


if __name__ == "__main__":
    main()
