"""What the fast paths and bf16 do to the scores of a trained model, on its validation split.

    python benchmarks/precision.py RUN DATASET [--tiny]

Prints, for each way of computing on this machine's CPU, the rate, the largest difference of a
probability from plain float32, and the four scores. scikit-learn computes the scores.
"""

import os
from pathlib import Path

import numpy as np
from measuring import parse, parser, print_heads, print_row, timed
from sklearn.metrics import average_precision_score, roc_auc_score

import bioq
from bioq.forward import predict_split

WAYS = (("plain", "32"), ("fast", "32"), ("plain", "bf16"), ("fast", "bf16"))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("run", type=Path)
    options.add_argument("dataset", type=Path)
    options.add_argument("--windows", type=int, default=1 << 62, help="the first of the split")
    arguments = parse(options, tiny={"windows": 200})
    rows = slice(0, arguments.windows)
    model = bioq.load(arguments.run)
    split = bioq.open_dataset(arguments.dataset)["valid"]
    labels = split.labels()[rows]
    defined = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
    print_heads(
        *("way", "windows/s", "largest difference", "macro ROC AUC", "AP", "micro ROC AUC", "AP")
    )
    results = {}
    for way, precision in WAYS:
        os.environ["BIOQ_PLAIN"] = "1" if way == "plain" else "0"

        def predict(way: tuple[str, str] = (way, precision)) -> None:
            results[way] = predict_split(model, split, precision=way[1], rows=rows)

        predict()  # warm
        seconds = timed(predict).seconds
        result = results[way, precision]
        print_row(
            f"{way} {precision}",
            f"{len(labels) / seconds:,.0f}",
            f"{np.abs(result - results[WAYS[0]]).max():.1e}",
            *(f"{score:.5f}" for score in scores_of(labels[:, defined], result[:, defined])),
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
