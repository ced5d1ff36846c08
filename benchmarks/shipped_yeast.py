"""The run `yeast` that comes with BioQ: makes it from the peak files, and measures it.

    nice python benchmarks/shipped_yeast.py                       half an hour on one core
    python benchmarks/shipped_yeast.py --out src/bioq/runs/shipped/yeast   also copies it there
    python benchmarks/shipped_yeast.py --tiny                     on random peaks

399 ChIP-exo targets (Rossi et al. 2021) as in yeast.py, the contigs divided into four folds. `bioq
train --fold all` trains `marq` on two folds, chooses the epoch on the third and leaves the fourth
for testing, four times. The weights are stored in half precision, which keeps them under
5 MB; the table shows how much that changes. Then `bioq calibrate` for each fold,
`bioq ensemble`, `bioq evaluate`, `bioq background --random` on the genome at hand, which lacks
three chromosomes, and `bioq card`. What is in --work already is not made again.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from generated import CONTIG
from measuring import Failures, parse, parser, print_heads, print_row, run_bioq
from yeast import YEAST, build

import bioq
from bioq import metrics
from bioq.forward import predict_split
from bioq.runs.weights import save_half

FOLDS = 4
EPOCHS = 23
"""5,700 steps of 32 windows, which are those of two folds. 20 epochs of the training split of
yeast.py have 7,300."""
SNVS = 100_000
"""Random SNVs of the background: 1.7 MB. With 10,000 it has 0.9 MB, and only half of the ten best
alleles are the same in two backgrounds (docs/how-to/background.md)."""
MOST_BYTES = 7_000_000
TINY_BP = 600_000
"""Bases of a contig with random peaks: a calibration needs five blocks of 100,000."""
KEPT = ("metrics.json", "per_target.tsv", "curves.csv", "calibration.csv")
"""Files of the evaluation that `bioq serve` shows; the report and its figures are larger than the
weights."""
COLUMNS = ("fold", "windows", "macro AP", "in half precision", "largest change of a probability")
ABOUT = """
Made by `benchmarks/shipped_yeast.py` of BioQ. Peaks: 399 ChIP-exo experiments of Rossi et al. 2021
(Nature 592, 309-314; ChExMix peaks from CEGRcode/2021-Rossi_Nature, MIT). Genome: sacCer3 without
chrVII, chrXI and chrXVI, which no network has seen. A bin is positive where it contains the middle
of a peak; regions excluded from the peak calling (rDNA, tRNA, telomeres) are left out, and so are
bins without a peak of any target. The licence is that of BioQ and of the peak files.
"""
LICENCE = "MIT"


def main() -> None:
    """Build, train, measure and write."""
    options = _options()
    if not options.tiny and not YEAST.is_dir():
        print(f"skipped: {YEAST} is absent (the yeast development data)", file=sys.stderr)
        return
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    dataset = work / "yeast-folds"
    data = build_tiny(dataset) if options.tiny else build(dataset, ("--folds", FOLDS))
    genome = work / "genome.fa" if options.tiny else YEAST / "sacCer3.dev.fa.gz"
    train(data, work / "models", options.epochs, tiny=options.tiny)
    failures = Failures()
    print_heads(*COLUMNS)
    half = [work / "half" / f"fold-{number}" for number in range(1, options.folds + 1)]
    for number, run in enumerate(half, 1):
        with failures.of(run.name):
            halve(work / "models" / run.name, run)
            print_row(number, *compare(work / "models" / run.name, run, data, number))
            bioq.calibrate(run, data, force=True)
    failures.end()
    shipped = work / "yeast"
    finish(half, data, shipped, genome, options.snvs)
    size = sum(file.stat().st_size for file in shipped.rglob("*") if file.is_file())
    print(f"\n{shipped}: {size:,} bytes; at most {MOST_BYTES:,}")
    if size > MOST_BYTES:
        raise SystemExit(1)
    if options.out is not None:
        shutil.rmtree(options.out, ignore_errors=True)
        shutil.copytree(shipped, options.out)


def build_tiny(dataset: Path) -> Path:
    """Build a data set of random peaks in three short contigs, one per fold."""
    folder, random = dataset.parent, np.random.default_rng(0)
    contigs = [f"{CONTIG}{letter}" for letter in "abc"]
    with open(folder / "genome.fa", "w") as genome:
        for name in contigs:
            bases = np.frombuffer(b"ACGT", np.uint8)[random.integers(0, 4, TINY_BP)]
            genome.write(f">{name}\n{bases.tobytes().decode()}\n")
    for target in ("first", "second"):
        peaks = [(name, at) for name in contigs for at in random.integers(0, TINY_BP, 60)]
        lines = [f"{name}\t{at}\t{at + 1}\n" for name, at in peaks]
        (folder / f"{target}.bed").write_text("".join(lines))
    (folder / "targets.tsv").write_text("name\tpeaks\nfirst\tfirst.bed\nsecond\tsecond.bed\n")
    run_bioq(
        "data", "peaks", "--out", dataset, "--genome", folder / "genome.fa",
        "--targets", folder / "targets.tsv", "--label", "midpoint", "--folds", 3,
    )  # fmt: skip
    return dataset


def train(data: Path, models: Path, epochs: int, *, tiny: bool) -> None:
    """Train a model per fold, or go on with those that are there."""
    if not (models / "ensemble").is_dir():
        small = ("--filters", 8, "--lstm-units", 4, "--dense-units", 8) if tiny else ()
        resume = ("--resume",) if models.is_dir() else ("--epochs", epochs, "--seed", 0, *small)
        run_bioq("train", data, "--out", models, "--fold", "all", *resume)


def halve(run: Path, half: Path) -> None:
    """Copy what a member needs of a run, with its weights in half precision."""
    half.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "targets.tsv", "history.csv"):
        shutil.copyfile(run / name, half / name)
    save_half(run, half / "model.safetensors")


def compare(run: Path, half: Path, data: Path, fold: int) -> tuple[str, ...]:
    """Return the windows of the fold, the scores with both weights, and how far they differ."""
    split = bioq.open_dataset(data).fold(fold)["test"]
    full, rounded = (
        predict_split(bioq.load(folder, calibrated=False), split) for folder in (run, half)
    )
    scores = (
        metrics.quick_scores(split.labels(), each)["macro_average_precision"]
        for each in (full, rounded)
    )
    change = f"{float(np.abs(full - rounded).max()):.1e}"
    return (f"{len(split):,}", *(f"{score:.5f}" for score in scores), change)


def finish(members: list[Path], data: Path, run: Path, genome: Path, snvs: int) -> None:
    """Write the ensemble with its evaluation, its background and its card."""
    if run.is_dir():
        shutil.rmtree(run)
    bioq.make_ensemble(members, run)
    bioq.evaluate(run, data)
    for file in (run / "evaluation").iterdir():
        if file.name not in KEPT:
            file.unlink()
    run_bioq("background", run, "--genome", genome, "--random", snvs, "--seed", 0)
    card = bioq.write_card(run, licence=LICENCE)
    title = f"# {run.name}\n"
    text = card.read_text(encoding="utf-8").replace(title, f"{title}{ABOUT}", 1)
    card.write_text(text, encoding="utf-8", newline="\n")


def _options() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument("--epochs", type=int, default=EPOCHS)
    arguments.add_argument("--folds", type=int, default=FOLDS)
    arguments.add_argument("--out", type=Path, help="new folder, which gets a copy of the run")
    arguments.add_argument(
        "--work", type=Path, default=Path("build/shipped"), help="folder for the data and the runs"
    )
    arguments.add_argument("--snvs", type=int, default=SNVS)
    return parse(arguments, tiny={"epochs": 1, "folds": 3, "snvs": 50})


if __name__ == "__main__":
    main()
