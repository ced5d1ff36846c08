"""Maps from a run's probabilities to calibrated ones, compared on the validation split.

    python benchmarks/calibration.py DATA RUN [RUN ...] [--keep FOLDER] [--test] [--tiny]

Prints a Markdown table: the cross-validated log loss of every map (as `bioq calibrate` computes it)
less that of the unchanged probabilities, in 1e-5 nats, for each run. To the maps that a run can get
it adds those that were measured and left out: beta (Kull et al. 2017), isotonic regression with a
straight line between the middles of its steps, a map per group of targets (the column `group`, else
the kind of assay in an ENCODE name), and maps per target.

With --test a second table follows: what `bioq calibrate` decides, and scores on the split `test`
before and after the map that it takes. --keep stores probabilities, so that nothing is predicted
twice.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from measuring import Failures, parse, parser, print_heads, print_row
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

import bioq
from bioq.dataset import Dataset, open_dataset
from bioq.evaluation.calibration_choice import compare, select
from bioq.evaluation.calibration_maps import (
    KINDS,
    UNCHANGED,
    Counts,
    Kind,
    count,
)
from bioq.forward import predict_split
from bioq.metrics import brier, log_loss, reliability
from bioq.runs.calibration import TAIL, CalibrationMap

Floats = npt.NDArray[np.float64]
Probability = npt.NDArray[np.float32]
Groups = npt.NDArray[np.intp]
STRENGTH = 300.0
"""Positives for which the common map counts in the maps per target that are not in BioQ."""


@dataclass(frozen=True, eq=False)
class Regression:
    """Weights per target `(targets, features)` of features of the logit."""

    features: Callable[[Floats], Floats]
    weights: Floats

    def of(self, probability: Probability) -> Floats:
        values = self.features(logits_of(probability))
        return expit(np.einsum("ntf,tf->nt", values, self.weights))


@dataclass(frozen=True, eq=False)
class Steps:
    """Logits at the middles of the steps of an isotonic regression, one table per target."""

    tables: Sequence[tuple[Floats, Floats]]

    def of(self, probability: Probability) -> Floats:
        z = logits_of(probability)
        tables = self.tables if len(self.tables) > 1 else [self.tables[0]] * z.shape[1]
        columns = [np.interp(z[:, t], *table) for t, table in enumerate(tables)]
        return expit(np.stack(columns, axis=1))


@dataclass(frozen=True)
class Measured:
    """A map that is only measured; `compare` uses it as it uses a `Kind`."""

    name: str
    fit: Callable[[Counts], object]


@dataclass(frozen=True, eq=False)
class Shifted:
    """A map, and one more shift per target before its last step."""

    common: CalibrationMap
    shift: Floats

    def of(self, probability: Probability) -> Floats:
        z = logits_of(probability)
        sure = expit(self.common.scale * z + self.common.shift + self.shift)
        lowest = self.common.lowest
        return (1 - lowest) * sure + lowest * sure**TAIL


def logits_of(probability: Probability) -> Floats:
    return logit(probability.astype(np.float64).clip(2.0**-150, 1 - 2.0**-25))


def platt(z: Floats) -> Floats:
    return np.stack([z, np.ones_like(z)], axis=-1)


def beta(z: Floats) -> Floats:
    """The logarithms of the probability and of 1 minus it, and 1."""
    return np.stack([-np.logaddexp(0, -z), np.logaddexp(0, z), np.ones_like(z)], axis=-1)


def regress(
    features: Callable[[Floats], Floats], counts: Counts, rows: Sequence[Groups]
) -> tuple[Floats, Floats]:
    """Return the weights of a logistic regression for all targets, and one for every item of
    `rows`, sets of targets, which the first draws towards it as `STRENGTH` positives would."""
    values = features(counts.logit)
    start = np.r_[np.ones(values.shape[1] - 1), 0.0]
    windows, positives = counts.windows.sum(0), counts.positives.sum(0)
    common = newton(values, windows, positives, start, 1e-6 * np.eye(len(start)))
    chance = expit(values @ common)
    information = (values * (windows * chance * (1 - chance))[:, None]).T @ values
    prior = information * STRENGTH / positives.sum()
    parts = [
        newton(values, counts.windows[some].sum(0), counts.positives[some].sum(0), common, prior)
        for some in rows
    ]
    return common, np.array(parts)


def newton(
    values: Floats, windows: Floats, positives: Floats, start: Floats, prior: Floats
) -> Floats:
    """Return the weights of the highest posterior; `prior` is the precision about `start`."""

    def loss(weights: Floats) -> float:
        z = values @ weights
        fit = positives @ np.logaddexp(0, -z) + (windows - positives) @ np.logaddexp(0, z)
        return float(fit + (weights - start) @ prior @ (weights - start) / 2)

    weights = start
    for _ in range(30):
        chance = expit(values @ weights)
        slope = values.T @ (positives - windows * chance) - prior @ (weights - start)
        bend = (values * (windows * chance * (1 - chance))[:, None]).T @ values + prior
        step = np.linalg.solve(bend + 1e-9 * np.eye(len(start)), slope)
        while np.abs(step).max() > 1e-9 and loss(weights + step) > loss(weights):
            step /= 2
        weights = weights + step
    return weights


def steps(windows: Floats, positives: Floats, logits: Floats) -> tuple[Floats, Floats]:
    """Return the middles of the steps and their logits, half a label added to both sides."""
    used = windows > 0
    z, n, k = logits[used], windows[used], positives[used]
    level = IsotonicRegression().fit(z, k / n, sample_weight=n).predict(z)
    step = np.unique(level, return_inverse=True)[1]
    n_of, k_of = np.bincount(step, n), np.bincount(step, k)
    middles = np.bincount(step, n * z) / n_of
    return middles, logit(np.maximum.accumulate((k_of + 0.5) / (n_of + 1)))


def isotonic_targets(counts: Counts) -> Steps:
    """Per target, mixed with that of all targets as `STRENGTH` positives would."""
    z = counts.logit
    common = np.interp(z, *steps(counts.windows.sum(0), counts.positives.sum(0), z))
    tables = []
    for windows, positives in zip(counts.windows, counts.positives, strict=True):
        share = positives.sum() / (positives.sum() + STRENGTH)
        mixed = share * np.interp(z, *steps(windows, positives, z)) + (1 - share) * common
        used = counts.windows.sum(0) > 0
        tables.append((z[used], np.maximum.accumulate(mixed[used])))
    return Steps(tables)


def shift_targets(common: CalibrationMap, counts: Counts, strength: float) -> Shifted:
    """Return a map with one more shift d per target, shrunken towards 0.

    exp(d), the factor by which the rate of a rare target changes, has the prior Gamma(strength,
    strength), of mean 1. Where `common` expects e positives and k are found, exp(d) is then close
    to (k + strength) / (e + strength). d is where the slope of the posterior is zero, found by
    bisection, within 6 of 0.
    """
    logit = common.scale * counts.logit + common.shift
    positives, negatives = counts.positives, counts.windows - counts.positives
    low = np.full(len(positives), -6.0)
    high = -low
    for _ in range(40):
        middle = (low + high) / 2
        sure = 1 / (1 + np.exp(-(logit + middle[:, None])))
        # The part of the probability that the shift changes, and its share in it:
        rises = (1 - common.lowest) * sure + common.lowest * TAIL * sure**TAIL
        mapped = (1 - common.lowest) * sure + common.lowest * sure**TAIL
        slope = (positives * (1 - sure) * rises / mapped).sum(axis=1)
        slope -= (negatives * (1 - sure) * rises / (1 - mapped)).sum(axis=1)
        slope += strength * (1 - np.exp(middle))
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    return Shifted(common, low)


def shift_groups(counts: Counts, groups: Groups) -> Shifted:
    """Return the unchanged map with one shift per group."""
    rows = [np.flatnonzero(groups == number) for number in range(int(groups.max()) + 1)]
    pooled = replace(
        counts,
        windows=np.stack([counts.windows[some].sum(0) for some in rows]),
        positives=np.stack([counts.positives[some].sum(0) for some in rows]),
    )
    shifted = shift_targets(UNCHANGED.fit(counts), pooled, STRENGTH)
    return replace(shifted, shift=shifted.shift[groups])


def candidates(groups: Groups, targets: int) -> list[Kind | Measured]:
    """Return every map that is measured."""
    everyone = [np.arange(targets)]
    of_groups = [np.flatnonzero(groups == number) for number in range(int(groups.max()) + 1)]
    each = [np.array([target]) for target in range(targets)]

    def regression(name: str, features: Callable[[Floats], Floats], kind: str) -> Measured:
        def fit(counts: Counts) -> Regression:
            rows = {"all": everyone, "group": of_groups, "target": each}[kind]
            common, parts = regress(features, counts, rows)
            if kind == "all":
                parts = np.tile(common, (targets, 1))
            if kind == "group":
                parts = parts[groups]
            return Regression(features, parts)

        return Measured(name if kind == "all" else f"{name} per {kind} ({STRENGTH:g})", fit)

    def isotonic(counts: Counts) -> Steps:
        return Steps([steps(counts.windows.sum(0), counts.positives.sum(0), counts.logit)])

    def shift(kind: Kind, strength: float) -> Measured:
        name = f"shift per target ({strength:g})"
        return Measured(
            name if kind is UNCHANGED else f"{kind.name}, {name}",
            lambda counts: shift_targets(kind.fit(counts), counts, strength),
        )

    found: list[Kind | Measured] = [*KINDS, regression("beta", beta, "all")]
    found.append(Measured("isotonic", isotonic))
    if len(of_groups) > 1:
        found.append(Measured("shift per group (300)", lambda c: shift_groups(c, groups)))
        found += [regression("Platt", platt, "group"), regression("beta", beta, "group")]
    if targets > 1:
        found += [shift(UNCHANGED, strength) for strength in (3000.0, 1000.0, 300.0, 100.0)]
        found += [shift(kind, STRENGTH) for kind in KINDS]
        found += [regression("Platt", platt, "target"), regression("beta", beta, "target")]
        found.append(Measured(f"isotonic per target ({STRENGTH:g})", isotonic_targets))
    return found


def groups_of(table: pd.DataFrame) -> Groups:
    if "group" in table:
        names = table["group"].astype(str)
    else:
        kind = re.compile("Dnase|Faire|Histone|Tfbs")
        names = [found.group() if (found := kind.search(name)) else "" for name in table["name"]]
    return np.unique(names, return_inverse=True)[1]


def predicted(run: Path, data: Dataset, split: str, keep: Path | None) -> Probability:
    file = None if keep is None else keep / f"{run.name}.{split}.npy"
    if file is not None and file.exists():
        return np.load(file)
    probability = predict_split(bioq.load(run, calibrated=False), data[split])
    if file is not None:
        np.save(file, probability)
    return probability


def test_row(run: Path, data: Dataset, keep: Path | None) -> list[str]:
    """Return what is decided on valid, and the scores on test before and after the map that the
    rule takes, saved or not; then the log loss of the shift per target."""
    valid = data["valid"]
    selection = select(valid.labels(), predicted(run, data, "valid", keep), valid.blocks())
    labels, plain = data["test"].labels(), predicted(run, data, "test", keep)
    best = selection.best
    counts = count(valid.labels(), predicted(run, data, "valid", keep))
    kinds = {kind.name: kind for kind in KINDS}
    cells = [run.name, "none" if best is None else best.name]
    cells.append("" if best is None else f"{1e5 * best.low:.0f} to {1e5 * best.high:.0f}")
    cells.append("no" if selection.map is None else "yes")
    after = plain if best is None else kinds[best.name].fit(counts)(plain)
    for score in (log_loss, brier, lambda y, p: reliability(y, p).expected_error):
        cells.append(f"{score(labels, plain):.5f} / {score(labels, after):.5f}")
    shifted = shift_targets(UNCHANGED.fit(counts), counts, 3000.0)
    cells.append(f"{log_loss(labels, shifted.of(plain).astype(np.float32)):.5f}")
    return cells


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data")
    arguments.add_argument("runs", nargs="+", type=Path)
    arguments.add_argument("--keep", type=Path)
    arguments.add_argument("--test", action="store_true")
    arguments.add_argument("--maps", type=int, default=1 << 30, help="the first of them")
    options = parse(arguments, tiny={"maps": 8, "test": True})
    data = open_dataset(options.data)
    valid, failures = data["valid"], Failures()
    maps = candidates(groups_of(data.targets), valid.targets)[: options.maps]
    found = {}
    for run in options.runs:
        with failures.of(str(run)):
            probability = predicted(run, data, "valid", options.keep)
            found[run] = compare(valid.labels(), probability, valid.blocks(), maps)
    print_heads("map", *(run.name for run in found))
    unchanged = [f"{comparison.trials[0].log_loss:.5f}" for comparison in found.values()]
    print_row("unchanged: log loss", *unchanged)
    for number, candidate in enumerate(maps, start=1):
        cells = []
        for comparison in found.values():
            trial, plain = comparison.trials[number], comparison.trials[0]
            mark = " ᵇ" if trial.brier > plain.brier + 5e-6 else ""
            cells.append(f"{-1e5 * trial.gain:+.0f} ± {1e5 * (trial.gain - trial.low):.0f}{mark}")
        print_row(candidate.name, *cells)
    if options.test:
        print_test(list(found), data, options.keep, failures)
    failures.end()


def print_test(runs: list[Path], data: Dataset, keep: Path | None, failures: Failures) -> None:
    """Print the second table, and the share of positives of every split."""
    print()
    heads = ("run", "map", "gain on valid", "saved", "log loss on test", "Brier", "error")
    print_heads(*heads, "shifted")
    for run in runs:
        with failures.of(f"{run}, test"):
            print_row(*test_row(run, data, keep))
    for split in data:
        rate = data[split].positives().sum() / (len(data[split]) * data[split].targets)
        print(f"\n{split}: {rate:.2%} positive")


if __name__ == "__main__":
    main()
