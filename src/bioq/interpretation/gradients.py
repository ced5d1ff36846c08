"""Which bases a prediction depends on, by gradients: input x gradient and integrated gradients.

Each explains the logit of one target, by default the mean over both strands.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq.dna.tensors import reverse_complement
from bioq.errors import BioqError, UsageError
from bioq.forward import BATCH_SIZE, Strands, require_logits
from bioq.inputs.python_windows import Windows, as_windows
from bioq.models.device import device_of, dtype_of
from bioq.models.eval_mode import eval_mode
from bioq.options import found, one_of, whole_number
from bioq.runs.trained_model import architecture_of, require_module

STEPS = 64
"""Points on the line from the baseline to the window."""

_MOST_BASES = 1 << 22
"""Bases of the points that are in memory at a time: 64 points of windows of 65,536 bases. With
windows of 2^20 bases, 64 points of a network of 4 filters would take 7.5 GB."""

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
    model: nn.Module,
    windows: Windows | str | Sequence[str],
    *,
    target: int,
    strands: Strands = "both",
) -> Attribution:
    """Return the gradient of a target's logit, and the windows times it.

    `windows` are those of `bioq.predict`: text, or `(n, 4, length)`; the baseline is all zeros. A
    linear estimate: the values do not sum to the logit's difference. The model computes in eval
    mode, on its device, and is not changed.
    Raises BioqError for other windows, UsageError for a target that the model does not have.
    """
    one_of("strands", strands, get_args(Strands))
    with _explaining(model):
        target = _checked_target(model, target)
        ends = _on_model(model, windows, "windows")
        gradient = _gradient(model, ends, target, strands)
        return _attribution(model, ends, torch.zeros_like(ends), gradient, target, strands)


def integrated_gradients(
    model: nn.Module,
    windows: Windows | str | Sequence[str],
    *,
    target: int,
    baseline: Windows | str | Sequence[str] | None = None,
    steps: int = STEPS,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    advance: Callable[[int], None] = lambda done: None,
) -> Attribution:
    """Integrate the gradients on the straight line from a baseline to each window.

    `windows` and `baseline` are those of `bioq.predict`, as many of one as of the other; without
    `baseline` it is all zeros: unknown bases. The model is not changed.
    The integral is the midpoint rule with `steps` points, at most `batch_size` of them in memory at
    a time; `advance` is called with the number of points after each batch of them.
    The values of a window sum to its logit minus the baseline's, except for the error of the rule,
    which is `completeness_gap`. Source: Sundararajan et al. 2017.
    Raises BioqError for other windows, UsageError for a target that the model does not have.
    """
    steps = whole_number("steps", steps, least=1)
    batch_size = whole_number("batch_size", batch_size, least=1)
    one_of("strands", strands, get_args(Strands))
    if not callable(advance):
        raise UsageError(f"advance {found(advance)}; expected a function")
    with _explaining(model):
        target = _checked_target(model, target)
        ends = _on_model(model, windows, "windows")
        starts = torch.zeros_like(ends)
        if baseline is not None:
            starts = _on_model(model, baseline, "the baseline")
        if starts.shape != ends.shape:
            raise BioqError(
                f"the baseline has shape {tuple(starts.shape)}; expected the windows', "
                f"{tuple(ends.shape)}"
            )
        shares = (torch.arange(steps, device=ends.device, dtype=ends.dtype) + 0.5) / steps
        mean = torch.empty_like(ends)
        at_once = min(batch_size, max(1, _MOST_BASES // ends.shape[-1]))
        for row, (end, start) in enumerate(zip(ends, starts, strict=True)):
            total = torch.zeros_like(end, dtype=torch.float64)
            for batch in torch.split(shares, at_once):
                points = start + batch.view(-1, 1, 1) * (end - start)
                total += _gradient(model, points, target, strands).double().sum(dim=0)
                advance(len(batch))
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
    return Attribution(*(_to_numpy(tensor) for tensor in (gradient, values, *logits)))


def _to_numpy(tensor: Tensor) -> Floats:
    """Return an array; of bfloat16, which NumPy does not have, in float32."""
    is_known = tensor.dtype in (torch.float16, torch.float32, torch.float64)
    array: Floats = (tensor if is_known else tensor.float()).cpu().numpy()
    return array


def _checked_target(model: nn.Module, target: int) -> int:
    """Return the number of a target of a model; any number for one that `bioq` did not build."""
    targets = architecture_of(model).get("targets")
    return whole_number("target", target, least=0, most=None if targets is None else targets - 1)


def _on_model(model: nn.Module, windows: Windows | str | Sequence[str], name: str) -> Tensor:
    """Return a copy of windows, checked, on the model's device and in the type of its weights."""
    tensor = as_windows(windows, architecture_of(model).get("window_bp"), name)
    return tensor.to(device_of(model), dtype_of(model), copy=True)


@contextlib.contextmanager
def _explaining(model: nn.Module) -> Iterator[None]:
    """Eval mode (no dropout), with gradients of the windows and not of the weights.

    Modes and `requires_grad` of the model are restored afterwards. cuDNN's LSTM supports a backward
    pass in training mode only, so on CUDA PyTorch's own LSTM is used: slower, with equal numbers.
    """
    before = [(weight, weight.requires_grad) for weight in require_module(model).parameters()]
    if any(weight.is_inference() for weight, _ in before):
        raise BioqError(
            "model was made under torch.inference_mode, where PyTorch computes no gradients; load "
            "it outside of it"
        )
    try:
        model.requires_grad_(False)
        with (
            eval_mode(model),
            torch.backends.cudnn.flags(enabled=False),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
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
    # A copy: a model may change its input, but not one whose gradient is computed.
    forward = _of_target(model(windows.clone()), windows, target)
    if strands == "forward":
        return forward
    reverse = _of_target(model(reverse_complement(windows)), windows, target)
    return (forward + reverse) / 2


def _of_target(logits: object, windows: Tensor, target: int) -> Tensor:
    """Return the logit of a target `(n,)`. Raises BioqError for a model that returns no logits,
    UsageError for a target that they do not have."""
    logits = require_logits(logits, len(windows))
    whole_number("target", target, most=logits.shape[1] - 1)
    return logits[:, target]
