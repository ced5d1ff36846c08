"""The windows of a split beside their labels: whether they fit a run, and what it says of them."""

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from bioq.dataset import Dataset, Split
from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.forward import Precision, Strands, predict_split
from bioq.runs.trained_model import TrainedModel

_MEMORY_BYTES = 1 << 30
"""Predictions larger than this go to a temporary file."""

Labels = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


def require_fit(run: Path, model: TrainedModel, data: Dataset) -> None:
    """Raise BioqError if a data set has other targets or windows than the model of a run."""
    own, theirs = list(model.targets[NAME]), list(data.targets[NAME])
    advice = "take a data set built with the target sheet that the run was trained on"
    if len(own) != len(theirs):
        raise BioqError(
            f"{data.path}: has {len(theirs)} targets, the run {run} predicts {len(own)}; {advice}"
        )
    for place, (mine, other) in enumerate(zip(own, theirs, strict=True)):
        if mine != other:
            raise BioqError(
                f"{data.path}: target {place + 1} is {other!r}, in the run {run} it is {mine!r}; "
                f"{advice}"
            )
    window_bp = model.window_bp
    if window_bp != data.description.window_bp:
        raise BioqError(
            f"{data.path}: has windows of {data.description.window_bp} bp, the run {run} takes "
            f"{window_bp} bp; build the data set with --window-bp {window_bp}"
        )


def predict_labelled(
    model: nn.Module,
    split: Split,
    folder: Path,
    *,
    strands: Strands,
    batch_size: int,
    precision: Precision,
) -> tuple[Labels, Probability]:
    """Return the labels and the probabilities of every window of a split, `(windows, targets)`.

    Probabilities too large for memory lie in a temporary file in `folder`.
    Raises BioqError if there is no room for it.
    """
    out = _room_for(split, split.targets, folder)
    found = predict_split(
        model, split, strands=strands, batch_size=batch_size, precision=precision, out=out
    )
    return split.labels(), found


def _room_for(split: Split, targets: int, folder: Path) -> Probability | None:
    """Return an array in a nameless temporary file for predictions too large for memory."""
    size = len(split) * targets * np.dtype(np.float32).itemsize
    if size <= _MEMORY_BYTES:
        return None
    with tempfile.TemporaryFile(dir=folder, prefix=".predictions.") as file:
        try:
            if hasattr(os, "posix_fallocate"):  # a hole filled on a full disk would be a crash
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise BioqError(
                f"{folder}: the predictions of split {split.name!r} need {size / 1e9:.1f} GB of "
                f"disk for a time: {error.strerror}; make room there"
            ) from error
        return np.memmap(file, dtype=np.float32, mode="w+", shape=(len(split), targets))
