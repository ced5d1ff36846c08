"""The batched forward loop of every prediction: strands, precision, device, calibration.

The functions here do not change the caller's model, also when they fail: its weights stay on their
device, its layers in their mode, and its hooks stay.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna
from bioq.dataset import Split
from bioq.dataset.batches import Batches
from bioq.dna.tensors import one_hot, reverse_complement, reverse_complement_codes
from bioq.errors import BioqError, UsageError
from bioq.fast import Engine, prepare, prepare_edits
from bioq.inputs.python_windows import Windows, as_windows, numbers_below
from bioq.models.device import device_of, dtype_of, on_device
from bioq.models.eval_mode import eval_mode
from bioq.options import found, of_type, one_of, whole_number
from bioq.progress import progress
from bioq.runs.trained_model import (
    architecture_of,
    calibrated,
    load,
    mean_of_members,
    members_of,
    module_to_compute,
    require_length,
    require_module,
)

Strands = Literal["both", "forward"]
Precision = Literal["32", "tf32", "bf16"]
BATCH_SIZE = 256
"""Windows per forward pass."""
_STRANDS_TOGETHER = 16
"""Up to this many windows are computed in one pass with their opposite strands, because reading the
weights takes most of the time. With more windows one pass needs twice the memory and is no faster.
"""


def predict(
    model: nn.Module | str | Path,
    windows: Windows | str | Sequence[str],
    *,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
) -> npt.NDArray[np.float32]:
    """Return the probabilities of DNA: of windows, or of sequences as text.

    Args:
        model: A model of `bioq.load`, whose probabilities are calibrated if its run is, the path of
            a run, or any module from windows to logits. It is not changed and stays on its device,
            also after an error: to predict often on a card, move it there once.
        windows: A sequence of the model's length or a list of them, with the letters of a FASTA
            (any case; N and the other IUPAC letters are unknown); or an array or tensor
            `(n, 4, length)` of any number type, in the order A, C, G, T: one-hot, or shares of the
            bases from 0 to 1.
        strands: `"both"` averages the probabilities of a window and of its reverse complement, as
            DeepSEA does.
        batch_size: Windows per forward pass.
        device: Where to compute; by default the device of the model.
        precision: Number format of the forward pass.

    Returns:
        Probabilities float32 `(n, targets)`.

    Raises:
        BioqError: Before anything is computed, for windows of another shape, type or length, and
            for values that are not from 0 to 1, such as NaN.
    """
    if isinstance(windows, nn.Module):
        raise BioqError("windows are a model; write bioq.predict(model, windows)")
    if isinstance(model, str | Path):
        model = load(model)
    elif not isinstance(model, nn.Module):
        raise BioqError(
            f"model is of type {type(model).__name__}; expected the path of a run, a model of "
            "bioq.load or a PyTorch module"
        )
    tensor = as_windows(windows, architecture_of(model).get("window_bp"))
    with _predicting(model, strands, device, precision) as predicting:

        def predict_rows(start: int, end: int) -> Tensor:
            # A copy: a model that changes its input changes no array of the caller.
            part = tensor[start:end].to(predicting.device, predicting.dtype, copy=True)
            return predicting.probability_of(part)

        return _in_batches(model, predict_rows, len(tensor), batch_size, label="predict")


def predict_split(
    model: nn.Module,
    split: Split,
    *,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
    rows: slice = slice(None),
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Return the probabilities of the windows of a split, in order.

    Args:
        model: A network, a `TrainedModel` or an ensemble.
        split: A split of a data set: `open_dataset(...)["test"]`.
        strands: `both` is the mean of the window's and its reverse complement's probabilities.
        batch_size: Windows that are computed at a time.
        device: As in `predict`.
        precision: As in `predict`.
        rows: Consecutive windows; by default all.
        out: Array float32 `(windows, targets)` to write into: a memory map for a split whose
            probabilities do not fit in memory.

    Returns:
        Probabilities, float32 `(windows, targets)`; `out` if it is given.

    Raises:
        BioqError: For windows of another length than the model reads.
        UsageError: For rows that are not consecutive, and another strand, device or precision.
    """
    of_type("split", split, Split, "a split of a data set, such as data['test']")
    first, last, step = of_type("rows", rows, slice, "a slice").indices(len(split))
    if step != 1:
        raise UsageError(f"rows have a step of {step}; expected consecutive windows, a step of 1")
    require_length(model, split.window_bp, f"the windows of {split.name}")
    with _predicting(model, strands, device, precision) as predicting:
        batches = Batches(split, predicting.device, data_in="disk")

        def predict_rows(start: int, end: int) -> Tensor:
            codes, _ = batches.read_codes(torch.arange(first + start, first + end))
            return predicting.probability_of(codes)

        windows = max(last - first, 0)
        label = f"predict {split.name}"
        return _in_batches(model, predict_rows, windows, batch_size, label=label, out=out)


def predict_codes(
    model: nn.Module,
    codes: npt.NDArray[np.uint8],
    *,
    strands: Strands = "both",
    device: str | torch.device | None = None,
    precision: Precision = "32",
) -> npt.NDArray[np.float32]:
    """Return the probabilities of windows that are given as codes, in one forward pass per strand.

    Without progress: for callers that stream batches.

    Args:
        model: A network, a `TrainedModel` or an ensemble.
        codes: uint8 `(n, length)`, see `dna.encode`; they are copied to the device.
        strands: `both` is the mean of the window's and its reverse complement's probabilities.
        device: As in `predict`.
        precision: As in `predict`.

    Returns:
        Probabilities, float32 `(n, targets)`.

    Raises:
        BioqError: For codes of another shape or length, or with values above 4.
        UsageError: For another strand, device or precision.
    """
    codes = dna.checked_codes(codes, axes=2)
    require_length(model, codes.shape[1], "codes")
    with _predicting(model, strands, device, precision) as predicting:
        on_it = torch.from_numpy(np.require(codes, requirements=["C", "W"])).to(predicting.device)
        return predicting.probability_of(on_it).cpu().numpy()


def predict_edits(
    model: nn.Module,
    codes: npt.NDArray[np.uint8],
    edited: npt.NDArray[np.uint8],
    of: npt.NDArray[np.int64],
    *,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the probabilities of windows and of edits of them. One strand.

    If the model has a fast path for edits (`fast.prepare_edits`, with its own batch size), the part
    that an edit shares with its window is computed once.

    Args:
        model: A network, a `TrainedModel` or an ensemble.
        codes: The windows, uint8 `(n, length)`, see `dna.encode`.
        edited: The edits, uint8 `(m, length)`.
        of: The row of `codes` that each edit is of, `(m,)`.
        batch_size: Windows that are computed at a time.
        device: As in `predict`.
        precision: As in `predict`.

    Returns:
        Probabilities float32 of the windows, `(n, targets)`, and of the edits, `(m, targets)`.

    Raises:
        BioqError: For codes of different lengths, and for an edit of a window that is not there.
        UsageError: For another device or precision.
    """
    codes, edited, of = _checked_edits(codes, edited, of)
    batch_size = whole_number("batch_size", batch_size, least=1)
    require_length(model, codes.shape[1], "codes")
    with on_device(require_module(model), device) as there:
        require_precision(there, precision)
        parts = [
            _predict_edits(member, codes, edited, of, batch_size, precision)
            for member in members_of(model)
        ]
    before, after = zip(*parts, strict=True)
    return mean_of_members(model, before), mean_of_members(model, after)


def _predict_edits(
    model: nn.Module,
    codes: dna.Bytes,
    edited: dna.Bytes,
    of: npt.NDArray[np.int64],
    batch_size: int,
    precision: Precision,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what `predict_edits` returns for one network, on its device."""
    may_share = device_of(model).type == "cpu" and len(edited) > 0
    engine = prepare_edits(module_to_compute(model), precision) if may_share else None
    if engine is not None:
        before, after = (torch.sigmoid(logits).numpy() for logits in engine(codes, edited, of))
        return calibrated(model, before), calibrated(model, after)
    windows = np.concatenate([codes, edited])
    probability = np.concatenate(
        [
            predict_codes(
                model, windows[row : row + batch_size], strands="forward", precision=precision
            )
            for row in range(0, max(len(windows), 1), batch_size)
        ]
    )
    return probability[of], probability[len(codes) :]


def _checked_edits(
    codes: dna.Bytes, edited: dna.Bytes, of: npt.NDArray[np.int64]
) -> tuple[dna.Bytes, dna.Bytes, npt.NDArray[np.int64]]:
    codes, edited = (
        np.require(dna.checked_codes(each, axes=2, name=name), requirements=["C", "W"])
        for name, each in (("codes", codes), ("edited", edited))
    )
    of = numbers_below("of", of, len(codes))
    if edited.shape != (len(of), codes.shape[1]):
        raise BioqError(
            f"edited have shape {edited.shape}; expected ({len(of)}, {codes.shape[1]}): a row for "
            "each number in of, as long as the codes"
        )
    return codes, edited, of


@contextlib.contextmanager
def numerics(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute in one precision, and restore PyTorch's TF32 flags, which are global, afterwards.

    Args:
        device: Where the block computes.
        precision: `32` is exact float32, `tf32` the TF32 matrix units (CUDA only), `bf16` autocast,
            in which an LSTM on a card uses TF32 (`models.recurrent`).

    Yields:
        Nothing: the precision holds until the block ends.

    Raises:
        UsageError: For an unknown precision, or one that the device does not have.
    """
    require_precision(device, precision)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision != "32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def require_precision(device: torch.device, precision: Precision) -> None:
    """Check that a device can compute in a precision.

    Args:
        device: Where to compute.
        precision: As in `numerics`.

    Raises:
        UsageError: As `numerics` does.
    """
    one_of("precision", precision, get_args(Precision))
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(
            f"precision tf32 needs a CUDA device, this is {device.type}; use 32 or bf16"
        )


@dataclass(frozen=True)
class _Predicting:
    """A model that is ready to compute."""

    device: torch.device
    dtype: torch.dtype
    """Of the model's weights."""
    probability_of: Callable[[Tensor], Tensor]
    """Windows of `dtype`, or codes, on the device -> calibrated probabilities."""


@contextlib.contextmanager
def _predicting(
    model: nn.Module, strands: Strands, device: str | torch.device | None, precision: Precision
) -> Iterator[_Predicting]:
    """Yield a model that computes: on a device, in eval mode, until the block ends."""
    one_of("strands", strands, get_args(Strands))
    with (
        on_device(require_module(model), device) as there,
        eval_mode(model),
        torch.inference_mode(),
        numerics(there, precision),
    ):
        dtype = dtype_of(model)
        engines = [(one, prepare(module_to_compute(one), precision)) for one in members_of(model)]

        def probability_of(windows: Tensor) -> Tensor:
            parts = [_probability(*each, windows, strands, dtype) for each in engines]
            return mean_of_members(model, parts)

        yield _Predicting(there, dtype, probability_of)


def _in_batches(
    model: nn.Module,
    predict_rows: Callable[[int, int], Tensor],
    windows: int,
    batch_size: int,
    *,
    label: str,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Return the probabilities of all windows, which `predict_rows(start, end)` returns in parts.

    `label` names the work in the line of progress.
    """
    batch_size = whole_number("batch_size", batch_size, least=1)
    if out is not None:
        _check_out(out, windows)
    with progress(label, windows, "windows") as advance:
        for start in range(0, windows, batch_size):
            end = min(start + batch_size, windows)
            probability = predict_rows(start, end)
            if out is None:
                out = np.empty((windows, probability.shape[1]), dtype=np.float32)
            if probability.shape[1] != out.shape[1]:
                raise BioqError(
                    f"the model returns {probability.shape[1]:,} targets; the table has "
                    f"{out.shape[1]:,} columns"
                )
            out[start:end] = probability.cpu().numpy()
            advance(end - start)
    if out is None:
        targets = architecture_of(model).get("targets")
        if targets is None:
            raise BioqError("there are no windows; expected at least one")
        out = np.empty((0, targets), dtype=np.float32)
    return out


def _check_out(out: object, windows: int) -> None:
    """Raise UsageError unless predictions of that many windows can be written into an array."""
    is_table = isinstance(out, np.ndarray) and out.ndim == 2 and out.dtype.kind == "f"
    if not is_table or len(out) != windows or not out.flags.writeable:  # type: ignore[attr-defined,arg-type]
        raise UsageError(
            f"out {found(out)}; expected an array of floats ({windows}, targets) to write into"
        )


def _probability(
    model: nn.Module,
    engine: Engine | None,
    windows: Tensor,
    strands: Strands,
    dtype: torch.dtype,
) -> Tensor:
    """Return calibrated probabilities `(n, targets)` of one network, of codes uint8 `(n, length)`
    or windows of any numbers `(n, 4, length)`; `engine` is its fast path, if it has one."""
    if engine is not None:
        codes = windows if windows.ndim == 2 else _codes(windows)
        if codes is not None:
            probability = _of_strands(engine, codes, reverse_complement_codes, strands)
            return calibrated(model, probability)
    if windows.ndim == 2:
        windows = one_hot(windows).to(dtype)
    return calibrated(model, _of_strands(model, windows, reverse_complement, strands))


def _of_strands(
    compute: Callable[[Tensor], Tensor],
    windows: Tensor,
    opposite: Callable[[Tensor], Tensor],
    strands: Strands,
) -> Tensor:
    """Return the probabilities of the windows, or the mean of those of their two strands."""
    if strands == "both" and len(windows) <= _STRANDS_TOGETHER:
        stacked = _sigmoid(compute, torch.cat([windows, opposite(windows)]))
        return (stacked[: len(windows)] + stacked[len(windows) :]) / 2
    if strands == "forward":
        return _sigmoid(compute, windows)
    reverse = opposite(windows)  # before a model can change the windows
    return (_sigmoid(compute, windows) + _sigmoid(compute, reverse)) / 2


def _sigmoid(compute: Callable[[Tensor], Tensor], windows: Tensor) -> Tensor:
    """Return probabilities float32 `(n, targets)`."""
    return torch.sigmoid(require_logits(compute(windows), len(windows)).float())


def require_logits(logits: object, windows: int) -> Tensor:
    """Check what a model returns.

    Args:
        logits: The output of the model.
        windows: Number of windows that the model read.

    Returns:
        The same output, `(windows, targets)`.

    Raises:
        BioqError: For what is not a real tensor of two axes with a row per window.
    """
    is_real = isinstance(logits, Tensor) and not logits.is_complex()
    if isinstance(logits, Tensor) and is_real and logits.ndim == 2 and len(logits) == windows:
        return logits
    what = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else found(logits)
    raise BioqError(
        f"the model returns {what} for {windows:,} windows; expected logits (n, targets)"
    )


def _codes(windows: Tensor) -> Tensor | None:
    """Return codes uint8 `(n, length)` of windows `(n, 4, length)`; None if not all are one-hot."""
    codes = windows.argmax(dim=1).to(torch.uint8).masked_fill(windows.sum(dim=1) == 0, dna.UNKNOWN)
    return codes if torch.equal(one_hot(codes).to(windows.dtype), windows) else None
