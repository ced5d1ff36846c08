"""The effects of every substitution in one window."""

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.fast import open_mutants
from bioq.forward import (
    BATCH_SIZE,
    Precision,
    Strands,
    numbers_below,
    predict_codes,
    require_precision,
)
from bioq.models.device import on_device
from bioq.options import found, one_of, whole_number
from bioq.runs.trained_model import calibrated, module_to_compute, require_length, require_module

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


def mutate_window(
    model: nn.Module,
    codes: dna.Bytes,
    *,
    start: int = 0,
    end: int | None = None,
    targets: Sequence[int] | Numbers | None = None,
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

    `codes` are uint8 (see `dna.encode`) and as long as the model's windows; `start` and `end` are
    from 0 to their length, and an empty span has no effects; `targets` are numbers of the model's
    outputs, by default all. `device` is that of `bioq.predict`; the model is not changed.
    On a CPU the part that mutants share is computed once if that saves time (see
    `fast.open_mutants`), in float32 also with precision bf16.
    Raises BioqError for other codes, UsageError for another span, target or batch size.
    """
    codes = dna.checked_codes(codes, axes=1)
    require_length(require_module(model), len(codes), "codes")
    start = whole_number("start", start, least=0, most=len(codes))
    end = len(codes) if end is None else whole_number("end", end, least=start, most=len(codes))
    batch_size = whole_number("batch_size", batch_size, least=1)
    one_of("strands", strands, get_args(Strands))
    if not callable(advance):
        raise UsageError(f"advance {found(advance)}; expected a function")
    offset, base = np.nonzero(codes[start:end, None] != np.arange(4))  # of every mutant

    def predict(windows: dna.Bytes) -> Floats:
        return predict_codes(model, windows, strands=strands, precision=precision)

    with on_device(model, device) as there:
        require_precision(there, precision)
        shared = None
        if there.type == "cpu":
            shared = open_mutants(
                module_to_compute(model), codes, len(offset), strands=strands, precision=precision
            )
            batch_size = batch_size if shared is None else shared.at_once
        reference = calibrated(model, shared.reference) if shared else predict(codes[None])[0]
        count = len(reference)
        chosen = np.arange(count) if targets is None else numbers_below("targets", targets, count)
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
