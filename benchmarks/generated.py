"""Random data that benchmarks read: data sets, genomes, variants, labels, runs of one step."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bioq.models import ModelSizes

WINDOW_BP, BIN_BP = 1000, 200
POSITIVE = 0.02
CONTIG = "chr1"
_ROWS_AT_ONCE = 5_000


def write_dataset(
    path: Path,
    windows: Mapping[str, int],
    *,
    targets: int,
    window_bp: int = WINDOW_BP,
    bin_bp: int = BIN_BP,
) -> None:
    """Write a data set of random windows with 2 % positive labels; `windows` is split -> number.

    The first window is positive for the first target, so that there is something to learn."""
    import pandas as pd

    from bioq.dataset import Description, new_dataset, pack_labels

    random = np.random.default_rng(0)
    table = pd.DataFrame({"name": [f"target {number}" for number in range(targets)]})
    about = Description(made_by="peaks", window_bp=window_bp, bin_bp=bin_bp, label_rule="half")
    with new_dataset(path, about, table) as writer:
        for name, count in windows.items():
            with writer.split(name) as split:
                for start in range(0, count, _ROWS_AT_ONCE):
                    rows = min(_ROWS_AT_ONCE, count - start)
                    codes = random.integers(0, 4, (rows, window_bp), dtype=np.uint8)
                    labels = random.random((rows, targets), dtype=np.float32) < POSITIVE
                    labels[0, 0] |= start == 0
                    split.append(codes, pack_labels(labels))


def write_run(
    run: Path,
    model: str,
    *,
    targets: int,
    sizes: "ModelSizes | None" = None,
    window_bp: int = WINDOW_BP,
    bin_bp: int = BIN_BP,
) -> None:
    """Train a model for one step, so that it has a run folder: `run`, its data beside it."""
    import bioq

    data = run.with_name(run.name + "-data")
    write_dataset(data, {"train": 2}, targets=targets, window_bp=window_bp, bin_bp=bin_bp)
    config = bioq.TrainConfig(recipe="bioq", epochs=1, device="cpu")
    bioq.train(data, run, model=model, sizes=sizes, motifs="none", config=config)


def tiny_sizes(model: str) -> "ModelSizes":
    """Return sizes of a model with which a script only shows that it works."""
    from bioq.models import ModelSizes

    lstm_units = None if model in ("deepsea", "beluga") else 8
    return ModelSizes(filters=8, dense_units=8, lstm_units=lstm_units)


def named_sizes(words: Iterable[str]) -> dict[str, object]:
    """Return the sizes in words such as `filters=8` and `gates=hard`."""
    return {name: _number_or_text(value) for name, value in (word.split("=") for word in words)}


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def write_genome(path: Path, length: int, *, line_bp: int = 60) -> "np.ndarray":
    """Write a FASTA of one contig with its index; return its bases as codes."""
    import pysam

    from bioq import dna

    codes = np.random.default_rng(2).integers(0, 4, length, dtype=np.uint8)
    letters = dna.decode(codes)
    lines = (letters[start : start + line_bp] for start in range(0, length, line_bp))
    path.write_text(f">{CONTIG}\n" + "\n".join(lines) + "\n")
    pysam.faidx(str(path))
    return codes


def write_snvs(
    path: Path, genome: "np.ndarray", variants: int, *, window_bp: int = WINDOW_BP
) -> None:
    """Write a VCF of SNVs at sorted random positions, away from the ends."""
    random = np.random.default_rng(3)
    inside = np.arange(window_bp, len(genome) - window_bp)
    positions = np.sort(random.choice(inside, variants, replace=False))
    others = (genome[positions] + random.integers(1, 4, variants)) % 4
    with open(path, "w") as file:
        file.write("##fileformat=VCFv4.2\n")
        file.write(f"##contig=<ID={CONTIG},length={len(genome)}>\n")
        file.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for position, other in zip(positions, others, strict=True):
            letters = f"{'ACGT'[genome[position]]}\t{'ACGT'[other]}"
            file.write(f"{CONTIG}\t{position + 1}\t.\t{letters}\t.\t.\t.\n")


def write_labels(folder: Path, windows: int, targets: int) -> None:
    """Write labels.npy, 0.1 to 4 % positive, and probability.npy, which depends on the labels."""
    random = np.random.default_rng(0)
    shape = (windows, targets)
    rates = random.uniform(0.001, 0.04, targets)
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, shape)
    probability = np.lib.format.open_memmap(folder / "probability.npy", "w+", np.float32, shape)
    for start in range(0, windows, 10_000):
        rows = labels[start : start + 10_000]
        rows[:] = random.random(rows.shape, dtype=np.float32) < rates
        logits = random.standard_normal(rows.shape, dtype=np.float32)
        logits += 2 * rows + np.log(rates).astype(np.float32)
        probability[start : start + 10_000] = 1 / (1 + np.exp(-logits))
