"""The labels of a simulated data set without noise, and a comparison of a model with them.

The truth is the planted sites. A match to a motif by chance in the background does not count,
although no model can distinguish it from a planted site: a small part of the remaining difference.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna, metrics
from bioq.builders.simulation.build import CLEAN, FOLDER, MADE_BY, MOTIFS
from bioq.dataset import Dataset
from bioq.dataset.targets import NAME
from bioq.errors import BioqError

Positions = npt.NDArray[np.int64]


def truth(data: Dataset, split: str) -> dna.Bytes:
    """Return the noise-free labels of a split of a simulated data set: uint8 `(windows, targets)`.

    The control has no positive label. Raises BioqError if the data set was not simulated.
    """
    folder = data.path / FOLDER / CLEAN
    if data.description.made_by != MADE_BY or not folder.is_dir():
        raise BioqError(
            f"{data.path}: has no {FOLDER}/{CLEAN}, so its truth is unknown; expected a data set "
            "made by 'bioq data simulate'"
        )
    bins = data[split].bins()
    starts = bins["start"].to_numpy().astype(np.int64)
    rows_of = {chrom: np.flatnonzero(bins["chrom"] == chrom) for chrom in bins["chrom"].unique()}
    bin_bp = data.description.bin_bp
    labels = np.zeros((len(bins), len(data.targets)), dtype=np.uint8)
    for column, name in enumerate(data.targets[NAME]):
        peaks = _read_peaks(folder / f"{name}.bed")
        for chrom, rows in rows_of.items():
            covered = _covered_bp(peaks[peaks["chrom"] == chrom], starts[rows], bin_bp)
            labels[rows, column] = covered * 2 >= bin_bp
    return labels


def motif_content(data: Dataset, split: str) -> npt.NDArray[np.float32]:
    """Return the share of each target's motifs that are in the bin: float32 `(windows, targets)`.

    It is the score of an oracle that uses the motifs in the bin, but not their distance, order or
    orientation: a higher score of a model on a pair target is due to grammar.
    Raises BioqError as `truth` does.
    """
    clean = truth(data, split)
    names = list(data.targets[NAME])
    content = np.zeros(clean.shape, dtype=np.float32)
    for column, joined in enumerate(data.targets[MOTIFS]):
        motifs = [names.index(motif) for motif in joined.split(",") if motif]
        if motifs:
            content[:, column] = clean[:, motifs].mean(axis=1)
    return content


def compare_with_truth(data: Dataset, split: str, per_target: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of a model beside the best that the noise allows; one row per target.

    `per_target` is the evaluation's table (name, roc_auc, average_precision, ...). Columns: name,
    rule, positive_rate (of the noisy labels, the average precision of a constant), then roc_auc and
    average_precision of the model, of the truth (the clean labels scored against the noisy labels:
    `truth_...`) and of the motifs alone (`motifs_...`, see `motif_content`).
    Raises BioqError as `truth` does.
    """
    labels = data[split].labels()
    clean = metrics.per_target(labels, truth(data, split).astype(np.float32))
    motifs = metrics.per_target(labels, motif_content(data, split))
    table = data.targets[[NAME, "rule"]].reset_index(drop=True)
    table["positive_rate"] = labels.mean(axis=0)
    for score in ("roc_auc", "average_precision"):
        table[score] = per_target.set_index(NAME)[score].reindex(table[NAME]).to_numpy()
        table[f"truth_{score}"] = clean[score].to_numpy()
        table[f"motifs_{score}"] = motifs[score].to_numpy()
    return table


def _covered_bp(peaks: pd.DataFrame, start: Positions, bin_bp: int) -> Positions:
    """Return the bases of each bin at `start` that the peaks of a contig cover, each base once."""
    if not len(peaks):
        return np.zeros(len(start), dtype=np.int64)
    depth = np.zeros(max(int(peaks["end"].max()), int(start.max()) + bin_bp) + 1, dtype=np.int64)
    np.add.at(depth, peaks["start"].to_numpy(), 1)
    np.add.at(depth, peaks["end"].to_numpy(), -1)
    before = np.concatenate([[0], np.cumsum(depth.cumsum() > 0)])
    covered: Positions = before[start + bin_bp] - before[start]
    return covered


def _read_peaks(path: Path) -> pd.DataFrame:
    types = {"chrom": "str", "start": "int64", "end": "int64"}
    return pd.read_csv(path, sep="\t", header=None, names=list(types), dtype=types)
