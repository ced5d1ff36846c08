"""How two models compare on the same windows: differences of their scores, and how sure they are.

Two bootstraps: one draws targets again, which says what other assays might give (of the mean over
targets, macro, alone), one draws stretches of the genome again, which says what other sequence
might. Neighbouring windows overlap and share their labels, so single windows are not drawn.
Draws and intervals are SciPy's; what is counted here is the scores of thousands of draws at once,
which tests hold to scikit-learn's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    by_blocks: tuple[float, float]
    """Its 95 % interval when blocks of the genome are drawn again."""


@dataclass(frozen=True)
class MacroDifference(Difference):
    """The same of a mean over targets, of those that have the score."""

    by_targets: tuple[float, float]
    """Its 95 % interval when targets are drawn again."""
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
    """Compare every model with the reference: model -> "macro_" or "micro_" and score ->
    difference, a macro one a MacroDifference.

    `labels` are `(windows, targets)`, `block` the block of each window, `predicted` the
    probabilities `(windows, targets)` of each model, one array a training seed.
    """
    blocks, of_label = np.arange(block.max() + 1), np.repeat(block, labels.shape[1])
    others = [name for name in predicted if name != reference]
    if not others:
        return {}

    def less_reference(counts: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Return the differences in every draw, `(model, score, target, draw)`, and of all targets
        pooled, `(model, score, draw)`."""
        each, pooled = {}, {}
        for name, runs in predicted.items():
            each[name] = _each_target(labels, block, runs, counts)
            as_one = [run.reshape(-1, 1) for run in runs]
            pooled[name] = _each_target(labels.reshape(-1, 1), of_label, as_one, counts)[:, 0]
        return (
            np.stack([each[name] - each[reference] for name in others]),
            np.stack([pooled[name] - pooled[reference] for name in others]),
        )

    def redrawn(drawn: npt.NDArray[np.int64], axis: int) -> Floats:
        """Return macro, then micro differences, `(2, model, score, draw)`, of `(draw, blocks)`."""
        del axis  # the last one, always
        each, pooled = less_reference(_times_drawn(drawn, len(blocks)))
        return np.stack([np.nanmean(each, axis=2), pooled])

    random = np.random.default_rng(seed)
    drawn = bootstrap(
        (blocks,), redrawn, n_resamples=BLOCK_DRAWS, method="percentile", rng=random
    ).confidence_interval
    each, pooled = less_reference(np.ones((1, len(blocks)), dtype=np.float32))
    result: dict[str, dict[str, Difference]] = {name: {} for name in others}
    for number, name in enumerate(others):
        for index, score in enumerate(SCORES):
            apart = each[number, index, :, 0]
            apart = apart[~np.isnan(apart)]
            again = bootstrap(
                (apart,), np.mean, n_resamples=TARGET_DRAWS, method="percentile", rng=random
            ).confidence_interval
            result[name][f"macro_{score}"] = MacroDifference(
                mean=float(apart.mean()),
                by_blocks=_ends(drawn, 0, number, index),
                by_targets=_ends(again),
                better=float(np.mean((apart > 0) + 0.5 * (apart == 0))),
                targets=len(apart),
            )
            result[name][f"micro_{score}"] = Difference(
                mean=float(pooled[number, index, 0]),
                by_blocks=_ends(drawn, 1, number, index),
            )
    return result


def scores_of_draws(
    label: npt.NDArray[np.bool_],
    scored: Probability,
    block: npt.NDArray[np.int64],
    counts: npt.NDArray[np.float32],
) -> Floats:
    """Return ROC AUC and average precision of labels and scores in every draw: `(2, draws)`.

    `label`, `scored` and `block` are of one target's windows, or of all targets' one after the
    other. `counts` `(draws, blocks)` says how often each block was drawn: the weight of its
    windows. NaN where a draw holds no positive or no negative.
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
    result = np.full((2, len(counts)), np.nan)
    step = max(1, _AT_ONCE // max(1, len(threshold)))
    for first in range(0, len(counts), step):
        draws = slice(first, first + step)
        weight = counts[draws][:, of_positive].astype(np.float64)  # (draw, positive)
        positives, other = weight.sum(axis=1), negatives[draws].astype(np.float64)
        false, true = counts[draws] @ as_high, counts[draws] @ right
        beaten = other[:, None] - (false + counts[draws] @ higher) / 2  # a tie is half a win
        precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
        with np.errstate(invalid="ignore"):
            result[0, draws] = (weight * beaten).sum(axis=1) / (positives * other)
            result[1, draws] = (weight * precision).sum(axis=1) / positives
    return result


def _each_target(
    labels: Labels,
    block: npt.NDArray[np.int64],
    runs: Sequence[Probability],
    counts: npt.NDArray[np.float32],
) -> Floats:
    """Return the scores of a model, means over its runs: `(score, target, draw)`; NaN where
    undefined."""
    result = np.zeros((len(SCORES), labels.shape[1], len(counts)))
    for target in range(labels.shape[1]):
        label = labels[:, target] == 1
        for probability in runs:
            result[:, target] += scores_of_draws(label, probability[:, target], block, counts)
    return result / len(runs)


def _ends(interval: Any, *index: int) -> tuple[float, float]:
    """Return both ends of SciPy's interval, at one place of an interval of arrays."""
    return float(interval.low[index]), float(interval.high[index])


def _times_drawn(drawn: npt.NDArray[np.int64], blocks: int) -> npt.NDArray[np.float32]:
    """Return how often each block was drawn, `(draws, blocks)`."""
    rows = drawn.reshape(-1, blocks)
    flat = (np.arange(len(rows))[:, None] * blocks + rows).ravel()
    return np.bincount(flat, minlength=rows.size).reshape(rows.shape).astype(np.float32)
