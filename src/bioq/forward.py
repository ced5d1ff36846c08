"""The one batched forward loop: strands, precision, device. Everything that predicts calls it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

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
from bioq.progress import progress
from bioq.runs.calibration import calibrated

Strands = Literal["both", "forward"]
Precision = Literal["32", "tf32", "bf16"]
BATCH_SIZE = 256
"""Windows a forward pass."""
_STRANDS_TOGETHER = 16
"""Up to so many windows go with their opposite strands: reading the weights is what takes the time.
More would take twice the memory and gain nothing."""

Windows = npt.NDArray[np.generic] | Tensor


def predict(
    model: nn.Module,
    windows: Windows,
    *,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 `(n, targets)` of one-hot windows `(n, 4, length)`.

    `windows` is an array or tensor of any number type, in the order A, C, G, T. With
    strands="both" the probabilities of a window and of its reverse complement are averaged, as
    DeepSEA does. The model stays on its device unless `device` names another; its train or eval
    mode is as before afterwards.
    Raises BioqError if `windows` is not `(n, 4, length)`.
    """
    if windows.ndim != 3 or windows.shape[1] != 4:
        raise BioqError(
            f"windows have shape {tuple(windows.shape)}; expected (n, 4, length), "
            "one-hot in the order A, C, G, T"
        )
    expected = getattr(model, "architecture", {}).get("window_bp", windows.shape[2])
    if windows.shape[2] != expected:
        raise BioqError(
            f"windows are {windows.shape[2]} bp long; this model reads windows of {expected} bp"
        )
    tensor = windows if isinstance(windows, Tensor) else torch.from_numpy(np.asarray(windows))

    def read(start: int, end: int) -> Tensor:
        return tensor[start:end].to(place).float()

    place = _place(model, device)
    return _forward_loop(
        model.to(place), read, len(tensor), strands, batch_size, place, precision, "predict"
    )


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
    """Return probabilities float32 `(len(split), targets)` of every window of a split, in order,
    or of `rows` that follow one another.

    They are written into `out` where one is given: a memory map for a split whose predictions do
    not fit in memory.
    """
    place = _place(model, device)
    batches = Batches(split, place, data_in="disk")
    first, last, _ = rows.indices(len(split))

    def read(start: int, end: int) -> Tensor:
        return batches.read_codes(torch.arange(first + start, first + end))[0]

    label = f"predict {split.name}"
    return _forward_loop(
        model.to(place), read, last - first, strands, batch_size, place, precision, label, out
    )


def predict_codes(
    model: nn.Module,
    codes: npt.NDArray[np.uint8],
    *,
    strands: Strands = "both",
    device: str | torch.device | None = None,
    precision: Precision = "32",
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 `(n, targets)` of codes uint8 `(n, length)` (see `dna.encode`).

    One forward pass, without progress: for callers that stream batches and put the model on its
    device themselves. The codes travel to the device as they are.
    """
    place = _place(model, device)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), numerics(place, precision):
            windows = torch.from_numpy(codes).to(place)
            engine = prepare(model, precision)
            return _probability(model, engine, windows, strands).cpu().numpy()
    finally:
        model.train(was_training)


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
    One strand. What an edit shares with its window is computed once where there is a way (see
    `fast.prepare_edits`, which takes batches of its own); else every window is.
    """
    place = _place(model, device)
    engine = prepare_edits(model, precision) if place.type == "cpu" else None
    if engine is not None:
        before, after = (torch.sigmoid(logits).numpy() for logits in engine(codes, edited, of))
        return calibrated(model, before), calibrated(model, after)
    windows = np.concatenate([codes, edited])
    found = np.concatenate(
        [
            predict_codes(
                model,
                windows[row : row + batch_size],
                strands="forward",
                device=place,
                precision=precision,
            )
            for row in range(0, len(windows), batch_size)
        ]
    )
    return found[of], found[len(codes) :]


@contextlib.contextmanager
def numerics(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute in one precision: exact float32, TF32 matrix units (CUDA only) or bf16 autocast, in
    which a card's LSTM uses TF32 (see `models.recurrent`)."""
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
    """Return the device of that name; the first CUDA card, else the CPU, where none is given.

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
            f"device {name!r} is not to be had here ({reason}); use cpu, cuda or mps"
        ) from error
    return device


def _forward_loop(
    model: nn.Module,
    read: Callable[[int, int], Tensor],
    windows: int,
    strands: Strands,
    batch_size: int,
    device: torch.device,
    precision: Precision,
    label: str,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    if strands not in ("both", "forward"):
        raise UsageError(f"strands {strands!r}; expected both or forward")
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}; expected at least 1")
    was_training = model.training
    model.eval()
    try:
        with (
            torch.inference_mode(),
            numerics(device, precision),
            progress(label, windows, "windows") as advance,
        ):
            engine = prepare(model, precision)
            for start in range(0, windows, batch_size):
                end = min(start + batch_size, windows)
                probability = _probability(model, engine, read(start, end), strands)
                if out is None:
                    out = np.empty((windows, probability.shape[1]), dtype=np.float32)
                out[start:end] = probability.cpu().numpy()
                advance(end - start)
    finally:
        model.train(was_training)
    if out is None:
        architecture: Any = model.architecture
        out = np.empty((0, architecture["targets"]), dtype=np.float32)
    return out


def _probability(
    model: nn.Module, engine: Engine | None, windows: Tensor, strands: Strands
) -> Tensor:
    """Return calibrated probabilities `(n, targets)` of codes uint8 `(n, length)` or windows of
    any numbers `(n, 4, length)`; `engine` is what `prepare` gives for the model."""
    if engine is not None:
        codes = windows if windows.ndim == 2 else _codes(windows)
        if codes is not None:
            found = _of_strands(engine, codes, reverse_complement_codes, strands)
            return calibrated(model, found)
    if windows.ndim == 2:
        windows = one_hot(windows).float()
    return calibrated(model, _of_strands(model, windows, reverse_complement, strands))


def _of_strands(
    compute: Callable[[Tensor], Tensor],
    windows: Tensor,
    opposite: Callable[[Tensor], Tensor],
    strands: Strands,
) -> Tensor:
    if strands == "both" and len(windows) <= _STRANDS_TOGETHER:
        both = torch.sigmoid(compute(torch.cat([windows, opposite(windows)])).float())
        return (both[: len(windows)] + both[len(windows) :]) / 2
    forward = torch.sigmoid(compute(windows).float())
    if strands == "forward":
        return forward
    return (forward + torch.sigmoid(compute(opposite(windows)).float())) / 2


def _codes(windows: Tensor) -> Tensor | None:
    """Return codes uint8 `(n, length)` of windows `(n, 4, length)`; None if not all are one-hot."""
    codes = windows.argmax(dim=1).to(torch.uint8).masked_fill(windows.sum(dim=1) == 0, dna.UNKNOWN)
    return codes if torch.equal(one_hot(codes).to(windows.dtype), windows) else None


def _place(model: nn.Module, device: str | torch.device | None) -> torch.device:
    if isinstance(device, torch.device):
        return device
    return choose_device(device) if device is not None else next(model.parameters()).device
