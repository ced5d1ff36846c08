"""Fits the composition term of a model to a data set in closed form, by ridge regression on counts
of 5-mers."""

import torch
from torch import Tensor

from bioq.dataset import Split
from bioq.dataset.batches import Batches
from bioq.fast.kmers import count_kmers
from bioq.models.composition import FEATURES, Composition, features
from bioq.progress import progress

PENALTY = 1e5
"""Ridge penalty of standardised features. docs/log/experiments.md."""
PENALTY_WINDOWS = 11_719
"""Training windows on which it was found. On fewer windows it is smaller in proportion, as the
features' sums of squares are. docs/log/experiments.md."""
SPREAD = 0.75
"""Standard deviation of a target's logit over the training windows. docs/log/experiments.md."""
_ROWS = 1024
"""Windows per read."""


def fit_composition(composition: Composition, split: Split) -> None:
    """Fit the weights and the bias of a composition term to the windows of a split, on their stored
    strand.

    Ridge regression (Hoerl & Kennard 1970) of the labels on the standardised counts, with the same
    penalty for all targets. A linear prediction of a label is not a logit: the prediction of each
    target is scaled to a standard deviation of SPREAD around the log odds of the target's positive
    rate. A target without positives has zero weights. The split is read once; sums are in double
    precision.
    """
    batches = Batches(split, torch.device("cpu"), data_in="disk")
    targets, windows = len(composition.bias), len(split)
    sums = torch.zeros(FEATURES + targets, dtype=torch.float64)
    products = torch.zeros((FEATURES, FEATURES + targets), dtype=torch.float64)
    with progress("count 5-mers", windows, "windows") as advance:
        for start in range(0, windows, _ROWS):
            rows = torch.arange(start, min(start + _ROWS, windows))
            codes, labels = batches.read_codes(rows)
            counts = features(*count_kmers(codes))
            columns = torch.cat([counts, labels], dim=1)
            sums += columns.sum(dim=0, dtype=torch.float64)
            products += counts.t() @ columns
            advance(len(rows))
    weight, bias = _solve(sums, products, windows)
    composition.weight.copy_(weight)
    composition.bias.copy_(bias)


def penalty_of(windows: int) -> float:
    """Return the ridge penalty for a number of training windows."""
    return PENALTY * min(windows / PENALTY_WINDOWS, 1)


def log_odds(positives: Tensor, windows: int) -> Tensor:
    """Return the log odds of each target's positive rate, float64 `(targets,)`.

    `positives` `(targets,)` counts the positive windows. One positive and one negative window are
    added, so that the odds are finite.
    """
    return torch.logit((positives.double() + 1) / (windows + 2))


def _solve(sums: Tensor, products: Tensor, windows: int) -> tuple[Tensor, Tensor]:
    """Return weights `(targets, features)` and bias `(targets,)` from the sums of features and
    labels, and the sums of their products."""
    count = sums[FEATURES:]
    mean = sums / windows
    centred = products - windows * torch.outer(mean[:FEATURES], mean)
    variance = centred[:, :FEATURES].diagonal() / windows
    # A constant feature has no weight; rounding makes its variance about 1e-7.
    scale = torch.where(variance > 1e-6, variance.sqrt(), torch.inf)
    standard = centred / scale[:, None]
    gram = standard[:, :FEATURES] / scale
    slope = torch.linalg.solve(
        gram + penalty_of(windows) * torch.eye(FEATURES, dtype=torch.float64),
        standard[:, FEATURES:],
    )
    spread = ((slope * (gram @ slope)).sum(dim=0) / windows).clamp(min=0).sqrt()
    slope *= SPREAD / torch.where(spread > 0, spread, torch.inf)
    weight = (slope / scale[:, None]).t()
    return weight, log_odds(count, windows) - weight @ mean[:FEATURES]
