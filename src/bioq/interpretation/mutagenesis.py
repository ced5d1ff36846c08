"""The effects of every substitution in one window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.fast import open_mutants
from bioq.fast.reach import mutated
from bioq.forward import (
    BATCH_SIZE,
    Precision,
    Strands,
    predict_codes,
    require_precision,
)
from bioq.inputs.python_windows import numbers_below
from bioq.models.device import on_device
from bioq.options import found, one_of, whole_number
from bioq.runs.trained_model import (
    calibrated,
    mean_of_members,
    members_of,
    module_to_compute,
    require_length,
    require_module,
)

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
    """Predict every substitution from `start` to `end` in a window.

    On a CPU the part that mutants share is computed once if that saves time (see
    `fast.open_mutants`), in float32 also with precision bf16.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits. It is not changed.
        codes: Codes uint8 `(length,)` (see `dna.encode`), as long as the model's windows.
        start: First position, from 0 to the length.
        end: Position after the last, by default the length; an empty span has no effects.
        targets: Numbers of the model's outputs, from 0; by default all.
        strands: `"both"` averages the probabilities of the two strands, of the window and of every
            mutant.
        batch_size: Mutants in memory at a time.
        device: Where to compute, as for `bioq.predict`.
        precision: Number format of the forward pass.
        advance: Called with the number of mutants after each batch.

    Returns:
        The probabilities of the window `(targets,)`, and the effects `(4, end - start, targets)`,
        which are the differences from them with each base in the order A, C, G, T. An unknown base
        is replaced by all four.

    Raises:
        BioqError: For other codes.
        UsageError: For another span, target or batch size.
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

    with on_device(model, device) as there:
        require_precision(there, precision)
        members = [
            _open_window(member, codes, len(offset), there, strands, precision)
            for member in members_of(model)
        ]
        batch_size = min(member.at_once or batch_size for member in members)
        reference = mean_of_members(model, [member.reference for member in members])
        count = len(reference)
        chosen = np.arange(count) if targets is None else numbers_below("targets", targets, count)
        effects = np.zeros((4, end - start, len(chosen)), dtype=np.float32)
        for first in range(0, len(offset), batch_size):
            rows = slice(first, first + batch_size)
            position, letter = start + offset[rows], base[rows]
            parts = [member.probabilities(position, letter) for member in members]
            probability = mean_of_members(model, parts)
            effects[letter, offset[rows]] = (probability - reference)[:, chosen]
            advance(len(position))
    return reference[chosen], effects


@dataclass(frozen=True)
class _OpenWindow:
    """A window of one network, whose mutants are predicted."""

    reference: Floats
    """Calibrated probabilities of the window `(targets,)`."""
    probabilities: Callable[[Numbers, Numbers], Floats]
    """Position and base of mutants, each `(n,)` -> calibrated probabilities `(n, targets)`."""
    at_once: int | None
    """The mutants to predict at a time; None if the network has no preference."""


def _open_window(
    model: nn.Module,
    codes: dna.Bytes,
    mutants: int,
    device: torch.device,
    strands: Strands,
    precision: Precision,
) -> _OpenWindow:
    """Return a window of a network that is on `device`, with the fast path if there is one."""
    shared = None
    if device.type == "cpu":
        shared = open_mutants(
            module_to_compute(model), codes, mutants, strands=strands, precision=precision
        )

    def predict(windows: dna.Bytes) -> Floats:
        return predict_codes(model, windows, strands=strands, precision=precision)

    if shared is None:
        return _OpenWindow(
            predict(codes[None])[0],
            lambda position, base: predict(mutated(codes, position, base)),
            None,
        )
    compute = shared.probabilities
    return _OpenWindow(
        calibrated(model, shared.reference),
        lambda position, base: calibrated(model, compute(position, base)),
        shared.at_once,
    )
