"""Logistic regression with a ridge penalty, for many features and a path of penalties.

The weights minimise the mean log loss plus penalty / 2 times their sum of squares; the intercept
has no penalty. This is scikit-learn's `LogisticRegression(C=1 / (alleles * penalty))`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PENALTIES = tuple(float(10**power) for power in np.arange(1, -4.5, -0.5))
"""Penalties that are tried, the strongest first: from weights that hardly differ from 0 to weights
that hardly have a penalty."""
_FLATTEST = 1e-9
"""Directions of the features with less variance than this share of the largest are rounding."""
_GRADIENT = 1e-8
_MOST_STEPS, _MOST_PRODUCTS = 100, 500


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

    The features are first turned to their principal axes, where products with the matrix of second
    derivatives are cheap to precondition: Newton's method with conjugate gradients then takes a few
    products per step. Both labels must be present.
    """
    axes, turned = _principal_axes(standardised)
    variance = (turned**2).mean(axis=0)
    rate = labels.mean()
    state = np.append(np.zeros(turned.shape[1]), np.log(rate / (1 - rate)))
    fits = []
    for penalty in PENALTIES:
        state = _minimise(turned, labels.astype(np.float64), variance, penalty, state)
        fits.append(Fit(penalty, axes @ state[:-1], float(state[-1])))
    return fits


def _principal_axes(features: Floats) -> tuple[Floats, Floats]:
    """Return the principal axes `(features, axes)`, and the features along them."""
    alleles, count = features.shape
    if count <= alleles:
        sizes, axes = np.linalg.eigh(features.T @ features)
        kept = sizes > _FLATTEST * max(sizes[-1], 1e-300)
        axes = axes[:, kept]
    else:
        sizes, rows = np.linalg.eigh(features @ features.T)
        kept = sizes > _FLATTEST * max(sizes[-1], 1e-300)
        axes = features.T @ (rows[:, kept] / np.sqrt(sizes[kept]))
    return axes, features @ axes


def _minimise(
    features: Floats, labels: Floats, variance: Floats, penalty: float, state: Floats
) -> Floats:
    """Return the weights and the intercept with the smallest penalised loss."""
    ridge = np.append(np.full(features.shape[1], penalty), 0.0)
    loss, gradient, curvature = _loss(features, labels, ridge, state)
    for _ in range(_MOST_STEPS):
        if np.abs(gradient).max() <= _GRADIENT:
            break
        scale = np.append(variance, 1.0) * curvature.mean() + ridge
        step = _solve(features, curvature, ridge, scale, gradient)
        length, promised = 1.0, gradient @ step
        while length > 1e-6:
            moved = state - length * step
            found, new_gradient, new_curvature = _loss(features, labels, ridge, moved)
            if found <= loss - 1e-4 * length * promised:
                break
            length /= 2
        else:  # no lower loss along the step: the loss is at its rounding
            break
        state, loss, gradient, curvature = moved, found, new_gradient, new_curvature
    return state


def _loss(
    features: Floats, labels: Floats, ridge: Floats, state: Floats
) -> tuple[float, Floats, Floats]:
    """Return the penalised loss, its gradient, and p (1 - p) of each allele."""
    log_odds = features @ state[:-1] + state[-1]
    loss = np.logaddexp(0, log_odds).mean() - (labels * log_odds).mean()
    p = probability_of(log_odds)
    error = (p - labels) / len(labels)
    gradient = np.append(features.T @ error, error.sum()) + ridge * state
    return float(loss + ridge @ state**2 / 2), gradient, p * (1 - p)


def _solve(
    features: Floats, curvature: Floats, ridge: Floats, scale: Floats, gradient: Floats
) -> Floats:
    """Return the Newton step, by conjugate gradients with the preconditioner 1 / scale."""
    step, left = np.zeros_like(gradient), gradient.copy()
    ready = left / scale
    direction, size = ready, left @ ready
    goal = size * 1e-6
    for _ in range(_MOST_PRODUCTS):
        weighted = curvature * (features @ direction[:-1] + direction[-1]) / len(features)
        product = np.append(features.T @ weighted, weighted.sum()) + ridge * direction
        length = size / (direction @ product)
        step = step + length * direction
        left = left - length * product
        ready = left / scale
        size, before = left @ ready, size
        if size <= goal:
            break
        direction = ready + size / before * direction
    return step


def probability_of(log_odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-log_odds)), without overflow."""
    probability: Floats = np.exp(-np.logaddexp(0, -log_odds))
    return probability
