"""How two models compare on the same windows: differences a target, and how sure they are.

Two bootstraps, both of the mean difference over targets: one draws targets again, which says what
other assays might give, one draws stretches of the genome again, which says what other sequence
might. Neighbouring windows overlap and share their labels, so single windows are not drawn.
Draws and intervals are SciPy's; what is counted here is the scores of thousands of draws at once,
which tests hold to scikit-learn's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

SCORES = ("roc_auc", "average_precision")
TARGET_DRAWS = 9_999
BLOCK_DRAWS = 999
_AT_ONCE = 1 << 24
"""Numbers of a table of draws and positives that are computed at a time."""

Labels = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One score of a model less that of the reference, means over the seeds of each."""

    mean: float
    """Over the targets that have the score."""
    by_targets: tuple[float, float]
    """Its 95 % interval when targets are drawn again."""
    by_blocks: tuple[float, float]
    """Its 95 % interval when blocks of the genome are drawn again."""
    better: float
    """Share of targets where the model is better; a tie counts half."""
    targets: int


def compare(
    labels: Labels,
    block: npt.NDArray[np.int64],
    predicted: Mapping[str, Sequence[Probability]],
    reference: str,
    *,
    seed: int = 0,
) -> dict[str, dict[str, Difference]]:
    """Compare every model with the reference: model -> score -> difference.

    `labels` are `(windows, targets)`, `block` the block of each window, `predicted` the
    probabilities `(windows, targets)` of each model, one array a training seed.
    """
    blocks = np.arange(block.max() + 1)

    def differences(drawn: npt.NDArray[np.int64], axis: int) -> Floats:
        """Return `(model, score, draw)`, the draws `(draw, blocks)`."""
        del axis  # the last one, always
        counts = _times_drawn(drawn, len(blocks))
        means = {name: _mean_over_seeds(labels, block, runs, counts) for name, runs in runs_of}
        apart = [means[name] - means[reference] for name in others]
        means_over_targets: Floats = np.nanmean(np.stack(apart), axis=2)
        return means_over_targets

    runs_of, others = list(predicted.items()), [name for name in predicted if name != reference]
    if not others:
        return {}
    random = np.random.default_rng(seed)
    drawn = bootstrap(
        (blocks,), differences, n_resamples=BLOCK_DRAWS, method="percentile", rng=random
    ).confidence_interval
    once = np.ones((1, len(blocks)), dtype=np.float32)
    observed = {name: _mean_over_seeds(labels, block, runs, once)[..., 0] for name, runs in runs_of}
    found: dict[str, dict[str, Difference]] = {}
    for number, name in enumerate(others):
        found[name] = {}
        for place, score in enumerate(SCORES):
            apart = observed[name][place] - observed[reference][place]
            apart = apart[~np.isnan(apart)]
            again = bootstrap(
                (apart,), np.mean, n_resamples=TARGET_DRAWS, method="percentile", rng=random
            ).confidence_interval
            found[name][score] = Difference(
                mean=float(apart.mean()),
                by_targets=(float(again.low), float(again.high)),
                by_blocks=(float(drawn.low[number, place]), float(drawn.high[number, place])),
                better=float(np.mean((apart > 0) + 0.5 * (apart == 0))),
                targets=len(apart),
            )
    return found


def scores_of_draws(
    label: npt.NDArray[np.bool_],
    scored: Probability,
    block: npt.NDArray[np.int64],
    counts: npt.NDArray[np.float32],
) -> Floats:
    """Return ROC AUC and average precision of one target in every draw: `(2, draws)`.

    `counts` `(draws, blocks)` says how often each block was drawn: the weight of its windows. NaN
    where a draw holds no positive or no negative.
    """
    threshold, of_positive = np.sort(scored[label]), block[label][np.argsort(scored[label])]
    blocks = counts.shape[1]

    def at_least(chosen: npt.NDArray[np.bool_], side: str) -> npt.NDArray[np.float32]:
        """Return how many of each block score at least each positive (side "right"), or more
        (side "left"): `(blocks, positives)`."""
        reached = np.searchsorted(threshold, scored[chosen], side=side)  # type: ignore[call-overload]
        table = np.zeros((len(threshold) + 1, blocks), dtype=np.float32)
        np.add.at(table, (reached, block[chosen]), 1)
        return table[::-1].cumsum(axis=0)[::-1][1:].T

    as_high, higher = at_least(~label, "right"), at_least(~label, "left")
    right = at_least(label, "right")
    negatives = counts @ np.bincount(block[~label], minlength=blocks).astype(np.float32)
    found = np.full((2, len(counts)), np.nan)
    step = max(1, _AT_ONCE // max(1, len(threshold)))
    for first in range(0, len(counts), step):
        draws = slice(first, first + step)
        weight = counts[draws][:, of_positive].astype(np.float64)  # (draw, positive)
        positives, other = weight.sum(axis=1), negatives[draws].astype(np.float64)
        false, true = counts[draws] @ as_high, counts[draws] @ right
        beaten = other[:, None] - (false + counts[draws] @ higher) / 2  # a tie is half a win
        precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
        with np.errstate(invalid="ignore"):
            found[0, draws] = (weight * beaten).sum(axis=1) / (positives * other)
            found[1, draws] = (weight * precision).sum(axis=1) / positives
    return found


def _mean_over_seeds(
    labels: Labels,
    block: npt.NDArray[np.int64],
    runs: Sequence[Probability],
    counts: npt.NDArray[np.float32],
) -> Floats:
    """Return the scores of a model, `(score, target, draw)`; NaN where undefined."""
    found = np.zeros((len(SCORES), labels.shape[1], len(counts)))
    for target in range(labels.shape[1]):
        label = labels[:, target] == 1
        for probability in runs:
            found[:, target] += scores_of_draws(label, probability[:, target], block, counts)
    return found / len(runs)


def _times_drawn(drawn: npt.NDArray[np.int64], blocks: int) -> npt.NDArray[np.float32]:
    """Return how often each block was drawn, `(draws, blocks)`."""
    rows = drawn.reshape(-1, blocks)
    flat = (np.arange(len(rows))[:, None] * blocks + rows).ravel()
    return np.bincount(flat, minlength=rows.size).reshape(rows.shape).astype(np.float32)
