"""Means with their intervals, and effects beside those of a control."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import UsageError
from bioq.metrics.intervals import LEVEL

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Mean:
    """A mean per target over independent values; every array is `(targets,)`, NaN if there are
    fewer than two values."""

    mean: Floats
    low: Floats
    high: Floats
    """The interval that has the mean in 95 % of repetitions, by Student's t."""
    p: Floats
    """Two-sided p-value that the mean is 0, by the same distribution."""


def mean_of(values: Floats, *, of_another: bool = False) -> Mean:
    """Return the mean over the first axis of values `(n, targets)`.

    With `of_another`, interval and p-value are not those of the mean over all possible values but
    of the difference between one more value and the mean: a prediction interval.
    """
    n, targets = values.shape
    if n < 2:
        unknown = np.full(targets, np.nan)
        return Mean(values.mean(axis=0) if n else unknown, unknown, unknown, unknown)
    student_t = _student_t()
    mean = values.mean(axis=0, dtype=np.float64)
    share = 1 + 1 / n if of_another else 1 / n
    error = values.std(axis=0, ddof=1, dtype=np.float64) * np.sqrt(share)
    half = student_t.ppf((1 + LEVEL) / 2, n - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * student_t.sf(np.abs(mean) / error, n - 1)
    return Mean(mean, mean - half, mean + half, np.where(error > 0, p, np.where(mean == 0, 1.0, 0)))


def require_scipy() -> None:
    """Raise UsageError if SciPy is not installed."""
    _student_t()


def _student_t() -> Any:
    try:
        from scipy.stats import t
    except ImportError as error:
        raise UsageError(
            "motif experiments need the package scipy; pip install 'bioq[motifs]'"
        ) from error
    return t
