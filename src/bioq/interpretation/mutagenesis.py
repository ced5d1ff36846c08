"""The effects of every substitution in one window."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.fast import open_mutants
from bioq.forward import BATCH_SIZE, Precision, Strands, predict_codes
from bioq.runs.trained_model import calibrated, module_to_compute

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


def mutate_window(
    model: nn.Module,
    codes: dna.Bytes,
    *,
    start: int = 0,
    end: int | None = None,
    targets: Numbers | None = None,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Floats, Floats]:
    """Predict every substitution from `start` to `end` in a window of codes `(length,)`.

    Returns (reference `(targets,)`, effects `(4, end - start, targets)`): the probabilities of the
    window, and the differences from them with each base in the order A, C, G, T. An unknown base
    is replaced by all four. With strands="both" the probabilities of the window and of every mutant
    are means over the two strands. `batch_size` mutants are in memory at a time; `advance` is
    called with the number of mutants after each batch.

    On a CPU the part that mutants share is computed once if that saves time (see
    `fast.open_mutants`), in float32 also with precision bf16.
    Raises UsageError for a batch size below 1.
    """
    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: expected at least 1")
    end = len(codes) if end is None else end
    offset, base = np.nonzero(codes[start:end, None] != np.arange(4))  # of every mutant
    shared = None
    if device is None or torch.device(device).type == "cpu":
        shared = open_mutants(
            module_to_compute(model), codes, len(offset), strands=strands, precision=precision
        )
        batch_size = batch_size if shared is None else shared.at_once

    def predict(windows: dna.Bytes) -> Floats:
        return predict_codes(model, windows, strands=strands, device=device, precision=precision)

    reference = calibrated(model, shared.reference) if shared else predict(codes[None])[0]
    chosen = np.arange(len(reference)) if targets is None else targets
    effects = np.zeros((4, end - start, len(chosen)), dtype=np.float32)
    for first in range(0, len(offset), batch_size):
        rows = slice(first, first + batch_size)
        position, letter = start + offset[rows], base[rows]
        if shared is not None:
            probability = calibrated(model, shared.probabilities(position, letter))
        else:
            probability = predict(_mutants(codes, position, letter))
        effects[letter, offset[rows]] = (probability - reference)[:, chosen]
        advance(len(position))
    return reference[chosen], effects


def _mutants(codes: dna.Bytes, position: Numbers, base: Numbers) -> dna.Bytes:
    """Return the codes of one mutant per position `(mutants, length)`."""
    mutants = np.repeat(codes[None], len(position), axis=0)
    mutants[np.arange(len(position)), position] = base
    return mutants
