"""Logistic regression with a ridge penalty, by scikit-learn, for a path of penalties.

The weights minimise the mean log loss plus penalty / 2 times their sum of squares; the intercept
has no penalty.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import UsageError

Floats = npt.NDArray[np.float64]

PENALTIES = tuple(float(10**power) for power in np.arange(1, -4.5, -0.5))
"""Penalties that are tried, the strongest first: from weights that hardly differ from 0 to weights
that hardly have a penalty."""
_GRADIENT = 1e-7
"""Largest gradient of the mean log loss at the end of a fit: log odds are then right to 0.02 where
there are more features than alleles and the penalty is the weakest, elsewhere to 0.0001."""
_MOST_STEPS = 10_000


@dataclass(frozen=True)
class Scaling:
    """The mean and the standard deviation of each feature, among the training alleles."""

    mean: Floats
    scale: Floats
    """1 / standard deviation; 0 for a feature that is the same everywhere."""

    @classmethod
    def of(cls, features: npt.NDArray[np.float32]) -> "Scaling":
        """Return the scaling of features `(alleles, features)`; NaN is a missing value."""
        with np.errstate(invalid="ignore", divide="ignore"):
            known = np.isfinite(features)
            count = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, features, 0).sum(axis=0, dtype=np.float64) / count
            away = np.where(known, features - mean, 0)
            deviation = np.sqrt((away**2).sum(axis=0, dtype=np.float64) / count)
            is_flat = deviation <= 1e-7 * np.abs(mean)
            return cls(mean, np.where(is_flat, 0.0, 1 / deviation))

    def standardised(self, features: npt.NDArray[np.float32]) -> Floats:
        """Return features with mean 0 and standard deviation 1; a missing value is 0, the mean."""
        scaled = (features - self.mean) * self.scale
        return np.where(np.isfinite(features), scaled, 0.0)


@dataclass(frozen=True)
class Fit:
    """The weights of one penalty."""

    penalty: float
    weights: Floats
    """`(features,)` of standardised features."""
    intercept: float

    def log_odds(self, standardised: Floats) -> Floats:
        """Return the log odds of alleles."""
        odds: Floats = standardised @ self.weights + self.intercept
        return odds


def fit_path(standardised: Floats, labels: npt.NDArray[np.bool_]) -> list[Fit]:
    """Return a fit for each of `PENALTIES`, of features `(alleles, features)` and their labels.

    Both labels must be present. Raises UsageError if scikit-learn is not installed.
    """
    model = scikit_learn().LogisticRegression(warm_start=True, tol=_GRADIENT, max_iter=_MOST_STEPS)
    fits = []
    for penalty in PENALTIES:
        model.set_params(C=1 / (len(labels) * penalty))
        model.fit(standardised, labels)
        fits.append(Fit(penalty, model.coef_[0].astype(np.float64), float(model.intercept_[0])))
    return fits


def scikit_learn() -> Any:
    """Return scikit-learn's linear models. Raises UsageError if it is not installed."""
    try:
        from sklearn import linear_model
    except ImportError as error:
        raise UsageError(
            "bioq rank fit needs the package scikit-learn; pip install 'bioq[rank]'"
        ) from error
    return linear_model


def probability_of(log_odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-log_odds)), without overflow."""
    probability: Floats = np.exp(-np.logaddexp(0, -log_odds))
    return probability
