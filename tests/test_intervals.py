"""`bioq.metrics.intervals` beside scikit-learn, SciPy, a bootstrap and simulated genomes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score

from bioq import metrics
from bioq.metrics import intervals
from bioq.metrics.intervals import MIN_BLOCKS, MOST_BLOCKS, BlockEffects

Array = npt.NDArray[Any]
SCORES: list[Callable[..., float]] = [roc_auc_score, average_precision_score]


def genome(
    generator: np.random.Generator, *, blocks: int, rows: int = 250, rate: float = 0.02
) -> tuple[Array, Array, Array]:
    """Labels, probabilities and blocks: positives cluster, and scores of a block move together."""
    rates = rate * generator.gamma(2, 0.5, (blocks, 1))
    labels = generator.random((blocks, rows)) < rates
    logits = 1.5 * labels + generator.normal(size=(blocks, rows))
    logits += 0.4 * generator.normal(size=(blocks, 1)) - 3
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return labels.ravel(), probability.ravel(), np.repeat(np.arange(blocks), rows)


def effects_of(labels: Array, scores: Array, blocks: Array, **options: Any) -> BlockEffects:
    points = metrics.operating_points(labels, scores, **options)
    return metrics.block_effects(points, labels, scores, blocks, **options)


def by_weights(labels: Array, scores: Array, blocks: Array) -> tuple[Array, Array]:
    """The derivative of scikit-learn's scores by the weight of each block, `(blocks,)`."""
    found = []
    for score in SCORES:
        of_blocks = []
        for block in range(blocks.max() + 1):
            step = 1e-4 * (blocks == block)
            up, down = (
                score(labels, scores, sample_weight=1 + sign * step) for sign in (1.0, -1.0)
            )
            of_blocks.append((up - down) / 2e-4)
        found.append(np.array(of_blocks))
    return found[0], found[1]


@pytest.mark.parametrize("ties", [None, 1, 0])
def test_effects_are_the_derivatives_by_the_weights_of_the_blocks(ties: int | None) -> None:
    labels, scores, blocks = genome(np.random.default_rng(0), blocks=8)
    scores = scores if ties is None else np.round(scores, ties)
    result = effects_of(labels, scores, blocks)
    for computed, expected in zip(
        (result.roc_auc, result.average_precision),
        by_weights(labels, scores, blocks),
        strict=True,
    ):
        np.testing.assert_allclose(computed, expected, atol=2e-3 * np.abs(expected).max() + 1e-7)
    positives = np.bincount(blocks[labels], minlength=8)
    np.testing.assert_allclose(result.share, positives / positives.sum())


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_any_finite_scores_in_any_order_of_the_blocks_are_accepted(kind: Any) -> None:
    generator = np.random.default_rng(1)
    labels, _, blocks = genome(generator, blocks=8, rate=0.3)
    scores = (generator.normal(size=len(labels)) + labels).astype(kind)
    generator.shuffle(blocks)
    result = effects_of(labels, scores, blocks)
    roc_auc, average_precision = by_weights(labels, scores, blocks)
    np.testing.assert_allclose(result.roc_auc, roc_auc, atol=1e-2 * np.abs(roc_auc).max())
    np.testing.assert_allclose(
        result.average_precision, average_precision, atol=1e-2 * np.abs(average_precision).max()
    )


def test_pooled_targets_are_one_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "_CHUNK_VALUES", 700)  # many pieces
    columns = [genome(np.random.default_rng(seed), blocks=8) for seed in range(3)]
    labels, scores = (np.stack([one[part] for one in columns], axis=1) for part in (0, 1))
    blocks = columns[0][2]
    chosen = np.array([0, 2])
    result = effects_of(labels, scores, blocks, columns=chosen)
    roc_auc, average_precision = by_weights(
        labels[:, chosen].ravel(), scores[:, chosen].ravel(), np.repeat(blocks, 2)
    )
    np.testing.assert_allclose(result.roc_auc, roc_auc, atol=2e-3 * np.abs(roc_auc).max())
    np.testing.assert_allclose(
        result.average_precision, average_precision, atol=2e-3 * np.abs(average_precision).max()
    )


def test_standard_errors_equal_those_of_a_bootstrap_of_blocks() -> None:
    generator = np.random.default_rng(2)
    labels, scores, blocks = genome(generator, blocks=60)
    rows = [np.flatnonzero(blocks == block) for block in range(60)]
    draws = []
    for _ in range(300):
        drawn = np.concatenate([rows[block] for block in generator.integers(0, 60, 60)])
        draws.append([score(labels[drawn], scores[drawn]) for score in SCORES])
    effects = effects_of(labels, scores, blocks)
    for number, values in enumerate((effects.roc_auc, effects.average_precision)):
        error = np.sqrt((values**2).sum() * 60 / 59)
        assert error == pytest.approx(np.std([draw[number] for draw in draws]), rel=0.15)


def covers(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


@pytest.mark.parametrize(("blocks", "rate"), [(15, 0.02), (60, 0.02), (15, 0.006)])
def test_intervals_cover_the_truth_where_those_of_single_windows_do_not(
    blocks: int, rate: float
) -> None:
    generator = np.random.default_rng(3)
    labels, scores, _ = genome(generator, blocks=10_000, rate=rate)
    points = metrics.operating_points(labels, scores)
    truth = metrics.roc_auc(points), metrics.average_precision(points)
    covered = np.zeros(3)
    repeats = 200
    for _ in range(repeats):
        labels, scores, block = genome(generator, blocks=blocks, rate=rate)
        points = metrics.operating_points(labels, scores)
        effects = metrics.block_effects(points, labels, scores, block)
        of_windows = metrics.block_effects(points, labels, scores, np.arange(len(labels)))
        roc_auc, average_precision = metrics.roc_auc(points), metrics.average_precision(points)
        covered += [
            covers(effects.interval_of_roc_auc(roc_auc), truth[0]),
            covers(effects.interval_of_average_precision(average_precision), truth[1]),
            covers(of_windows.interval_of_roc_auc(roc_auc), truth[0]),
        ]
    by_block, of_ap, by_window = covered / repeats
    assert by_block >= 0.9
    assert of_ap >= 0.87
    assert by_window <= by_block


def test_the_interval_of_a_mean_over_targets_covers_the_mean() -> None:
    """Targets of the same windows move together: their block effect is shared."""
    generator = np.random.default_rng(4)
    targets, blocks, rows = 12, 20, 150

    def draw(count: int) -> tuple[Array, Array, Array]:
        shape = (count, rows, targets)
        labels = generator.random(shape) < 0.03 * generator.gamma(2, 0.5, (count, 1, targets))
        shared = 0.5 * generator.normal(size=(count, 1, 1))
        logits = 1.5 * labels + generator.normal(size=shape) + shared - 3
        probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
        flat = (count * rows, targets)
        return labels.reshape(flat), probability.reshape(flat), np.repeat(np.arange(count), rows)

    truth = metrics.per_target(*draw(2000)[:2])["roc_auc"].mean()
    covered = 0
    for _ in range(120):
        labels, probability, block = draw(blocks)
        each = metrics.score_targets(labels, probability, blocks=block)
        assert each.effects is not None
        mean = each.effects.mean(np.arange(targets))
        covered += covers(mean.interval_of_roc_auc(each.table["roc_auc"].mean()), truth)
    assert covered / 120 >= 0.88


def test_columns_of_intervals_are_those_of_the_targets() -> None:
    labels, scores, blocks = genome(np.random.default_rng(5), blocks=20)
    both = np.stack([labels, np.zeros_like(labels)], axis=1)
    table = metrics.score_targets(both, np.stack([scores, scores], axis=1), blocks=blocks).table
    effects = effects_of(labels, scores, blocks)
    low, high = effects.interval_of_roc_auc(table["roc_auc"][0])
    assert (table["roc_auc_low"][0], table["roc_auc_high"][0]) == (low, high)
    assert low < table["roc_auc"][0] < high
    assert table["average_precision_low"][0] < table["average_precision"][0]
    assert np.isnan(table.loc[1, ["roc_auc_low", "average_precision_high"]].to_numpy(float)).all()


def test_no_interval_is_given_where_it_would_be_false() -> None:
    generator = np.random.default_rng(6)
    labels, scores, blocks = genome(generator, blocks=MIN_BLOCKS - 1, rate=0.2)
    few = effects_of(labels, scores, blocks)
    assert np.isnan(few.interval_of_roc_auc(0.8)).all()
    labels, _, blocks = genome(generator, blocks=20, rate=0.2)
    labels = labels & (blocks < MIN_BLOCKS - 1)  # positives in few blocks
    assert np.isnan(effects_of(labels, labels * 0.5, blocks).interval_of_roc_auc(0.8)).all()
    perfect = effects_of(labels, labels.astype(np.float32), blocks)
    assert np.isnan(perfect.interval_of_roc_auc(1.0)).all()


@pytest.mark.parametrize("freedom", [1, 1.5, 3.2, 14, 250, 1e5])
def test_quantiles_of_students_t_are_those_of_scipy(freedom: float) -> None:
    expected = scipy.stats.t.ppf(0.975, freedom)
    assert intervals.t_quantile(freedom) == pytest.approx(expected, rel=1e-4)


def test_many_blocks_are_joined_with_their_neighbours() -> None:
    few = np.array([0, 1, 1, 2])
    assert metrics.joined_blocks(few).tolist() == few.tolist()
    many = metrics.joined_blocks(np.arange(10 * MOST_BLOCKS + 3))
    assert np.unique(many).tolist() == list(range(MOST_BLOCKS))
    assert (np.diff(many) >= 0).all()
    assert metrics.joined_blocks(np.empty(0, np.int64)).tolist() == []


def test_points_of_constants_score_as_scikit_learn_does() -> None:
    generator = np.random.default_rng(7)
    labels = generator.random((300, 6)) < [0.5, 0.1, 0.1, 0.02, 0.0, 1.0]
    constant = np.broadcast_to(labels.mean(axis=0), labels.shape)
    points = metrics.points_of_constants(labels.sum(axis=0), len(labels))
    assert metrics.roc_auc(points) == pytest.approx(roc_auc_score(labels.ravel(), constant.ravel()))
    assert metrics.average_precision(points) == pytest.approx(
        average_precision_score(labels.ravel(), constant.ravel())
    )


def test_targets_with_the_same_prediction_everywhere_are_found() -> None:
    generator = np.random.default_rng(8)
    low = generator.uniform(1e-6, 2e-6, 50)
    columns = [np.full(50, 0.5), low, 0.3 + 1e-6 * low, 1 - low, np.zeros(50)]
    probability = np.stack(columns, axis=1).astype(np.float32)
    assert metrics.same_everywhere(probability).tolist() == [True, False, True, False, True]
    assert not metrics.same_everywhere(probability[:1]).any()
    table = metrics.per_target(np.zeros(probability.shape, np.uint8), probability)
    assert table["same_everywhere"].tolist() == [1, 0, 1, 0, 1]
