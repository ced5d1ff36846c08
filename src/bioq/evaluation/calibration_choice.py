"""Which calibration map a run gets, if any: cross-validated over blocks of the genome.

The blocks (`dataset.blocks`) are cut, in the order of the genome, into five stretches. Every map is
fitted on four of them and scored on the fifth, five times: stretches and not single blocks, because
a test chromosome is no neighbour of the blocks that a map is fitted on either.

A map whose Brier score is worse than that of the unchanged probabilities is left out. Of the others
the simplest is taken whose log loss is within one standard error of the best (Breiman et al. 1984),
the standard error being that of the difference. It is saved only if the 95 % interval of its gain
over the unchanged probabilities, over blocks, is above 0, and if it gains in each of the five
stretches: by chance that happens once in 32 times, also where neighbouring blocks are alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import metrics
from bioq.evaluation.calibration_maps import KINDS, UNCHANGED, Counts, Kind, count
from bioq.evaluation.summary import Labels, Probability
from bioq.progress import progress
from bioq.runs.calibration import CalibrationMap

Blocks = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STRETCHES = 5
"""Each is scored by maps that were fitted on the others."""
_MOST_LABELS = 1 << 26
"""Of more labels every n-th window is used: 0.6 GB, and minutes."""
_CHUNK_LABELS = 1 << 20
_CLIP = 1e-7  # as in `metrics.log_loss`
_BRIER_ROUNDING = 5e-6
"""A Brier score is worse if it is higher in the five digits that are shown."""


@dataclass(frozen=True)
class Trial:
    """The cross-validated scores of a map."""

    name: str
    log_loss: float
    brier: float
    gain: float
    """How much lower its log loss is than that of the unchanged probabilities."""
    low: float
    """Lower end of the 95 % interval of `gain`, over blocks."""
    high: float
    stretches: int
    """Stretches, of `STRETCHES`, in which it gains."""

    @property
    def helps(self) -> bool:
        """Whether the gain is more than chance."""
        return self.low > 0 and self.stretches == STRETCHES


@dataclass(frozen=True)
class Comparison:
    """The cross-validated scores of maps."""

    trials: tuple[Trial, ...]
    """The unchanged probabilities, then every map."""
    taken: int | None
    """Index in `trials` of the map that the rule takes; None if no map has a Brier score that is
    not worse."""
    blocks: int


@dataclass(frozen=True)
class Selection:
    """What cross-validation found for a run."""

    comparison: Comparison
    map: CalibrationMap | None
    """The map that the rule takes, fitted on everything; None if it gains nothing."""
    before: dict[str, float]
    """Log loss, Brier score and calibration error without a map."""
    after: dict[str, float]
    """The same with this map, cross-validated; {} without it."""
    constant: dict[str, float]
    """The same of each target's share of positives, given for every window."""

    @property
    def best(self) -> Trial | None:
        """The map that the rule takes; None if every map has a worse Brier score."""
        taken = self.comparison.taken
        return None if taken is None else self.comparison.trials[taken]


def select(labels: Labels, probability: Probability, blocks: Blocks) -> Selection:
    """Choose the map of probabilities `(windows, targets)`; `blocks` is `(windows,)`.

    There are at least `metrics.MIN_BLOCKS` blocks.
    """
    sample = _Sample.of(labels, probability, blocks)
    comparison = _compare(sample, KINDS)
    before = _scores(sample.labels, sample.probability)
    reached = metrics.constant_scores(sample.labels.sum(axis=0), len(sample.labels))
    constant = {"log_loss": reached.log_loss, "brier": reached.brier, "calibration_error": 0.0}
    taken = comparison.taken
    if taken is None or not comparison.trials[taken].helps:
        return Selection(comparison, None, before, {}, constant)
    kind = KINDS[taken - 1]
    after = _scores(sample.labels, sample.crossed(sample.fit(kind)))
    return Selection(comparison, kind.fit(sample.everything), before, after, constant)


def compare(
    labels: Labels, probability: Probability, blocks: Blocks, candidates: Sequence[Kind]
) -> Comparison:
    """Cross-validate maps, the simplest first; arguments as those of `select`."""
    return _compare(_Sample.of(labels, probability, blocks), candidates)


@dataclass(frozen=True, eq=False)
class _Sample:
    """The labels on which maps are compared."""

    labels: Labels
    probability: Probability
    blocks: Blocks
    """Whole numbers from 0, none left out."""
    fold: Blocks
    counts: Sequence[Counts]
    """Of every fold."""

    @classmethod
    def of(cls, labels: Labels, probability: Probability, blocks: Blocks) -> "_Sample":
        every = -(-labels.size // _MOST_LABELS)
        labels, probability, blocks = labels[::every], probability[::every], blocks[::every]
        blocks = np.unique(blocks, return_inverse=True)[1].astype(np.int64)
        fold = _stretch_of(blocks)
        counts = [
            _count(labels, probability, np.flatnonzero(fold == number))
            for number in range(STRETCHES)
        ]
        return cls(labels, probability, blocks, fold, counts)

    @property
    def everything(self) -> Counts:
        return sum(self.counts[1:], self.counts[0])

    @property
    def sizes(self) -> Floats:
        """Labels of every block."""
        return np.asarray(np.bincount(self.blocks) * self.labels.shape[1], dtype=np.float64)

    def fit(self, candidate: Kind) -> list[CalibrationMap]:
        """Return the map of every fold, fitted on the other folds."""
        return [candidate.fit(self.everything - counts) for counts in self.counts]

    def rows(self) -> Iterator[tuple[int, Blocks]]:
        """Yield (fold, some of its rows) until every row was yielded."""
        for number in range(STRETCHES):
            rows = np.flatnonzero(self.fold == number)
            for some in _chunks(rows, self.labels.shape[1]):
                yield number, some

    def losses(self, maps: Sequence[CalibrationMap]) -> Floats:
        """Return the sums of log loss and Brier score of every block, `(2, blocks)`."""
        total = np.zeros((2, int(self.blocks.max()) + 1))
        for number, rows in self.rows():
            mapped = maps[number].of(self.probability[rows])
            given = np.where(self.labels[rows].astype(bool), mapped, 1 - mapped)
            log_loss = -np.log(given.clip(_CLIP, 1 - _CLIP)).sum(axis=1)
            for score, values in enumerate((log_loss, ((1 - given) ** 2).sum(axis=1))):
                total[score] += np.bincount(self.blocks[rows], values, minlength=total.shape[1])
        return total

    def crossed(self, maps: Sequence[CalibrationMap]) -> Probability:
        """Return the probabilities of every fold by the map that was fitted without it."""
        result = np.empty_like(self.probability)
        for number, rows in self.rows():
            result[rows] = maps[number].of(self.probability[rows])
        return result


def _compare(sample: _Sample, candidates: Sequence[Kind]) -> Comparison:
    losses = [sample.losses(sample.fit(UNCHANGED))]
    with progress("calibrate", len(candidates), "maps") as advance:
        for candidate in candidates:
            losses.append(sample.losses(sample.fit(candidate)))
            advance(1)
    names = [UNCHANGED.name, *(candidate.name for candidate in candidates)]
    trials = tuple(
        _trial(name, loss, losses[0], sample.sizes)
        for name, loss in zip(names, losses, strict=True)
    )
    taken = _simplest_of_the_best(trials, [loss[0] for loss in losses], sample.sizes)
    return Comparison(trials, taken, len(sample.sizes))


def jackknife(values: Floats, sizes: Floats) -> tuple[float, float]:
    """Return sum(values) / sum(sizes) and its standard error, over blocks `(blocks,)`.

    The delete-one jackknife of a ratio (Efron & Tibshirani 1993, chapter 11).
    """
    without = (values.sum() - values) / (sizes.sum() - sizes)
    n = len(values)
    error = float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
    return float(values.sum() / sizes.sum()), error


def _stretch_of(blocks: Blocks) -> Blocks:
    """Return the stretch of each block, from 0; `blocks` are numbered from 0."""
    return blocks * STRETCHES // (int(blocks.max()) + 1)


def _trial(name: str, loss: Floats, unchanged: Floats, sizes: Floats) -> Trial:
    """`loss` and `unchanged` are `(2, blocks)`: sums of the log loss and of the Brier score."""
    gains = unchanged[0] - loss[0]
    gain, error = jackknife(gains, sizes)
    per_stretch = np.bincount(_stretch_of(np.arange(len(sizes))), gains)
    half = metrics.t_quantile(len(sizes) - 1) * error
    log_loss, brier = (float(total) for total in loss.sum(axis=1) / sizes.sum())
    better = int((per_stretch > 0).sum())
    return Trial(name, log_loss, brier, gain, gain - half, gain + half, better)


def _simplest_of_the_best(
    trials: Sequence[Trial], losses: Sequence[Floats], sizes: Floats
) -> int | None:
    """Return the index of the map that the rule takes; `trials` are the simplest first."""
    most = trials[0].brier + _BRIER_ROUNDING
    able = [i for i, trial in enumerate(trials) if i and trial.brier <= most]
    if not able:
        return None
    best = min(able, key=lambda i: trials[i].log_loss)
    for i in able:
        worse, error = jackknife(losses[i] - losses[best], sizes)
        if worse <= error:
            return i
    return best


def _count(labels: Labels, probability: Probability, rows: Blocks) -> Counts:
    parts = [count(labels[part], probability[part]) for part in _chunks(rows, labels.shape[1])]
    return sum(parts[1:], parts[0])


def _chunks(rows: Blocks, targets: int) -> list[Blocks]:
    return np.array_split(rows, -(-len(rows) * targets // _CHUNK_LABELS))


def _scores(labels: Labels, probability: Probability) -> dict[str, float]:
    return {
        "log_loss": metrics.log_loss(labels, probability),
        "brier": metrics.brier(labels, probability),
        "calibration_error": metrics.reliability(labels, probability).expected_error,
    }
