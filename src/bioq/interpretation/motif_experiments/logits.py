"""Logits of windows and of edits of them, as attribution explains them: before calibration, and of
an ensemble the mean of its members."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna
from bioq.dna.tensors import one_hot
from bioq.fast import prepare, prepare_edits
from bioq.forward import Strands, require_logits
from bioq.models.device import device_of, dtype_of
from bioq.models.eval_mode import eval_mode
from bioq.runs.trained_model import members_of, module_to_compute

Logits = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_AT_ONCE = 256
"""Windows per forward pass of a model without a fast path."""


def window_logits(model: nn.Module, codes: dna.Bytes, *, strands: Strands = "both") -> Logits:
    """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`, on the model's device.

    With strands="both" they are the mean of the logits of a window and of its reverse complement.
    """
    return _mean(
        [
            _of_windows(member, strand)
            for member in members_of(model)
            for strand in _strands(codes, strands)
        ]
    )


def edit_logits(
    model: nn.Module,
    codes: dna.Bytes,
    edited: dna.Bytes,
    of: Numbers,
    *,
    strands: Strands = "both",
) -> Logits:
    """Return logits float32 `(m, targets)` of edits uint8 `(m, window_bp)` of windows.

    `codes` are the windows `(n, window_bp)`, `of` `(m,)` is the window of each edit. If the model
    has a fast path for edits (`fast.prepare_edits`), what an edit shares with its window is
    computed once.
    """
    stranded = zip(_strands(codes, strands), _strands(edited, strands), strict=True)
    pairs = list(stranded)
    return _mean(
        [
            _of_edits(member, windows, edits, of)
            for member in members_of(model)
            for windows, edits in pairs
        ]
    )


def _strands(codes: dna.Bytes, strands: Strands) -> list[dna.Bytes]:
    both = [codes] if strands == "forward" else [codes, dna.reverse_complement(codes)]
    return [np.require(strand, requirements=["C", "W"]) for strand in both]


def _mean(parts: list[Logits]) -> Logits:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total /= len(parts)
    return total


def _of_edits(model: nn.Module, codes: dna.Bytes, edited: dna.Bytes, of: Numbers) -> Logits:
    """Return the logits of the edits of one strand by one network."""
    may_share = device_of(model).type == "cpu" and len(edited) > 0
    with eval_mode(model):
        engine = prepare_edits(module_to_compute(model), "32") if may_share else None
    if engine is None:
        return _of_windows(model, edited)
    after: Logits = engine(codes, edited, of)[1].numpy()
    return after


def _of_windows(model: nn.Module, codes: dna.Bytes) -> Logits:
    """Return the logits of windows of one strand by one network."""
    device, dtype = device_of(model), dtype_of(model)
    with eval_mode(model), torch.inference_mode():
        engine = prepare(module_to_compute(model), "32")

        def compute(part: Tensor) -> Tensor:
            return engine(part) if engine is not None else model(one_hot(part).to(dtype))

        parts = [
            require_logits(compute(part.to(device)), len(part)).float().cpu()
            for part in torch.split(torch.from_numpy(codes), _AT_ONCE)
        ]
    logits: Logits = torch.cat(parts).numpy()
    return logits
