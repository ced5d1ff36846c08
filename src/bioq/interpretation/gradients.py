"""Which bases a prediction rests on, by gradients: input x gradient and integrated gradients.

Both explain the logit of one target, the mean over both strands unless told otherwise.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq.dna.tensors import reverse_complement
from bioq.errors import BioqError, UsageError
from bioq.forward import BATCH_SIZE, Strands
from bioq.runs.trained_model import architecture_of

STEPS = 64
"""Points on the way from the baseline to the window."""


Method = Literal["integrated-gradients", "input-x-gradient"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Attribution:
    """What every base adds to a target's logit, compared with the baseline."""

    gradient: Floats
    """The mean gradient on the way from the baseline to the window `(n, 4, length)`. From a
    baseline of zeros it is what each of the four bases adds, or would add in place of the one that
    is there: TF-MoDISco's hypothetical contributions."""
    values: Floats
    """`gradient` times (window minus baseline): `(n, 4, length)`."""
    logit: Floats
    """Of each window `(n,)`."""
    baseline_logit: Floats
    """Of each baseline `(n,)`."""

    @property
    def completeness_gap(self) -> Floats:
        """Sum of the values minus the logit's difference `(n,)`: 0 if nothing is missing."""
        difference = self.logit.astype(np.float64) - self.baseline_logit
        gap: Floats = self.values.sum(axis=(1, 2), dtype=np.float64) - difference
        return gap


def input_x_gradient(
    model: nn.Module, windows: Tensor, *, target: int, strands: Strands = "both"
) -> Attribution:
    """Return the gradient of a target's logit, and the windows times it.

    `windows` is one-hot `(n, 4, length)`; the baseline is all zeros. A linear estimate: the values
    do not sum to the logit's difference. The model computes in eval mode, where it lies.
    Raises BioqError for another shape, UsageError for a target that the model does not have.
    """
    ready = _prepare(model, windows, target)
    with _explaining(model):
        gradient = _gradient(model, ready, target, strands)
        return _attribution(model, ready, torch.zeros_like(ready), gradient, target, strands)


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
    shares = (torch.arange(steps, device=ready.device, dtype=ready.dtype) + 0.5) / steps
    mean = torch.empty_like(ready)
    with _explaining(model):
        for row, (end, begin) in enumerate(zip(ready, start, strict=True)):
            total = torch.zeros_like(end, dtype=torch.float64)
            for some in torch.split(shares, batch_size):
                path = begin + some.view(-1, 1, 1) * (end - begin)
                total += _gradient(model, path, target, strands).double().sum(dim=0)
            mean[row] = total / steps
        return _attribution(model, ready, start, mean, target, strands)


def _attribution(
    model: nn.Module,
    windows: Tensor,
    baseline: Tensor,
    gradient: Tensor,
    target: int,
    strands: Strands,
) -> Attribution:
    values = gradient * (windows - baseline)
    with torch.no_grad():
        logits = [_logit(model, some, target, strands) for some in (windows, baseline)]
    return Attribution(*(tensor.cpu().numpy() for tensor in (gradient, values, *logits)))


def _prepare(model: nn.Module, windows: Tensor, target: int) -> Tensor:
    architecture = architecture_of(model)
    targets = architecture.get("targets", target + 1)
    if not 0 <= target < targets:
        raise UsageError(f"target {target}: the model has the targets 0 to {targets - 1}")
    length = architecture.get("window_bp", windows.shape[-1])
    if windows.ndim != 3 or tuple(windows.shape[1:]) != (4, length):
        raise BioqError(
            f"windows have shape {tuple(windows.shape)}; expected (n, 4, {length}), "
            "one-hot in the order A, C, G, T"
        )
    weights = next(model.parameters())
    return windows.detach().to(weights.device, weights.dtype)


@contextlib.contextmanager
def _explaining(model: nn.Module) -> Iterator[None]:
    """Eval mode (no dropout) with gradients, of the windows only; all is as before afterwards.

    cuDNN's LSTM keeps what a backward pass needs in training mode only and refuses it in eval
    mode, so on CUDA PyTorch's own LSTM is used. It is slower, the numbers are the same.
    """
    training = [(module, module.training) for module in model.modules()]
    needed = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        with torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
            yield
    finally:
        for module, was_training in training:
            module.training = was_training
        for parameter, was_needed in needed:
            parameter.requires_grad_(was_needed)


def _gradient(model: nn.Module, windows: Tensor, target: int, strands: Strands) -> Tensor:
    """Return the gradient of each window's logit: `(n, 4, length)`."""
    leaf = windows.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(_logit(model, leaf, target, strands).sum(), leaf)
    return gradient


def _logit(model: nn.Module, windows: Tensor, target: int, strands: Strands) -> Tensor:
    if strands not in ("both", "forward"):
        raise UsageError(f"strands {strands!r}; expected both or forward")
    forward: Tensor = model(windows)[:, target]
    if strands == "forward":
        return forward
    reverse: Tensor = model(reverse_complement(windows))[:, target]
    return (forward + reverse) / 2
