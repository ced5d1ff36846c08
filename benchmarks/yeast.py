"""Yeast, real data: `bioq`, with and without motifs at the start, and `deepsea` beside ridge
regressions on k-mer counts.

    python benchmarks/yeast.py                     everything; about an hour on two cores
    python benchmarks/yeast.py --parts baseline    the ridge regressions alone: minutes
    python benchmarks/yeast.py --parts neural --models deepsea --seeds 0 1 -- --epochs 10
    python benchmarks/yeast.py --tiny                        on the data set of --work

399 ChIP-exo targets (Rossi et al. 2021), 1,000-bp windows around 200-bp bins that hold a peak,
chrII for validation (the ridge penalty, the epoch that is kept), chrIV for the test, the other
contigs for training. Models are made, trained and scored by the command line with its defaults;
what follows `--` goes to `bioq train`. Both parts are read from one data set folder, and what is in
--work already is not made again. The table goes to stdout, in Markdown.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from measuring import Failures, flags_after_dashes, parse, parser, print_heads, print_row, run_bioq
from scipy.special import expit

import bioq
from bioq import metrics
from bioq.dataset import Dataset

YEAST = Path(__file__).resolve().parents[2] / "shared" / "data" / "yeast"
SPLITS = ("--valid-chrom", "chrII", "--test-chrom", "chrIV")
# Sizes that two cores train in minutes; the published ones are for a graphics card.
BIOQ = ("--model", "bioq", "--filters", "64", "--lstm-units", "32", "--dense-units", "128")
MODELS = {
    "bioq": BIOQ,
    "bioq-motifs": (*BIOQ, "--motifs", "JASPAR2024:fungi"),
    "deepsea": ("--model", "deepsea", "--filters", "32", "--dense-units", "128"),
}
PENALTIES = (1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6)
BIN = slice(400, 600)  # the bin's bases in its window
WINDOW = slice(0, 1000)
COLUMNS = (
    "model",
    "windows",
    "tracks counted",
    "median AUROC",
    "macro AUROC",
    "micro AUROC",
    "median AP",
    "macro AP",
    "micro AP",
    "minutes",
)

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ridge:
    """A ridge regression of every target on standardised k-mer counts."""

    name: str
    features: tuple[tuple[int, slice], ...]
    """(k, bases of the window) of each group of features."""


RIDGES = (
    Ridge("ridge, 5-mers of the window", ((5, WINDOW),)),
    Ridge("ridge, 5-mers of window and bin", ((5, WINDOW), (5, BIN))),
    Ridge("ridge, 6-mers of window and bin", ((6, WINDOW), (6, BIN))),
)


def main() -> None:
    """Build, fit, train, score and print."""
    options = _options()
    if not (options.work / "data").is_dir() and not YEAST.is_dir():
        print(f"skipped: {YEAST} is absent (the yeast development data)", file=sys.stderr)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    dataset = build(options.work / "data")
    data = bioq.open_dataset(dataset)
    failures = Failures()
    print_heads(*COLUMNS)
    for ridge in RIDGES[: options.ridges] if "baseline" in options.parts else ():
        with failures.of(ridge.name):
            show(fit_ridge(ridge, data))
    for name in options.models if "neural" in options.parts else ():
        for seed in options.seeds:
            with failures.of(f"{name}, seed {seed}"):
                run = options.work / f"{name}-{seed}"
                show(train_and_score(dataset, run, name, seed, options.flags))
    failures.end()


def build(dataset: Path, splits: Sequence[object] = SPLITS) -> Path:
    """Build the data set, with these options of its splits, unless it is there."""
    if not dataset.is_dir():
        run_bioq(
            "data", "peaks", "--out", dataset,
            "--genome", YEAST / "sacCer3.dev.fa.gz",
            "--targets", YEAST / "targets.tsv",
            "--chrom-alias", YEAST / "chromAlias.tsv",
            "--exclude", YEAST / "exclude.bed",
            "--label", "midpoint", "--keep", "any",
            "--window-bp", 1000, "--bin-bp", 200, *splits,
        )  # fmt: skip
    return dataset


def train_and_score(
    dataset: Path, run: Path, model: str, seed: int, flags: Sequence[str]
) -> dict[str, object]:
    """Train with the default recipe, unless the run is there, and score the test split."""
    summary_file = run / "evaluation" / "metrics.json"
    if not summary_file.is_file():
        resume = ("--resume",) if run.is_dir() else ()
        run_bioq(
            "train", dataset, "--out", run, "--seed", seed, *MODELS[model], *flags, *resume,
        )  # fmt: skip
        run_bioq("evaluate", run, dataset, "--split", "test")
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    macro, micro = summary["macro"], summary["micro"]
    seconds = pd.read_csv(run / "history.csv")["seconds"].sum()
    return {
        "model": f"{model}, seed {seed}",
        "windows": summary["windows"],
        "tracks counted": summary["targets"] - macro["undefined_roc_auc"],
        "median AUROC": macro["median_roc_auc"],
        "macro AUROC": macro["roc_auc"],
        "micro AUROC": micro["roc_auc"],
        "median AP": macro["median_average_precision"],
        "macro AP": macro["average_precision"],
        "micro AP": micro["average_precision"],
        "minutes": seconds / 60,
    }


def fit_ridge(ridge: Ridge, data: Dataset) -> dict[str, object]:
    """Fit a ridge regression with the penalty that is best on valid; score the test split."""
    started = time.monotonic()
    features, labels = {}, {}
    for name in ("train", "valid", "test"):
        codes = np.concatenate(list(_codes(data, name)))
        features[name] = np.concatenate(
            [count_kmers(codes[:, part], k) for k, part in ridge.features], axis=1
        )
        labels[name] = data[name].labels()
    predict = fit_penalties(features["train"], labels["train"])

    def predicted(name: str, penalty: float) -> Floats:
        """Return numbers between 0 and 1 in the order of the regression's: the scores are ranks."""
        return expit(predict(features[name], penalty))

    def valid_score(penalty: float) -> float:
        scores = metrics.quick_scores(labels["valid"], predicted("valid", penalty))
        return scores["macro_average_precision"]

    penalty = max(PENALTIES, key=valid_score)
    scored = predicted("test", penalty)
    pooled = metrics.quick_scores(labels["test"], scored)
    each = metrics.per_target(labels["test"], scored)
    return {
        "model": f"{ridge.name} (penalty {penalty:g})",
        "windows": len(scored),
        "tracks counted": int(each["roc_auc"].notna().sum()),
        "median AUROC": each["roc_auc"].median(),
        "macro AUROC": pooled["macro_roc_auc"],
        "micro AUROC": pooled["micro_roc_auc"],
        "median AP": each["average_precision"].median(),
        "macro AP": pooled["macro_average_precision"],
        "micro AP": pooled["micro_average_precision"],
        "minutes": (time.monotonic() - started) / 60,
    }


def fit_penalties(features: Floats, labels: npt.NDArray[Any]) -> Callable[[Floats, float], Floats]:
    """Fit ridge regressions of labels `(n, targets)` on standardised features `(n, kinds)`; return
    what predicts `(m, targets)` from features `(m, kinds)` and a penalty.

    One eigendecomposition, of the features' cross products or of the windows', whichever are fewer,
    serves every penalty.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1
    standard = (features - mean) / spread
    rate = labels.mean(axis=0)
    if len(standard) < standard.shape[1]:
        size, axes = np.linalg.eigh(standard @ standard.T)
        back, onto = standard.T @ axes, axes.T @ (labels - rate)
    else:
        size, axes = np.linalg.eigh(standard.T @ standard)
        back, onto = axes, axes.T @ (standard.T @ (labels - rate))

    def predict(of: Floats, penalty: float) -> Floats:
        slope = back @ (onto / (size + penalty)[:, None])
        fitted: Floats = (of - mean) / spread @ slope + rate
        return fitted

    return predict


def count_kmers(codes: Codes, k: int) -> Floats:
    """Count k-mers, each together with its reverse complement: `(n, length)` -> `(n, kinds)`.

    Those with an unknown base are left out.
    """
    kinds, number_of = _collapsed(k)
    length = codes.shape[1] - k + 1
    kmer = np.zeros((len(codes), length), dtype=np.int64)
    known = np.ones((len(codes), length), dtype=bool)
    for position in range(k):
        base = codes[:, position : position + length]
        kmer = 4 * kmer + base % 4
        known &= base < 4
    rows, _ = np.nonzero(known)
    counts = np.bincount(rows * kinds + number_of[kmer[known]], minlength=len(codes) * kinds)
    return counts.reshape(len(codes), kinds).astype(np.float64)


def show(row: dict[str, object]) -> None:
    """Print a row of the table."""
    print_row(*(_cell(name, row[name]) for name in COLUMNS))


def _collapsed(k: int) -> tuple[int, Codes]:
    """Return how many kinds of k-mers there are when both strands are one, and each k-mer's."""
    numbers = np.arange(4**k)
    digits = numbers[:, None] // 4 ** np.arange(k) % 4  # last base first
    opposite = (3 - digits) @ 4 ** np.arange(k - 1, -1, -1)
    kinds, number_of = np.unique(np.minimum(numbers, opposite), return_inverse=True)
    return len(kinds), number_of


def _codes(data: Dataset, split: str) -> Iterable[Codes]:
    """Yield the base codes of a split's windows, 0 .. 3 and 4 for unknown: `(n, length)`."""
    for start in range(0, len(data[split]), 2048):
        windows = data[split].read(slice(start, start + 2048)).windows
        yield np.where(windows.any(axis=1), windows.argmax(axis=1), 4).astype(np.int64)


def _cell(column: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if column == "minutes" else f"{value:.4f}"


def _options() -> argparse.Namespace:
    command, flags = flags_after_dashes()
    arguments = parser(__doc__)
    arguments.add_argument(
        "--parts", nargs="+", choices=("baseline", "neural"), default=("baseline", "neural")
    )
    arguments.add_argument("--ridges", type=int, default=len(RIDGES), help="the first of them")
    arguments.add_argument("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    arguments.add_argument("--seeds", nargs="+", type=int, default=(0, 1))
    arguments.add_argument(
        "--work",
        type=Path,
        default=Path("build/yeast"),
        help="folder for the data set and the runs",
    )
    tiny = {"ridges": 1, "models": ["deepsea"], "seeds": [0]}
    options = parse(arguments, tiny=tiny, words=command)
    options.flags = [*(("--epochs", "1") if options.tiny else ()), *flags]
    return options


if __name__ == "__main__":
    main()
