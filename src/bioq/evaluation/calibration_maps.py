"""Fits of calibration maps, to counts of labels by probability.

The counts take the same memory for every number of windows: the logits of the probabilities are cut
into bins of 1/8 (above -24; below, where a probability is under 4e-11, of 4), and a bin stands for
its mean logit. The fitted numbers differ from those of the separate labels in the third digit at
most.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from bioq.evaluation.summary import Labels, Probability
from bioq.runs.calibration import TAIL, CalibrationMap

Floats = npt.NDArray[np.float64]

_EDGES = np.concatenate([np.arange(-104.0, -24.0, 4.0), np.arange(-24.0, 17.5, 1 / 8)])
_BINS = len(_EDGES) + 1


@dataclass(frozen=True)
class Counts:
    """Labels by target and bin of the logit of their probability."""

    windows: Floats
    """`(targets, bins)`."""
    positives: Floats
    """`(targets, bins)`."""
    logits: Floats
    """Sum of the logits in a bin, all targets together `(bins,)`."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.windows + other.windows,
            self.positives + other.positives,
            self.logits + other.logits,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.windows - other.windows,
            self.positives - other.positives,
            self.logits - other.logits,
        )

    @property
    def logit(self) -> Floats:
        """The mean logit of every bin `(bins,)`; 0 of an empty bin."""
        inside = self.windows.sum(axis=0)
        mean: Floats = np.divide(self.logits, inside, out=np.zeros(_BINS), where=inside > 0)
        return mean


@dataclass(frozen=True)
class Kind:
    """A map that a run can get, and which of its numbers are fitted."""

    name: str
    platt: bool
    """Scale and shift."""
    floor: bool
    """The lowest probability."""

    def fit(self, counts: Counts) -> CalibrationMap:
        """Return the map of maximum likelihood for all targets together.

        Weak priors keep the numbers finite where the labels are separated: the logarithm of the
        scale is normal(0, 1), the shift normal(0, 3), the logit of the lowest probability
        normal(-7, 5).
        """
        if not (self.platt or self.floor):
            return CalibrationMap()
        logit = torch.from_numpy(counts.logit)
        positives = torch.from_numpy(counts.positives.sum(axis=0))
        negatives = torch.from_numpy(counts.windows.sum(axis=0)) - positives
        at = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        used = torch.tensor([self.platt, self.platt, self.floor], dtype=torch.float64)
        spread = torch.tensor([1.0, 3.0, 5.0], dtype=torch.float64)

        def loss() -> Tensor:
            log_scale, shift, low = at * used * spread
            sure = log_scale.exp() * logit + shift
            log_yes, log_no = logsigmoid(sure), -softplus(sure)
            if self.floor:
                log_yes, log_no = _with_floor(log_yes, log_no, low - 7)
            fit = -(positives * log_yes + negatives * log_no).sum()
            return (fit + (at**2).sum() / 2) / positives.sum().clamp(min=1)

        _minimise(at, loss)
        log_scale, shift, low = (at.detach() * used * spread).tolist()
        lowest = float(torch.sigmoid(torch.tensor(low - 7.0))) if self.floor else 0.0
        return CalibrationMap(scale=float(np.exp(log_scale)), shift=shift, lowest=lowest)


UNCHANGED = Kind("unchanged", platt=False, floor=False)
KINDS = (
    Kind("floor", platt=False, floor=True),
    Kind("Platt", platt=True, floor=False),
    Kind("floor after Platt", platt=True, floor=True),
)
"""The simplest first. Others that were measured and left out: docs/how-to/calibration.md."""


def count(labels: Labels, probability: Probability) -> Counts:
    """Count the labels of some rows `(windows, targets)`."""
    targets = labels.shape[1]
    clipped = probability.astype(np.float64).clip(2.0**-150, 1 - 2.0**-25)
    logit = np.log(clipped) - np.log1p(-clipped)
    bins = np.digitize(logit, _EDGES)
    cell = bins + np.arange(targets) * _BINS
    shape, size = (targets, _BINS), targets * _BINS
    return Counts(
        np.bincount(cell.ravel(), minlength=size).reshape(shape).astype(np.float64),
        np.bincount(cell[labels == 1], minlength=size).reshape(shape).astype(np.float64),
        np.bincount(bins.ravel(), weights=logit.ravel(), minlength=_BINS).astype(np.float64),
    )


def _with_floor(log_yes: Tensor, log_no: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of lowest sure^tail + (1 - lowest) sure, and of 1 minus it."""
    mapped = torch.logaddexp(logsigmoid(low) + TAIL * log_yes, logsigmoid(-low) + log_yes)
    # 1 - mapped = (1 - lowest) (1 - sure) + lowest (1 - sure^tail)
    rest = torch.log(-torch.expm1(TAIL * log_yes.clamp(max=-1e-300)))
    return mapped, torch.logaddexp(logsigmoid(-low) + log_no, logsigmoid(low) + rest)


def _minimise(at: Tensor, loss: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.LBFGS(
        [at],
        max_iter=200,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
