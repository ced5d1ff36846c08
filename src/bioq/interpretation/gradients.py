"""Which bases a prediction depends on, by gradients: input x gradient and integrated gradients.

Each explains the logit of one target, by default the mean over both strands.
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
from bioq.models.eval_mode import eval_mode
from bioq.runs.trained_model import architecture_of

STEPS = 64
"""Points on the line from the baseline to the window."""

Method = Literal["integrated-gradients", "input-x-gradient"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Attribution:
    """The contribution of every base to a target's logit, compared with the baseline."""

    gradient: Floats
    """The mean gradient on the line from the baseline to the window `(n, 4, length)`. From a
    baseline of zeros it is the contribution of each of the four bases, if the window had it at this
    position: TF-MoDISco's hypothetical contributions."""
    values: Floats
    """`gradient` times (window minus baseline): `(n, 4, length)`."""
    logit: Floats
    """The logit of each window `(n,)`."""
    baseline_logit: Floats
    """The logit of each baseline `(n,)`."""

    @property
    def completeness_gap(self) -> Floats:
        """Sum of the values minus the logit's difference `(n,)`: 0 if they are complete."""
        difference = self.logit.astype(np.float64) - self.baseline_logit
        gap: Floats = self.values.sum(axis=(1, 2), dtype=np.float64) - difference
        return gap


def input_x_gradient(
    model: nn.Module, windows: Tensor, *, target: int, strands: Strands = "both"
) -> Attribution:
    """Return the gradient of a target's logit, and the windows times it.

    `windows` is one-hot `(n, 4, length)`; the baseline is all zeros. A linear estimate: the values
    do not sum to the logit's difference. The model computes in eval mode, on its device.
    Raises BioqError for another shape, UsageError for a target that the model does not have.
    """
    ends = _checked(model, windows, target)
    with _explaining(model):
        gradient = _gradient(model, ends, target, strands)
        return _attribution(model, ends, torch.zeros_like(ends), gradient, target, strands)


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
    """Integrate the gradients on the straight line from a baseline to each window.

    `windows` and `baseline` are `(n, 4, length)`; the default baseline is all zeros: unknown bases.
    The integral is the midpoint rule with `steps` points, `batch_size` of them in memory at a time.
    The values of a window sum to its logit minus the baseline's, except for the error of the rule,
    which is `completeness_gap`. Source: Sundararajan et al. 2017.
    """
    if steps < 1 or batch_size < 1:
        raise UsageError(f"{steps} steps, batch size {batch_size}; expected at least 1")
    ends = _checked(model, windows, target)
    starts = torch.zeros_like(ends) if baseline is None else _checked(model, baseline, target)
    if starts.shape != ends.shape:
        raise BioqError(
            f"the baseline has shape {tuple(starts.shape)}; expected the windows', "
            f"{tuple(ends.shape)}"
        )
    shares = (torch.arange(steps, device=ends.device, dtype=ends.dtype) + 0.5) / steps
    mean = torch.empty_like(ends)
    with _explaining(model):
        for row, (end, start) in enumerate(zip(ends, starts, strict=True)):
            total = torch.zeros_like(end, dtype=torch.float64)
            for batch in torch.split(shares, batch_size):
                points = start + batch.view(-1, 1, 1) * (end - start)
                total += _gradient(model, points, target, strands).double().sum(dim=0)
            mean[row] = total / steps
        return _attribution(model, ends, starts, mean, target, strands)


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
        logits = [_logit(model, inputs, target, strands) for inputs in (windows, baseline)]
    return Attribution(*(tensor.cpu().numpy() for tensor in (gradient, values, *logits)))


def _checked(model: nn.Module, windows: Tensor, target: int) -> Tensor:
    """Return the windows on the model's device. Raises as `input_x_gradient` does."""
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
    """Eval mode (no dropout), with gradients of the windows and not of the weights.

    Modes and `requires_grad` of the model are restored afterwards. cuDNN's LSTM supports a backward
    pass in training mode only, so on CUDA PyTorch's own LSTM is used: slower, with equal numbers.
    """
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        with eval_mode(model), torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
            yield
    finally:
        for parameter, requires_grad in before:
            parameter.requires_grad_(requires_grad)


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
