"""The effects of every substitution in one window."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.inference import BATCH_SIZE, Precision, Strands, predict_codes

Floats = npt.NDArray[np.float32]


def mutate_window(
    model: nn.Module,
    codes: dna.Bytes,
    *,
    start: int = 0,
    end: int | None = None,
    targets: npt.NDArray[np.int64] | None = None,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Floats, Floats]:
    """Put every other base at each place from `start` to `end` of a window of codes `(length,)`.

    Returns (reference `(targets,)`, effects `(4, end - start, targets)`): the probabilities of the
    window, and how much higher they are with each base in the order A, C, G, T. An unknown base
    is replaced by all four. Both strands are averaged for the window and every mutant alike.
    `batch_size` mutants are in memory at a time; `advance` is told how many are done.
    Raises UsageError for a batch size below 1.
    """
    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: expected at least 1")
    end = len(codes) if end is None else end

    def predict(windows: dna.Bytes) -> Floats:
        found = predict_codes(model, windows, strands=strands, device=device, precision=precision)
        return found if targets is None else found[:, targets]

    reference = predict(codes[None])[0]
    effects = np.zeros((4, end - start, len(reference)), dtype=np.float32)
    place, base = np.nonzero(codes[start:end, None] != np.arange(4))
    for first in range(0, len(place), batch_size):
        rows = slice(first, first + batch_size)
        mutants = np.repeat(codes[None], len(place[rows]), axis=0)
        mutants[np.arange(len(mutants)), start + place[rows]] = base[rows]
        effects[base[rows], place[rows]] = predict(mutants) - reference
        advance(len(mutants))
    return reference, effects
