"""The batched forward loop of every prediction: strands, precision, device, calibration."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

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
from bioq.inputs.python_windows import Windows, as_windows
from bioq.models.eval_mode import eval_mode
from bioq.progress import progress
from bioq.runs.trained_model import architecture_of, calibrated, load, module_to_compute

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
    """Return probabilities float32 `(n, targets)` of DNA: windows, or sequences as text.

    `model` is a model of `bioq.load`, whose probabilities are calibrated if its run is, the path of
    a run, or any module from windows to logits. `windows` is a sequence of the model's length or a
    list of them, with the letters of a FASTA (any case; N and the other IUPAC letters are unknown);
    or an array or tensor `(n, 4, length)` of any number type, in the order A, C, G, T: one-hot, or
    shares of the four bases from 0 to 1. With strands="both" the probabilities of a window and of
    its reverse complement are averaged, as DeepSEA does. The model stays on its device unless
    `device` is given; its train or eval mode is restored afterwards.
    Raises BioqError, before anything is computed, for windows of another shape, type or length, and
    for values that are not from 0 to 1, such as NaN.
    """
    if isinstance(windows, nn.Module):
        raise BioqError("windows are a model; write bioq.predict(model, windows)")
    if isinstance(model, str | Path):
        model = load(model)
    if not isinstance(model, nn.Module):
        raise BioqError(
            f"model is of type {type(model).__name__}; expected the path of a run, a model of "
            "bioq.load or a PyTorch module"
        )
    tensor = as_windows(windows, architecture_of(model).get("window_bp"))
    device = _device(model, device)
    with _predicting(model.to(device), strands, device, precision) as probability_of:

        def predict_rows(start: int, end: int) -> Tensor:
            return probability_of(tensor[start:end].to(device).float())

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
    """Return probabilities float32 `(windows, targets)` of the windows of a split, in order.

    `rows` limits them to consecutive windows. They are written into `out` if it is given: a memory
    map for a split whose predictions do not fit in memory.
    """
    device = _device(model, device)
    batches = Batches(split, device, data_in="disk")
    first, last, _ = rows.indices(len(split))
    with _predicting(model.to(device), strands, device, precision) as probability_of:

        def predict_rows(start: int, end: int) -> Tensor:
            codes, _ = batches.read_codes(torch.arange(first + start, first + end))
            return probability_of(codes)

        label = f"predict {split.name}"
        return _in_batches(model, predict_rows, last - first, batch_size, label=label, out=out)


def predict_codes(
    model: nn.Module,
    codes: npt.NDArray[np.uint8],
    *,
    strands: Strands = "both",
    device: str | torch.device | None = None,
    precision: Precision = "32",
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 `(n, targets)` of codes uint8 `(n, length)` (see `dna.encode`).

    One forward pass, without progress: for callers that stream batches and have put the model on
    its device. The codes are copied to the device as uint8.
    """
    device = _device(model, device)
    with _predicting(model, strands, device, precision) as probability_of:
        return probability_of(torch.from_numpy(codes).to(device)).cpu().numpy()


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
    """Return the probabilities of windows and of edits of them, each float32 `(m, targets)`.

    `codes` are uint8 `(n, length)`, `edited` `(m, length)`, `of` `(m,)` the window of each edit.
    One strand. If the model has a fast path for edits (`fast.prepare_edits`, with its own batch
    size), the part that an edit shares with its window is computed once.
    """
    device = _device(model, device)
    engine = prepare_edits(module_to_compute(model), precision) if device.type == "cpu" else None
    if engine is not None:
        before, after = (torch.sigmoid(logits).numpy() for logits in engine(codes, edited, of))
        return calibrated(model, before), calibrated(model, after)
    windows = np.concatenate([codes, edited])
    probability = np.concatenate(
        [
            predict_codes(
                model,
                windows[row : row + batch_size],
                strands="forward",
                device=device,
                precision=precision,
            )
            for row in range(0, len(windows), batch_size)
        ]
    )
    return probability[of], probability[len(codes) :]


@contextlib.contextmanager
def numerics(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute in one precision: exact float32, TF32 matrix units (CUDA only) or bf16 autocast, in
    which an LSTM on a card uses TF32 (`models.recurrent`).

    PyTorch's TF32 flags, which are global, are restored afterwards. Raises UsageError for an
    unknown precision, or one that the device does not have.
    """
    if precision not in ("32", "tf32", "bf16"):
        raise UsageError(f"precision {precision!r}; expected 32, tf32 or bf16")
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(
            f"precision tf32 needs a CUDA device, this is {device.type}; use 32 or bf16"
        )
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision != "32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def choose_device(name: str | None) -> torch.device:
    """Return the device of that name; without a name the first CUDA card, else the CPU.

    Raises UsageError if this machine or this PyTorch does not have it.
    """
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise UsageError(
            f"device {name!r} is not available on this machine ({reason}); use cpu, cuda or mps"
        ) from error
    return device


@contextlib.contextmanager
def _predicting(
    model: nn.Module, strands: Strands, device: torch.device, precision: Precision
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield the function from windows, or their codes, on the device to calibrated probabilities.

    The model, on that device, is in eval mode until the block ends.
    """
    if strands not in ("both", "forward"):
        raise UsageError(f"strands {strands!r}; expected both or forward")
    with eval_mode(model), torch.inference_mode(), numerics(device, precision):
        engine = prepare(module_to_compute(model), precision)
        yield lambda windows: _probability(model, engine, windows, strands)


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
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}; expected at least 1")
    with progress(label, windows, "windows") as advance:
        for start in range(0, windows, batch_size):
            end = min(start + batch_size, windows)
            probability = predict_rows(start, end)
            if probability.ndim != 2 or len(probability) != end - start:
                raise BioqError(
                    f"the model returns shape {tuple(probability.shape)} for {end - start:,} "
                    "windows; expected logits (n, targets)"
                )
            if out is None:
                out = np.empty((windows, probability.shape[1]), dtype=np.float32)
            out[start:end] = probability.cpu().numpy()
            advance(end - start)
    if out is None:
        out = np.empty((0, architecture_of(model)["targets"]), dtype=np.float32)
    return out


def _probability(
    model: nn.Module, engine: Engine | None, windows: Tensor, strands: Strands
) -> Tensor:
    """Return calibrated probabilities `(n, targets)` of codes uint8 `(n, length)` or windows of
    any numbers `(n, 4, length)`; `engine` is the model's fast path, if it has one."""
    if engine is not None:
        codes = windows if windows.ndim == 2 else _codes(windows)
        if codes is not None:
            probability = _of_strands(engine, codes, reverse_complement_codes, strands)
            return calibrated(model, probability)
    if windows.ndim == 2:
        windows = one_hot(windows).float()
    return calibrated(model, _of_strands(model, windows, reverse_complement, strands))


def _of_strands(
    compute: Callable[[Tensor], Tensor],
    windows: Tensor,
    opposite: Callable[[Tensor], Tensor],
    strands: Strands,
) -> Tensor:
    """Return the probabilities of the windows, or the mean of those of their two strands."""
    if strands == "both" and len(windows) <= _STRANDS_TOGETHER:
        stacked = torch.sigmoid(compute(torch.cat([windows, opposite(windows)])).float())
        return (stacked[: len(windows)] + stacked[len(windows) :]) / 2
    forward = torch.sigmoid(compute(windows).float())
    if strands == "forward":
        return forward
    return (forward + torch.sigmoid(compute(opposite(windows)).float())) / 2


def _codes(windows: Tensor) -> Tensor | None:
    """Return codes uint8 `(n, length)` of windows `(n, 4, length)`; None if not all are one-hot."""
    codes = windows.argmax(dim=1).to(torch.uint8).masked_fill(windows.sum(dim=1) == 0, dna.UNKNOWN)
    return codes if torch.equal(one_hot(codes).to(windows.dtype), windows) else None


def _device(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """Return the device that is given; the model's if none is."""
    if isinstance(device, torch.device):
        return device
    if device is not None:
        return choose_device(device)
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
