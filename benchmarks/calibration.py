"""Maps from a run's probabilities to calibrated ones, compared on the validation split alone.

    python benchmarks/calibration.py DATA RUN [RUN ...]

Every map is fitted on four of five stretches of the split, which follow one another on the genome,
and scored on the fifth, five times. Prints a Markdown table: the mean over the runs of log loss,
Brier score and expected calibration error (20 bins of equal width), the change of the log loss in
every run, and the largest change of a target's ROC AUC. The test split is not read.
"""

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from bioq.dataset import Split, open_dataset
from bioq.dna.tensors import reverse_complement
from bioq.metrics import brier, log_loss, quick_scores, reliability
from bioq.runs.calibration import fit_lowest
from bioq.runs.trained_model import load

Floats = npt.NDArray[np.float64]
Map = Callable[[Floats], Floats]
"""Logits of both strands `(2, n, targets)` -> probabilities `(n, targets)`."""
FOLDS = 5
NEAR = 1e-6
"""How near to 0 and 1 a step function may come: it would say so of what it has not seen."""


def both_strands(model: nn.Module, split: Split) -> Floats:
    """Return the logits of both strands, `(2, windows, targets)`."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(split), 64):
            windows = torch.from_numpy(split.read(slice(start, start + 64)).windows).float()
            parts.append(torch.stack([model(windows), model(reverse_complement(windows))]))
    return torch.cat(parts, dim=1).double().numpy()


def mean(logits: Floats) -> Floats:
    return expit(logits).mean(axis=0).clip(1e-12, 1 - 1e-12)


def loss(labels: Floats, probability: Floats) -> float:
    kept = probability.clip(1e-12, 1 - 1e-12)
    return -float((labels * np.log(kept) + (1 - labels) * np.log1p(-kept)).mean())


def search(make: Callable[[Floats], Map], start: list[float], z: Floats, y: Floats) -> Map:
    """Return the map of maximum likelihood; `make` turns parameters into one."""
    result = minimize(
        lambda at: 100 * loss(y, make(at)(z)),
        start,
        method="BFGS",
        options={"gtol": 1e-4, "maxiter": 15},
    )
    return make(result.x)


def temperature(z: Floats, y: Floats) -> Map:
    return search(lambda at: lambda z: mean(np.exp(at[0]) * z), [0.0], z, y)


def temperature_shift(z: Floats, y: Floats) -> Map:
    return search(lambda at: lambda z: mean(np.exp(at[0]) * z + at[1]), [0.0, 0.0], z, y)


def each_target(z: Floats, y: Floats) -> Map:
    """Scale and shift a target about its base rate, drawn towards 1 and 0: the logarithm of the
    scale has a standard deviation of 0.1, the shift of 0.3, the best of those tried."""
    rate = (y.sum(axis=0) + 0.5) / (len(y) + 1)
    centre = torch.from_numpy(np.log(rate / (1 - rate)))
    logits, labels = torch.from_numpy(z), torch.from_numpy(y)
    at = torch.zeros(2, y.shape[1], dtype=torch.float64, requires_grad=True)

    def given(logits: Tensor) -> Tensor:
        mapped = at[0].exp() * (logits - centre) + centre + at[1]
        return mapped.sigmoid().mean(dim=0).clamp(1e-12, 1 - 1e-12)

    optimizer = torch.optim.LBFGS([at], max_iter=15, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        p = given(logits)
        total = -(labels * p.log() + (1 - labels) * torch.log1p(-p)).sum()
        total = total + (at[0] ** 2 / 0.1**2 + at[1] ** 2 / 0.3**2).sum() / 2
        total.backward()
        return total

    optimizer.step(closure)
    return lambda z: given(torch.from_numpy(z)).detach().numpy()


def lowest(z: Floats, y: Floats) -> Map:
    least = fit_lowest(y.astype(np.uint8), mean(z))
    return lambda z: least + (1 - least) * mean(z)


def lowest_highest(z: Floats, y: Floats) -> Map:
    def make(at: Floats) -> Map:
        return lambda z: expit(at[0]) + (expit(at[1]) - expit(at[0])) * mean(z)

    return search(make, [-6.0, 4.0], z, y)


def blend(z: Floats, y: Floats) -> Map:
    """Mix with the rate of the target."""
    rate = (y.sum(axis=0) + y.mean()) / (len(y) + 1)
    return search(
        lambda at: lambda z: (1 - expit(at[0])) * mean(z) + expit(at[0]) * rate, [-2.0], z, y
    )


def lowest_temperature(z: Floats, y: Floats) -> Map:
    def make(at: Floats) -> Map:
        return lambda z: expit(at[0]) + (1 - expit(at[0])) * mean(np.exp(at[1]) * z)

    return search(make, [-6.0, 0.0], z, y)


def isotonic(z: Floats, y: Floats) -> Map:
    step = IsotonicRegression(out_of_bounds="clip", y_min=NEAR, y_max=1 - NEAR)
    step.fit(mean(z).ravel(), y.ravel())
    return lambda z: step.predict(mean(z).ravel()).reshape(z.shape[1:])


def isotonic_each(z: Floats, y: Floats) -> Map:
    maps = [isotonic(z[:, :, [t]], y[:, [t]]) for t in range(y.shape[1])]
    return lambda z: np.hstack([one(z[:, :, [t]]) for t, one in enumerate(maps)])


MAPS: dict[str, Callable[[Floats, Floats], Map]] = {
    "none": lambda z, y: mean,
    "temperature": temperature,
    "temperature and shift": temperature_shift,
    "scale and shift a target, shrunken": each_target,
    "lowest probability": lowest,
    "lowest and highest probability": lowest_highest,
    "mixed with the target's rate": blend,
    "lowest probability and temperature": lowest_temperature,
    "isotonic, all targets pooled": isotonic,
    "isotonic, each target": isotonic_each,
}


def targets_auroc(labels: Floats, probability: Floats) -> float:
    return quick_scores(labels.astype(np.uint8), probability)["macro_roc_auc"]


def crossed(fit: Callable[[Floats, Floats], Map], z: Floats, y: Floats) -> tuple[Floats, float]:
    """Return the probabilities of every stretch by the map of the others, and by how much the
    macro ROC AUC within the stretches changed."""
    result = np.empty_like(y)
    changes = []
    for rows in np.array_split(np.arange(len(y)), FOLDS):
        others = np.setdiff1d(np.arange(len(y)), rows)
        result[rows] = fit(z[:, others], y[others])(z[:, rows])
        before, after = (targets_auroc(y[rows], p) for p in (mean(z[:, rows]), result[rows]))
        changes.append(after - before)
    return result, float(np.mean(changes))


def main() -> None:
    data, *runs = sys.argv[1:]
    split = open_dataset(data)["valid"]
    y = split.labels().astype(np.float64)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in MAPS}
    for run in runs:
        z = both_strands(load(run, calibrated=False), split)
        for name, fit in MAPS.items():
            p, change = crossed(fit, z, y)
            labels = y.astype(np.uint8)
            ece = reliability(labels, p).expected_error
            rows[name].append((log_loss(labels, p), brier(labels, p), ece, change))
            print(run, name, rows[name][-1], file=sys.stderr, flush=True)
    none = np.array(rows["none"])[:, 0]
    print("| map | log loss | Brier | calibration error | log loss, each run | macro ROC AUC |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, result in rows.items():
        values = np.array(result)
        each = ", ".join(f"{100 * change:+.1f} %" for change in values[:, 0] / none - 1)
        ll, square, ece, auroc = values.mean(axis=0)
        print(f"| {name} | {ll:.5f} | {square:.5f} | {ece:.5f} | {each} | {auroc:+.5f} |")


if __name__ == "__main__":
    main()
