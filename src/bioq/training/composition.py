"""The composition of a model, fitted to a data set in closed form: ridge regression on counts."""

import torch
from torch import Tensor

from bioq.dataset import Split
from bioq.dataset.batches import Batches
from bioq.fast.kmers import count_kmers
from bioq.models.composition import FEATURES, Composition, features
from bioq.progress import progress

PENALTY = 1e5
"""Ridge penalty of standardised features. docs/experiments.md."""
SPREAD = 0.75
"""Standard deviation of a target's logit over the windows of training. docs/experiments.md."""
_ROWS = 1024
"""Windows at a time."""


def fit_composition(composition: Composition, split: Split) -> None:
    """Fit the weights and the bias of a composition to the windows of a split, as they are stored.

    Ridge regression (Hoerl & Kennard 1970) of the labels on the standardised counts, all targets
    with one penalty. A linear score of a label is no logit: each target's is scaled to SPREAD
    around the log odds of its positive rate. A target without positives keeps the bias alone. The
    split is read once; the sums are kept in double precision.
    """
    batches = Batches(split, torch.device("cpu"), data_in="disk")
    targets, windows = len(composition.bias), len(split)
    sums = torch.zeros(FEATURES + targets, dtype=torch.float64)
    products = torch.zeros((FEATURES, FEATURES + targets), dtype=torch.float64)
    with progress("count 5-mers", windows, "windows") as advance:
        for start in range(0, windows, _ROWS):
            rows = torch.arange(start, min(start + _ROWS, windows))
            codes, labels = batches.read_codes(rows)
            found = features(*count_kmers(codes))
            both = torch.cat([found, labels], dim=1)
            sums += both.sum(dim=0, dtype=torch.float64)
            products += found.t() @ both
            advance(len(rows))
    weight, bias = _solve(sums, products, windows)
    composition.weight.copy_(weight)
    composition.bias.copy_(bias)


def log_odds(positives: Tensor, windows: int) -> Tensor:
    """Return the log odds of each target's positive rate, from its positives among the windows.

    Both `(targets,)`, float64. One positive and one negative are added, so that the odds are
    finite.
    """
    return torch.logit((positives.double() + 1) / (windows + 2))


def _solve(sums: Tensor, products: Tensor, windows: int) -> tuple[Tensor, Tensor]:
    """Return weights `(targets, features)` and bias `(targets,)` from the sums of features and
    labels, and of their products."""
    count = sums[FEATURES:]
    mean = sums / windows
    centred = products - windows * torch.outer(mean[:FEATURES], mean)
    variance = centred[:, :FEATURES].diagonal() / windows
    # A feature that never varies has no weight; rounding leaves it a variance of about 1e-7.
    scale = torch.where(variance > 1e-6, variance.sqrt(), torch.inf)
    standard = centred / scale[:, None]
    gram = standard[:, :FEATURES] / scale
    slope = torch.linalg.solve(
        gram + PENALTY * torch.eye(FEATURES, dtype=torch.float64), standard[:, FEATURES:]
    )
    spread = ((slope * (gram @ slope)).sum(dim=0) / windows).clamp(min=0).sqrt()
    slope *= SPREAD / torch.where(spread > 0, spread, torch.inf)
    weight = (slope / scale[:, None]).t()
    return weight, log_odds(count, windows) - weight @ mean[:FEATURES]
