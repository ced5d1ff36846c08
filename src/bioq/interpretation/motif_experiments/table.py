"""The tables of motif experiments: means with their intervals, one row per motif and target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import UsageError
from bioq.interpretation.motif_experiments.arguments import Chosen
from bioq.interpretation.motif_matches import benjamini_hochberg
from bioq.metrics.intervals import LEVEL
from bioq.motifs import Motif

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


def described(
    motif: Motif,
    chosen: Chosen,
    effect: Mean,
    control: Floats,
    difference: Mean,
    *,
    n: int,
    before: Mapping[str, str] | None = None,
    between: Mapping[str, Floats] | None = None,
) -> pd.DataFrame:
    """Return the rows of a motif, one per target, without q-values."""
    return pd.DataFrame(
        {
            "motif": motif.name,
            "matrix_id": motif.matrix_id,
            **(before or {}),
            "target": chosen.labels(len(control)),
            "effect": effect.mean,
            "low": effect.low,
            "high": effect.high,
            **(between or {}),
            "control": control,
            "difference": difference.mean,
            "difference_low": difference.low,
            "difference_high": difference.high,
            "p": difference.p,
            "q": np.nan,
            "n": n,
        }
    )


def effect_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all motifs, with their q-values over the rows that have a p-value."""
    table = pd.concat(parts, ignore_index=True)
    has_p = table["p"].notna().to_numpy()
    if has_p.any():
        table.loc[has_p, "q"] = benjamini_hochberg(table["p"].to_numpy()[has_p])
    return table
