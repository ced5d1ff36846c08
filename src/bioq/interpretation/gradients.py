"""Which bases a prediction depends on, by gradients: input x gradient, integrated and expected
gradients.

Each explains the logit of one target, by default the mean over both strands.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna
from bioq.dna.shuffle import dinucleotide_shuffles
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
SHUFFLES, STEPS_PER_SHUFFLE = 8, 16
"""Shuffled baselines of a window, and points on the line from each of them."""

_MOST_BASES = 1 << 22
"""Bases of the points that are in memory at a time: 64 points of windows of 65,536 bases. With
windows of 2^20 bases, 64 points of a network of 4 filters would take 7.5 GB."""

Method = Literal["integrated-gradients", "input-x-gradient"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Attribution:
    """The contribution of every base to a target's logit, compared with the baseline."""

    gradient: Floats
    """The mean gradient on the line from the baseline to the window `(n, 4, length)`."""
    values: Floats
    """The gradient times (window minus baseline): `(n, 4, length)`. The contribution of a base is
    the sum over the second axis."""
    hypothetical: Floats
    """The contribution of each of the four bases, if the window had it at this position
    `(n, 4, length)`: the gradient times (this base minus the baseline), summed over the four.
    TF-MoDISco calls these hypothetical contributions. From a baseline of zeros they are the
    gradient."""
    logit: Floats
    """The logit of each window `(n,)`."""
    baseline_logit: Floats
    """The logit of each baseline, of several their mean `(n,)`."""

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

    A linear estimate: the values do not sum to the logit's difference. The model computes in eval
    mode, on its device.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits. It is not changed.
        windows: Text, or `(n, 4, length)`, as for `bioq.predict`.
        target: Number of the target, from 0.
        strands: `"both"` explains the mean logit of both strands.

    Returns:
        Contributions `(n, 4, length)`; the baseline is all zeros.

    Raises:
        BioqError: For other windows.
        UsageError: For a target that the model does not have.
    """
    one_of("strands", strands, get_args(Strands))
    with _explaining(model):
        target = _checked_target(model, target)
        ends = _on_model(model, windows, "windows")
        gradient = _gradient(model, ends, target, strands)
        zeros = torch.zeros_like(ends)
        logits = [_logits(model, inputs, target, strands, len(ends)) for inputs in (ends, zeros)]
        return _as_arrays(gradient, gradient * ends, gradient, *logits)


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

    The values of a window sum to its logit minus the baseline's, except for the error of the rule,
    which is `completeness_gap`. The integral is the midpoint rule. Source: Sundararajan et al.
    2017.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits. It is not changed.
        windows: Text, or `(n, 4, length)`, as for `bioq.predict`.
        target: Number of the target, from 0.
        baseline: As many windows as `windows`; by default all zeros, which are unknown bases.
        steps: Points on the line.
        strands: `"both"` explains the mean logit of both strands.
        batch_size: Points in memory at a time.
        advance: Called with the number of points after each batch of them.

    Returns:
        Contributions `(n, 4, length)`.

    Raises:
        BioqError: For other windows.
        UsageError: For a target that the model does not have.
    """
    path = _checked_path(steps, strands, batch_size, advance)
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
        return _integrated(model, ends, lambda row: starts[row, None], target, path)


def expected_gradients(
    model: nn.Module,
    windows: Windows | str | Sequence[str],
    *,
    target: int,
    shuffles: int = SHUFFLES,
    steps: int = STEPS_PER_SHUFFLE,
    strands: Strands = "both",
    batch_size: int = BATCH_SIZE,
    advance: Callable[[int], None] = lambda done: None,
    copies_of: Windows | str | Sequence[str] | None = None,
) -> Attribution:
    """Return the mean of the integrated gradients from shuffled copies of each window.

    The copies have the window's dinucleotides (`dna.shuffle`). They follow from the window alone:
    the same window has the same copies, wherever it is. Source: Erion et al. 2021, with the
    midpoint rule in place of random points.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits. It is not changed.
        windows: Text, or one-hot `(n, 4, length)`, as for `bioq.predict`.
        target: Number of the target, from 0.
        shuffles: Copies per window.
        steps: Points on each line.
        strands: `"both"` explains the mean logit of both strands.
        batch_size: Points in memory at a time.
        advance: Called with the number of points after each batch of them.
        copies_of: Other windows to shuffle, as many: with the window with REF for both alleles of a
            variant, the two results differ by the allele only.

    Returns:
        Contributions `(n, 4, length)`; `baseline_logit` `(n,)` is the mean over the copies.

    Raises:
        BioqError: For windows that are not one-hot.
        UsageError: For a target that the model does not have.
    """
    shuffles = whole_number("shuffles", shuffles, least=1)
    path = _checked_path(steps, strands, batch_size, advance)
    with _explaining(model):
        target = _checked_target(model, target)
        ends = _on_model(model, windows, "windows")
        shuffled = ends if copies_of is None else _on_model(model, copies_of, "copies_of")
        if shuffled.shape != ends.shape:
            raise BioqError(
                f"copies_of has shape {tuple(shuffled.shape)}; expected the windows', "
                f"{tuple(ends.shape)}"
            )
        codes = _codes(shuffled)
        return _integrated(
            model,
            ends,
            lambda row: torch.from_numpy(shuffled_copies(codes[row], shuffles)).to(ends),
            target,
            path,
        )


def shuffled_copies(codes: dna.Bytes, shuffles: int) -> npt.NDArray[np.generic]:
    """Return the baselines of a window with codes `(length,)`: one-hot `(shuffles, 4, length)`.

    The generator is seeded with the window, so they depend on nothing else.
    """
    rng = np.random.default_rng(list(hashlib.sha256(codes.tobytes()).digest()))
    return dna.one_hot(dinucleotide_shuffles(codes, shuffles, rng))


@dataclass(frozen=True)
class _Path:
    """How a line from a baseline to a window is computed."""

    steps: int
    strands: Strands
    batch_size: int
    advance: Callable[[int], None]


def _checked_path(
    steps: int, strands: Strands, batch_size: int, advance: Callable[[int], None]
) -> _Path:
    steps = whole_number("steps", steps, least=1)
    batch_size = whole_number("batch_size", batch_size, least=1)
    one_of("strands", strands, get_args(Strands))
    if not callable(advance):
        raise UsageError(f"advance {found(advance)}; expected a function")
    return _Path(steps, strands, batch_size, advance)


def _codes(windows: Tensor) -> dna.Bytes:
    """Return the codes of one-hot windows `(n, length)`. Raises BioqError for others."""
    is_base = windows == 1
    if not (((windows == 0) | is_base).all() and (is_base.sum(dim=1) <= 1).all()):
        raise BioqError("windows hold shares of bases; expected one-hot: only those are shuffled")
    known = is_base.any(dim=1)
    codes = torch.where(known, is_base.byte().argmax(dim=1), dna.UNKNOWN)
    array: dna.Bytes = codes.byte().cpu().numpy()
    return array


def _integrated(
    model: nn.Module,
    ends: Tensor,
    baselines: Callable[[int], Tensor],
    target: int,
    path: _Path,
) -> Attribution:
    """Return the mean over the baselines `(n, 4, length)` of each window, given by its number."""
    gradient, values, hypothetical = (torch.empty_like(ends) for _ in range(3))
    baseline_logit = ends.new_empty(len(ends))
    at_once = min(path.batch_size, max(1, _MOST_BASES // ends.shape[-1]))
    for row, end in enumerate(ends):
        starts = baselines(row)
        slopes = _mean_gradients(model, starts, end, target, path, at_once)
        gradient[row] = slopes.mean(dim=0)
        values[row] = (slopes * (end - starts)).mean(dim=0)
        at_baseline = (slopes * starts).sum(dim=1, keepdim=True)
        hypothetical[row] = (slopes - at_baseline).mean(dim=0)
        baseline_logit[row] = _logits(model, starts, target, path.strands, at_once).mean()
    logit = _logits(model, ends, target, path.strands, at_once)
    return _as_arrays(gradient, values, hypothetical, logit, baseline_logit)


def _mean_gradients(
    model: nn.Module, starts: Tensor, end: Tensor, target: int, path: _Path, at_once: int
) -> Tensor:
    """Return the mean gradient on the line from each start to the end: `(n, 4, length)`."""
    shares = (torch.arange(path.steps, device=end.device, dtype=end.dtype) + 0.5) / path.steps
    numbers = torch.arange(len(starts), device=end.device).repeat_interleave(path.steps)
    total = torch.zeros_like(starts, dtype=torch.float64)
    places = zip(
        torch.split(numbers, at_once),
        torch.split(shares.repeat(len(starts)), at_once),
        strict=True,
    )
    for number, share in places:
        start = starts[number]
        points = start + share.view(-1, 1, 1) * (end - start)
        gradient = _gradient(model, points, target, path.strands)
        total.index_add_(0, number, gradient.double())
        path.advance(len(number))
    return (total / path.steps).to(end.dtype)


def _as_arrays(*tensors: Tensor) -> Attribution:
    return Attribution(*(_to_numpy(tensor) for tensor in tensors))


def _logits(
    model: nn.Module, windows: Tensor, target: int, strands: Strands, at_once: int
) -> Tensor:
    with torch.no_grad():
        parts = [_logit(model, part, target, strands) for part in torch.split(windows, at_once)]
    return torch.cat(parts)


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
    """Return the gradient of each window's logit: `(n, 4, length)`. Raises BioqError for a model
    whose logits do not depend on the windows by steps that PyTorch can differentiate."""
    leaf = windows.detach().requires_grad_(True)
    logit = _logit(model, leaf, target, strands).sum()
    gradient: Tensor | None = None
    if logit.requires_grad:
        (gradient,) = torch.autograd.grad(logit, leaf, allow_unused=True)
    if gradient is None:
        raise BioqError(
            "the network has no gradient of its logits by the windows: a step of its forward, such "
            "as argmax or detach, ends it; 'bioq mutagenesis' needs no gradient"
        )
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
