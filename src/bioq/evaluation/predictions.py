"""The labels of a split and the probabilities that a model predicts for its windows."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from bioq.dataset import Split
from bioq.errors import BioqError
from bioq.evaluation.summary import Labels, Probability
from bioq.forward import Precision, Strands, predict_split

_MEMORY_BYTES = 1 << 30
"""Predictions larger than this go to a temporary file."""


def predict_labelled(
    pieces: Sequence[tuple[nn.Module, slice]],
    split: Split,
    folder: Path,
    *,
    strands: Strands,
    batch_size: int,
    precision: Precision,
) -> tuple[Labels, Probability]:
    """Return the labels and the probabilities of every window of a split, `(windows, targets)`.

    `pieces` are models and the consecutive rows that each predicts; together they are all rows.
    Probabilities that are too large for memory are stored in a temporary file in `folder`.
    Raises BioqError if the disk has not enough space for it.
    """
    probability = _file_backed(split, folder)
    if probability is None:
        probability = np.empty((len(split), split.targets), dtype=np.float32)
    for model, rows in pieces:
        predict_split(
            model,
            split,
            strands=strands,
            batch_size=batch_size,
            precision=precision,
            rows=rows,
            out=probability[rows],
        )
    return split.labels(), probability


def _file_backed(split: Split, folder: Path) -> Probability | None:
    """Return an array in an unnamed temporary file; None for predictions that fit in memory."""
    size = len(split) * split.targets * np.dtype(np.float32).itemsize
    if size <= _MEMORY_BYTES:
        return None
    with tempfile.TemporaryFile(dir=folder, prefix=".predictions.") as file:
        try:
            # Reserves the space: a full disk would otherwise crash the process at a later write.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise BioqError(
                f"{folder}: the predictions of split {split.name!r} need {size / 1e9:.1f} GB of "
                f"disk during the evaluation: {error.strerror}; free space on that disk"
            ) from error
        shape = len(split), split.targets
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
