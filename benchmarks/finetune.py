"""Fine-tuning on real data: does a network of 350 yeast targets learn 49 new targets better?

    python benchmarks/finetune.py build/yeast/data             everything: half an hour on a core
    python benchmarks/finetune.py build/yeast/data --windows 1000 --seeds 0 --arms scratch from
    python benchmarks/finetune.py DATA --tiny --work FOLDER

The data set is the one that benchmarks/yeast.py builds. Its targets are divided: 49 with 100
training positives or more, spread evenly over the table, are new; one `bioq train` learns the other
350. Then `bioq train` learns the new ones from some or all of the training windows: from
random weights (`scratch`), from that network (`from`), or only a new output layer on that network
(`freeze`), each with its default recipe, the same epochs and the same seeds. Scored on the
validation split, at the epoch that training keeps; the test split is not read. Results in --work
are not computed again. The options after `--` go to the trainings on new targets. The table goes to
stdout, in Markdown.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from measuring import Failures, flags_after_dashes, parse, parser, print_heads, print_row, run_bioq

import bioq
from bioq import dna
from bioq.dataset import Dataset, new_dataset, pack_labels

SIZES = ("--model", "bioq", "--filters", "64", "--lstm-units", "32", "--dense-units", "128")
LEAST_POSITIVES = 100
PRETRAIN_EPOCHS = 8
EPOCHS_OF = {1000: 20}
"""Epochs by the number of training windows: enough steps for a network with random weights."""
EPOCHS = 3
COLUMNS = ("windows", "start", "seed", "epochs", "kept", "macro AUROC", "macro AP", "minutes")

Rows = npt.NDArray[np.int64]


def main() -> None:
    """Divide the targets, train on both parts and print."""
    options, flags = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    data = bioq.open_dataset(options.data)
    new = new_targets(data, options.new_targets)
    known = np.setdiff1d(np.arange(len(data.targets)), new)
    old_data = divide(data, options.work / "known", known, len(data["train"]))
    pretrained = options.work / "pretrained"
    train(old_data, pretrained, *SIZES, "--epochs", options.epochs or PRETRAIN_EPOCHS)
    print_heads(*COLUMNS)
    print_row("all", f"{len(known)} known", 0, *scores(pretrained))
    failures = Failures()
    for windows in options.windows:
        windows = min(windows, len(data["train"]))
        new_data = divide(data, options.work / f"new-{windows}", new, windows)
        for arm in options.arms:
            start = SIZES if arm == "scratch" else ("--from", pretrained)
            freeze = ("--freeze",) if arm == "freeze" else ()
            for seed in options.seeds:
                run = options.work / "-".join((f"{arm}-{windows}-{seed}", *_tags(flags)))
                epochs = options.epochs or EPOCHS_OF.get(windows, EPOCHS)
                with failures.of(run.name):
                    more = ("--epochs", epochs, "--seed", seed, *flags)
                    train(new_data, run, *start, *freeze, *more)
                    print_row(windows, " ".join((arm, *flags)), seed, *scores(run))
    failures.end()


def new_targets(data: Dataset, number: int) -> Rows:
    """Return the targets that count as new: with positives enough to be scored, evenly spread, and
    none that the table holds twice (fifteen of its files have the peaks of another one)."""
    labels = data["train"].labels()
    _, number_of, times = np.unique(labels, axis=1, return_inverse=True, return_counts=True)
    alone = times[number_of.reshape(-1)] == 1
    able = np.flatnonzero((labels.sum(axis=0) >= LEAST_POSITIVES) & alone)
    return able[np.linspace(0, len(able) - 1, number).round().astype(np.int64)]


def divide(data: Dataset, folder: Path, targets: Rows, train_windows: int) -> Path:
    """Write a data set of some targets and some training windows, drawn; all of validation."""
    if folder.is_dir():
        return folder
    drawn = np.random.default_rng(0).permutation(len(data["train"]))[:train_windows]
    rows_of = {"train": np.sort(drawn), "valid": np.arange(len(data["valid"]))}
    table = data.targets.iloc[targets].reset_index(drop=True)
    with new_dataset(folder, data.description, table) as writer:
        for name, rows in rows_of.items():
            split, bins = data[name], data[name].bins().iloc[rows]
            starts = np.stack([bins["chrom"].cat.codes, bins["start"]], axis=1)
            packed = split.read_packed(rows)
            codes = dna.unpack(packed.sequence, split.window_bp, packed.mask)
            labels = pack_labels(split.labels()[rows][:, targets])
            with writer.split(name) as part:
                part.append(codes, labels, starts)
    return folder


def train(dataset: Path, run: Path, *flags: object) -> None:
    """Run `bioq train`, or continue the run; a finished run does not change."""
    resume = ("--resume",) if run.is_dir() else ()
    run_bioq("train", dataset, "--out", run, *flags, *resume)


def scores(run: Path) -> tuple[object, ...]:
    """Return epochs, the epoch kept, its macro ROC AUC and average precision, and the minutes."""
    history = pd.read_csv(run / "history.csv")
    kept = history.loc[history["valid_macro_roc_auc"].idxmax()]
    return (
        len(history),
        int(kept["epoch"]),
        f"{kept['valid_macro_roc_auc']:.4f}",
        f"{kept['valid_macro_average_precision']:.4f}",
        f"{history['seconds'].sum() / 60:.3g}",
    )


def _tags(flags: Sequence[str]) -> list[str]:
    return [flag.strip("-") for flag in flags]


def _options() -> tuple[argparse.Namespace, list[str]]:
    command, flags = flags_after_dashes()
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="the data set of benchmarks/yeast.py")
    arms = ("scratch", "from", "freeze")
    arguments.add_argument("--arms", nargs="+", choices=arms, default=arms)
    arguments.add_argument("--windows", nargs="+", type=int, default=(1000, 1 << 30))
    arguments.add_argument("--seeds", nargs="+", type=int, default=(0, 1))
    arguments.add_argument("--new-targets", type=int, default=49)
    arguments.add_argument("--epochs", type=int, help="of every training, also of the known ones")
    arguments.add_argument("--work", type=Path, default=Path("build/finetune"))
    tiny = {"windows": [200], "seeds": [0], "new_targets": 2, "epochs": 1}
    return parse(arguments, tiny=tiny, words=command), flags


if __name__ == "__main__":
    main()
