"""The logits of windows and of edits of them: the mean over both strands, as attribution explains.

The logits of an ensemble are the mean of its members' logits.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna
from bioq.dna.tensors import one_hot
from bioq.fast import prepare, prepare_edits
from bioq.forward import Precision, Strands, numerics, require_logits
from bioq.models.device import device_of, dtype_of
from bioq.models.eval_mode import eval_mode
from bioq.runs.trained_model import members_of, module_to_compute

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def edit_logits(
    model: nn.Module,
    windows: dna.Bytes,
    edited: dna.Bytes,
    of: Numbers,
    *,
    strands: Strands,
    batch_size: int,
    precision: Precision,
) -> tuple[Floats, Floats]:
    """Return the logits of windows `(n, targets)` and of edits of them `(m, targets)`, float64.

    `windows` are codes `(n, length)`, each with one edit or more; `edited` `(m, length)`; `of`
    `(m,)` the window of each edit. What an edit shares with its window is computed once where the
    model has a path for it (`fast.prepare_edits`).
    """
    with (
        eval_mode(model),
        torch.inference_mode(),
        numerics(device_of(model), precision),
    ):
        before: Any = 0.0
        after: Any = 0.0
        parts = list(_parts(windows, edited, strands))
        members = members_of(model)
        for member in members:
            for each in parts:
                logits = _of_strand(member, *each, of, batch_size, precision)
                before, after = before + logits[0], after + logits[1]
    count = len(members) * len(parts)
    return before / count, after / count


def _parts(
    windows: dna.Bytes, edited: dna.Bytes, strands: Strands
) -> Iterator[tuple[dna.Bytes, dna.Bytes]]:
    yield windows, edited
    if strands == "both":
        yield dna.reverse_complement(windows), dna.reverse_complement(edited)


def _of_strand(
    model: nn.Module,
    windows: dna.Bytes,
    edited: dna.Bytes,
    of: Numbers,
    batch_size: int,
    precision: Precision,
) -> tuple[Floats, Floats]:
    """Return what `edit_logits` returns, for one network and one strand."""
    network = module_to_compute(model)
    engine = prepare_edits(network, precision) if device_of(model).type == "cpu" else None
    if engine is None:
        logits = _forward(network, np.concatenate([windows, edited]), batch_size, precision)
        return logits[: len(windows)], logits[len(windows) :]
    windows, edited = (np.require(each, requirements=["C", "W"]) for each in (windows, edited))
    of_windows, after = (logits.double().numpy() for logits in engine(windows, edited, of))
    before = np.empty((len(windows), after.shape[1]))
    before[of] = of_windows
    return before, after


def _forward(
    network: nn.Module, windows: dna.Bytes, batch_size: int, precision: Precision
) -> Floats:
    """Return the logits of windows `(n, length)`: `(n, targets)`."""
    device, dtype = device_of(network), dtype_of(network)
    engine = prepare(network, precision)
    logits: list[Tensor] = []
    for batch in torch.split(torch.from_numpy(np.ascontiguousarray(windows)), batch_size):
        codes = batch.to(device)
        output = network(one_hot(codes).to(dtype)) if engine is None else engine(codes)
        logits.append(require_logits(output, len(codes)).double().cpu())
    result: Floats = torch.cat(logits).numpy()
    return result
