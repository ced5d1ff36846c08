"""Which bases a prediction rests on, by gradients: input x gradient and integrated gradients.

Both explain the logit of one target, the mean over both strands unless told otherwise.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq.batches import reverse_complement
from bioq.errors import BioqError, UsageError
from bioq.inference import BATCH_SIZE, Strands

STEPS = 64
"""Points on the way from the baseline to the window."""


@dataclass(frozen=True)
class Attribution:
    """What every base adds to a target's logit, compared with the baseline."""

    values: npt.NDArray[np.float32]
    """`(n, 4, length)`."""
    logit: npt.NDArray[np.float32]
    """Of each window `(n,)`."""
    baseline_logit: npt.NDArray[np.float32]
    """Of each baseline `(n,)`."""

    @property
    def completeness_gap(self) -> npt.NDArray[np.float32]:
        """Sum of the values minus the logit's difference `(n,)`: 0 if nothing is missing."""
        gap: npt.NDArray[np.float32] = self.values.sum(axis=(1, 2)) - (
            self.logit - self.baseline_logit
        )
        return gap


def input_x_gradient(
    model: nn.Module, windows: Tensor, *, target: int, strands: Strands = "both"
) -> npt.NDArray[np.float32]:
    """Return window times gradient of a target's logit: `(n, 4, length)`.

    `windows` is one-hot `(n, 4, length)`. The model computes in eval mode, where it lies.
    Raises BioqError for another shape, UsageError for a target that the model does not have.
    """
    ready = _prepare(model, windows, target)
    with _explaining(model):
        gradient, _ = _gradient(model, ready, target, strands)
    return (ready * gradient).cpu().numpy()


def integrated_gradients(
    model: nn.Module,
    windows: Tensor,
    *,
    target: int,
    baseline: Tensor | None = None,
    steps: int = STEPS,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
) -> Attribution:
    """Add up the gradients on the straight way from a baseline to each window.

    `windows` and `baseline` are `(n, 4, length)`; without a baseline it is all zeros: unknown
    bases. The integral is the midpoint rule with `steps` points, `batch_size` of them in memory
    at a time. The values of a window sum to its logit minus the baseline's, but for the error of
    the rule; `completeness_gap` says how large it is. Source: Sundararajan et al. 2017.
    """
    if steps < 1 or batch_size < 1:
        raise UsageError(f"{steps} steps, batch size {batch_size}; expected at least 1")
    ready = _prepare(model, windows, target)
    start = torch.zeros_like(ready) if baseline is None else _prepare(model, baseline, target)
    if start.shape != ready.shape:
        raise BioqError(
            f"the baseline has shape {tuple(start.shape)}; expected the windows', "
            f"{tuple(ready.shape)}"
        )
    shares = (torch.arange(steps, device=ready.device) + 0.5) / steps
    values = torch.empty_like(ready)
    with _explaining(model):
        for row, (end, begin) in enumerate(zip(ready, start, strict=True)):
            total = torch.zeros_like(end, dtype=torch.float64)
            for some in torch.split(shares, batch_size):
                path = begin + some.view(-1, 1, 1) * (end - begin)
                gradient, _ = _gradient(model, path, target, strands)
                total += gradient.double().sum(dim=0)
            values[row] = (end - begin) * (total / steps)
        with torch.no_grad():
            logits = [_logit(model, some, target, strands).cpu().numpy() for some in (ready, start)]
    return Attribution(values.cpu().numpy(), *logits)


def _prepare(model: nn.Module, windows: Tensor, target: int) -> Tensor:
    architecture: Any = getattr(model, "architecture", {})
    targets = architecture.get("targets", target + 1)
    if not 0 <= target < targets:
        raise UsageError(f"target {target}: the model has the targets 0 to {targets - 1}")
    length = architecture.get("window_bp", windows.shape[-1])
    if windows.ndim != 3 or tuple(windows.shape[1:]) != (4, length):
        raise BioqError(
            f"windows have shape {tuple(windows.shape)}; expected (n, 4, {length}), "
            "one-hot in the order A, C, G, T"
        )
    return windows.detach().to(next(model.parameters()).device).float()


@contextlib.contextmanager
def _explaining(model: nn.Module) -> Iterator[None]:
    """Eval mode (no dropout) with gradients, of the windows only.

    cuDNN's LSTM keeps what a backward pass needs in training mode only and refuses it in eval
    mode, so on CUDA PyTorch's own LSTM is used. It is slower, the numbers are the same.
    """
    was_training = model.training
    needed = [parameter.requires_grad for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        with torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
            yield
    finally:
        model.train(was_training)
        for parameter, need in zip(model.parameters(), needed, strict=True):
            parameter.requires_grad_(need)


def _gradient(
    model: nn.Module, windows: Tensor, target: int, strands: Strands
) -> tuple[Tensor, Tensor]:
    """Return (gradient `(n, 4, length)`, logit `(n,)`)."""
    leaf = windows.detach().requires_grad_(True)
    logit = _logit(model, leaf, target, strands)
    (gradient,) = torch.autograd.grad(logit.sum(), leaf)
    return gradient, logit.detach()


def _logit(model: nn.Module, windows: Tensor, target: int, strands: Strands) -> Tensor:
    if strands not in ("both", "forward"):
        raise UsageError(f"strands {strands!r}; expected both or forward")
    forward: Tensor = model(windows)[:, target]
    if strands == "forward":
        return forward
    reverse: Tensor = model(reverse_complement(windows))[:, target]
    return (forward + reverse) / 2
