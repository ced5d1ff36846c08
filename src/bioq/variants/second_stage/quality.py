"""How well scores separate the positives from the negatives, beside plain scores; and by which
properties the two sets differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bioq.metrics import (
    BlockEffects,
    average_precision,
    block_effects,
    joined_blocks,
    operating_points,
    roc_auc,
)
from bioq.variants.columns import RANK_SCORE, SCORE_PHRED
from bioq.variants.second_stage.cross_fit import Folds, Labels, Numbers
from bioq.variants.second_stage.logistic import Floats
from bioq.variants.second_stage.sets import DISTANCE, FREQUENCY, GC, INDEL, LARGEST

CONSTANT = "a constant"
_UNKNOWN = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Quality:
    """ROC AUC and average precision of a score, with 95 % intervals over blocks of the genome; NaN
    where they are not defined."""

    score: str
    part: str
    """The contig, or "all"."""
    positives: int
    negatives: int
    roc_auc: float
    roc_auc_interval: tuple[float, float]
    average_precision: float
    average_precision_interval: tuple[float, float]
    gain: float = float("nan")
    """The average precision of rank_score minus this one."""
    gain_interval: tuple[float, float] = _UNKNOWN


@dataclass(frozen=True)
class _Measured:
    quality: Quality
    effects: BlockEffects


def measure(name: str, part: str, labels: Labels, values: Floats, blocks: Numbers) -> Quality:
    """Return the quality of a score, whose larger values are of positives."""
    return _measure(name, part, labels, values, blocks).quality


def _measure(name: str, part: str, labels: Labels, values: Floats, blocks: Numbers) -> _Measured:
    points = operating_points(labels, values)
    area, precision = roc_auc(points), average_precision(points)
    joined = joined_blocks(np.unique(blocks, return_inverse=True)[1])
    effects = block_effects(points, labels, values, joined)
    positives = int(labels.sum())
    quality = Quality(
        score=name,
        part=part,
        positives=positives,
        negatives=len(labels) - positives,
        roc_auc=area,
        roc_auc_interval=effects.interval_of_roc_auc(area),
        average_precision=precision,
        average_precision_interval=effects.interval_of_average_precision(precision),
    )
    return _Measured(quality, effects)


def qualities(
    rank_score: Floats,
    properties: Mapping[str, Floats],
    tracks: Mapping[str, Floats],
    labels: Labels,
    folds: Folds,
) -> list[Quality]:
    """Return the quality of rank_score, then of each plain score beside it, on the same alleles.

    Plain scores are not fitted, except for the direction of GC and of a track (are positives higher
    or lower?), which is that of all alleles: it favours the plain score. A direction of each fold
    would join scores of two signs, whose ROC AUC is that of the rates of the folds.
    """
    ours = _measure(RANK_SCORE, "all", labels, rank_score, folds.blocks)
    found = [ours.quality]
    for name, values in _plain_scores(properties, tracks, labels):
        plain = _measure(name, "all", labels, values, folds.blocks)
        gain = ours.quality.average_precision - plain.quality.average_precision
        interval = ours.effects.interval_of_gain(gain, plain.effects)
        one = replace(plain.quality, gain=gain, gain_interval=interval)
        if (values == values[0]).all():
            one = replace(one, roc_auc_interval=_UNKNOWN, average_precision_interval=_UNKNOWN)
        found.append(one)
    return found


def by_contig(
    rank_score: Floats, labels: Labels, contig: Numbers, names: tuple[str, ...], blocks: Numbers
) -> list[Quality]:
    """Return the quality of rank_score on each contig with alleles."""
    found = []
    for number in np.unique(contig).tolist():
        rows = contig == number
        found.append(
            measure(RANK_SCORE, names[number], labels[rows], rank_score[rows], blocks[rows])
        )
    return found


def _plain_scores(
    properties: Mapping[str, Floats], tracks: Mapping[str, Floats], labels: Labels
) -> Iterator[tuple[str, Floats]]:
    """Yield (name, values without NaN) of every plain score that is known."""
    for name in (LARGEST, SCORE_PHRED):
        if np.isfinite(properties[name]).any():
            yield name, np.nan_to_num(properties[name], nan=0.0)
    distance = properties[DISTANCE]
    if np.isfinite(distance).any():
        yield "near a TSS", -np.nan_to_num(distance, nan=np.nanmax(distance))
    directed = {**{f"track {name}": values for name, values in tracks.items()}, GC: properties[GC]}
    for name, values in directed.items():
        if np.isfinite(values).any():
            yield name, _directed(np.nan_to_num(values, nan=np.nanmean(values)), labels)
    yield CONSTANT, np.zeros(len(labels))


def _directed(values: Floats, labels: Labels) -> Floats:
    """Return values with the sign by which those of the positives are higher."""
    return values if roc_auc(operating_points(labels, values)) >= 0.5 else -values


def differences(properties: Mapping[str, Floats], labels: Labels, folds: Folds) -> Iterator[str]:
    """Yield a sentence for each property by which the sets differ more than by chance (the 95 %
    interval of its ROC AUC does not include 0.5), and for each that could not be compared, because
    the alleles are on too few blocks of the genome.
    """
    for name in (FREQUENCY, DISTANCE, GC, INDEL):
        known = np.isfinite(properties[name])
        values, label = properties[name][known], labels[known]
        if label.all() or not label.any() or (values == values[0]).all():
            continue
        quality = measure(name, "all", label, values, folds.blocks[known])
        low, high = quality.roc_auc_interval
        if np.isnan(low):
            yield f"{name}: the sets were not compared; they are on too few stretches of the genome"
        elif not low <= 0.5 <= high:
            yield _difference(name, values, label, quality)


def _difference(
    name: str, values: npt.NDArray[np.float64], labels: Labels, quality: Quality
) -> str:
    low, high = quality.roc_auc_interval
    if name == INDEL:
        numbers = [f"{values[rows].mean():.1%}" for rows in (labels, ~labels)]
        what = f"{numbers[0]} of the positives and {numbers[1]} of the negatives are indels"
    else:
        medians = [f"{np.median(values[rows]):.3g}" for rows in (labels, ~labels)]
        what = f"{name} has the median {medians[0]} in the positives, {medians[1]} in the negatives"
    return (
        f"{what}, more than chance: the ROC AUC of this alone is {quality.roc_auc:.3f} "
        f"({low:.3f} to {high:.3f}), and 0.5 without a difference. The fit can learn it; choose "
        "negatives that match"
    )
