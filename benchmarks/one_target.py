"""From one peak file: `marq` and `bioq` beside GC alone, a ridge on k-mers and a gapped k-mer SVM.

    python benchmarks/one_target.py                                   validation; hours on one core
    python benchmarks/one_target.py --sets ctcf --backgrounds matched:1 random:1 --seeds 0
    python benchmarks/one_target.py --split test --models marq        the test split, read once
    python benchmarks/one_target.py --models long --variant long "--model marq --epochs 60"
    python benchmarks/one_target.py --tiny --work FOLDER

One CTCF, one DNase and one H3K27ac file of GM12878 on parts of chr22 and chr1, one factor of yeast,
and two simulated targets with more peaks (`one_target_data.py`). A model learns from the positive
bins and from drawn background (--backgrounds); so does the choice of its epoch or penalty, on the
validation split. Every model then scores **all** bins of the split with each of the two human
validation folds, or the test:

- all bins: AUROC and average precision at the genome's own rate of positives;
- matched: against as many background bins with the same GC of the window, mean of 20 draws. What is
  above 0.5 there is not the GC of the window;
- with GC: Spearman's correlation of the score with GC, over bins without a peak.

Runs are made by `bioq train` with its defaults, `bioq` in the small sizes of `models.py`; what is
in --work already is not made again. The table goes to stdout, in Markdown.
"""

import argparse
import contextlib
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measuring import Failures, flags_after_dashes, parse, parser, print_heads, print_row, say
from models import flags_of
from one_target_baselines import BASELINES, Examples
from one_target_data import FOLDS, HUMAN_PEAKS, SETS, Bins, Floats, build, draw, read, write
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

import bioq
import bioq.cli
from bioq.dataset import Dataset
from bioq.forward import predict_split

BACKGROUNDS = ("matched:1", "matched:2", "matched:4", "matched:10", "random:1", "random:4", "all")
DRAWS = 20
COLUMNS = {
    "AUROC, all bins": "auroc",
    "AP, all bins": "ap",
    "AUROC, matched": "matched_auroc",
    "AP, matched 1:1": "matched_ap",
    "with GC": "with_gc",
}


@dataclass(frozen=True)
class Case:
    """One data set that models learn from, and the bins that they are scored on."""

    name: str
    fold: str
    background: str
    folder: Path
    bins: Bins
    everything: Dataset
    """All bins, in the splits of the fold."""


def main() -> None:
    """Build, train, score and print."""
    options = _options()
    torch.set_num_threads(1)
    failures = Failures()
    print_heads("set", "background", "model", "windows", "positives", "rate", *COLUMNS, "runs")
    for name in options.sets:
        folds = options.folds if name in HUMAN_PEAKS else options.folds[:1]
        if options.split == "test":
            folds = folds[:1]
        built = build(name, options.work / name)
        if built is None:
            say(f"skipped: {name}; the development data are absent")
            continue
        cases = {fold: _fold(name, fold, *built, options.work / name / fold) for fold in folds}
        for background in options.backgrounds:
            for model in options.models:
                with failures.of(f"{name}, {background}, {model}"):
                    found = [
                        score
                        for fold, (bins, everything) in cases.items()
                        for score in _scores(
                            Case(name, fold, background, options.work / name / fold, bins,
                                 everything), model, options)
                    ]  # fmt: skip
                    _show(name, background, model, found)
    failures.end()


def _fold(
    name: str, fold: str, labelled: Dataset, touched: Dataset, folder: Path
) -> tuple[Bins, Dataset]:
    bins = read(name, labelled, touched, fold)
    rows = {split: bins.rows(split) for split in ("train", "valid", "test")}
    return bins, write(folder / "everything", labelled, bins, rows)


def _scores(case: Case, model: str, options: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Yield the scores of each seed; a baseline has one seed."""
    for seed in options.seeds if model not in BASELINES else options.seeds[:1]:
        label = f"{model.replace(' ', '-').replace(',', '')}-{seed}"
        folder = case.folder / case.background.replace(":", "-")
        file = folder / f"{label}.{options.split}.json"
        if not file.is_file():
            predicted, windows = _predict(case, model, seed, folder, options)
            found = score(case.bins, case.bins.rows(options.split), predicted)
            np.save(file.with_suffix(".npy"), predicted.astype(np.float32))
            file.write_text(json.dumps({**found, **windows}, indent=1) + "\n", encoding="utf-8")
            say(f"{case.name} {case.fold} {case.background} {label}: {found}")
        yield json.loads(file.read_text(encoding="utf-8")) | {"seed": seed}


def _predict(
    case: Case, model: str, seed: int, folder: Path, options: argparse.Namespace
) -> tuple[Floats, dict[str, float]]:
    """Train, and predict every bin of the split."""
    bins = case.bins
    rows = {split: draw(bins, bins.rows(split), case.background, 0) for split in ("train", "valid")}
    data = write(folder / "data", case.everything, bins, rows)
    labels = bins.label[rows["train"]]
    windows = {"windows": float(len(labels)), "train_positives": float(labels.sum())}
    scored = bins.rows(options.split)
    if model in BASELINES:
        train_set, valid_set = (
            Examples(bins.codes[rows[split]], bins.label[rows[split]])
            for split in ("train", "valid")
        )
        return BASELINES[model](train_set, valid_set)(bins.codes[scored]), windows
    run = _train(data, folder / f"{model}-{seed}", seed, options.flags_of[model])
    predicted = predict_split(bioq.load(run), case.everything[options.split], device="cpu")
    return predicted[:, 0].astype(np.float64), windows


def _train(data: Dataset, run: Path, seed: int, flags: Sequence[str]) -> Path:
    """Train, unless the run is there and was trained with these flags; return the run."""
    done = run.with_name(run.name + ".done.json")
    if done.is_file() and run.is_dir():
        if (given := json.loads(done.read_text(encoding="utf-8"))) != list(flags):
            raise SystemExit(f"{run}: was trained with {shlex.join(given)}; give another name")
        return run
    words = ["train", data.path, "--out", run, "--seed", seed, "--device", "cpu", *flags]
    words += ["--resume"] if run.is_dir() else []
    log = run.with_name(run.name + ".log")
    with (
        open(log, "a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        status = bioq.cli.main([str(word) for word in words])  # no process: most runs are short
    if status:
        raise RuntimeError(f"{run}: training ended with status {status}; see {log}")
    done.write_text(json.dumps(list(flags)) + "\n", encoding="utf-8")
    return run


def score(bins: Bins, rows: np.ndarray, predicted: Floats) -> dict[str, float]:
    """Return the scores of the predictions `(rows,)` of bins."""
    labels = bins.label[rows]
    value = np.full(len(bins.label), np.nan)
    value[rows] = predicted
    matched = [draw(bins, rows, "matched:1", 1000 + number) for number in range(DRAWS)]
    free = rows[~bins.touched[rows]]
    return {
        "bins": float(len(rows)),
        "positives": float(labels.sum()),
        "auroc": roc_auc_score(labels, predicted),
        "ap": average_precision_score(labels, predicted),
        "matched_auroc": _mean(roc_auc_score(bins.label[one], value[one]) for one in matched),
        "matched_ap": _mean(
            average_precision_score(bins.label[one], value[one]) for one in matched
        ),
        "with_gc": _correlation(value[free], bins.gc[free]),
    }


def _correlation(first: Floats, second: Floats) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


def _show(name: str, background: str, model: str, found: list[dict[str, float]]) -> None:
    """Print a row: mean over folds and seeds, standard deviation of the seeds' means."""
    seeds = sorted({int(one["seed"]) for one in found})
    cells = []
    for key in COLUMNS.values():
        means = [np.mean([one[key] for one in found if one["seed"] == seed]) for seed in seeds]
        spread = f" ± {np.std(means, ddof=1):.3f}" if len(means) > 1 else ""
        cells.append(f"{np.mean(means):.3f}{spread}")
    first = [one for one in found if one["seed"] == seeds[0]]
    windows = ", ".join(f"{one['windows']:,.0f}" for one in first)
    positives = ", ".join(f"{one['train_positives']:,.0f}" for one in first)
    rate = sum(one["positives"] for one in first) / sum(one["bins"] for one in first)
    print_row(name, background, model, windows, positives, f"{rate:.4f}", *cells, len(found))


def _options() -> argparse.Namespace:
    command, flags = flags_after_dashes()
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--sets", nargs="+", choices=(*SETS, "tiny"), default=SETS)
    add(
        "--backgrounds",
        nargs="+",
        default=BACKGROUNDS,
        help="matched:N, random:N, both (matched:N+random:N), all",
    )
    add("--models", nargs="+", default=("marq", "bioq", *BASELINES),
        help=f"baselines ({', '.join(BASELINES)}) and models of 'bioq train'")  # fmt: skip
    add("--variant", nargs=2, action="append", default=[], metavar=("NAME", "FLAGS"),
        help="a name for --models, and the flags of 'bioq train' that make it")  # fmt: skip
    add("--seeds", nargs="+", type=int, default=(0, 1, 2))
    add("--folds", nargs="+", choices=tuple(FOLDS), default=tuple(FOLDS), help="of the human sets")
    add("--split", choices=("valid", "test"), default="valid", help="test: fold A alone")
    add("--work", type=Path, default=Path("build/one_target"), help="folder of data sets and runs")
    tiny = {
        "sets": ["tiny"],
        "backgrounds": ["matched:1"],
        "models": ["marq", *BASELINES],
        "seeds": [0],
        "folds": ["A"],
    }
    options = parse(arguments, tiny=tiny, words=command)
    flags = [*(("--epochs", "1", "--filters", "8") if options.tiny else ()), *flags]
    options.flags_of = flags_of(options.models, options.variant, flags)
    return options


if __name__ == "__main__":
    main()
