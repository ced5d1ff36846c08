"""`bioq.metrics` against scikit-learn and against counts made by hand."""

import itertools

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bioq import metrics
from bioq.errors import BioqError
from bioq.metrics import pieces

FEW_SCORES = [0.0, 0.125, 0.25, 0.5, 0.75, 1.0]
ANY_FLOAT32 = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def scored_labels(draw: st.DrawFn, *, both_classes: bool = False):
    """Labels and float32 scores of one target: many ties, or any finite float32 at all."""
    size = draw(st.integers(2, 60))
    labels = draw(hnp.arrays(np.uint8, size, elements=st.integers(0, 1)))
    scores = draw(
        hnp.arrays(
            np.float32,
            size,
            elements=draw(st.sampled_from([st.sampled_from(FEW_SCORES), ANY_FLOAT32])),
        )
    )
    if both_classes:
        labels[0], labels[1] = 0, 1
    return labels, scores


@given(scored_labels(both_classes=True))
@settings(deadline=None, max_examples=50)
def test_roc_auc_equals_scikit_learn(scored):
    labels, scores = scored
    result = metrics.roc_auc(metrics.operating_points(labels, scores))
    assert result == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-9)


@given(scored_labels(both_classes=True))
@settings(deadline=None, max_examples=50)
def test_average_precision_equals_scikit_learn(scored):
    labels, scores = scored
    result = metrics.average_precision(metrics.operating_points(labels, scores))
    assert result == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-9
    )


@given(scored_labels(both_classes=True))
@settings(deadline=None, max_examples=50)
def test_area_under_the_roc_curve_equals_scikit_learn(scored):
    labels, scores = scored
    x, y = metrics.roc_curve(metrics.operating_points(labels, scores))
    assert np.trapezoid(y, x) == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, scores), abs=1e-9
    )


def test_best_f1_is_the_highest_of_equally_good_thresholds():
    """F1 is 2 / 3 at 0.9 (one true positive) and at 0.3 (two, and two false positives)."""
    labels, scores = np.array([1, 0, 0, 1]), np.array([0.9, 0.5, 0.4, 0.3])
    assert metrics.best_f1(metrics.operating_points(labels, scores)) == 0.9


@given(scored_labels(both_classes=True))
@settings(deadline=None, max_examples=50)
def test_no_threshold_has_a_better_f1_than_best_f1(scored):
    labels, scores = scored
    best = metrics.best_f1(metrics.operating_points(labels, scores))
    reached = sklearn.metrics.f1_score(labels, scores >= best)
    every = [sklearn.metrics.f1_score(labels, scores >= score) for score in np.unique(scores)]
    assert reached == pytest.approx(max(every), abs=1e-12)


@given(scored_labels(both_classes=True), st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]))
@settings(deadline=None, max_examples=50)
def test_rates_at_a_threshold_equal_scikit_learn(scored, threshold):
    labels, scores = scored
    result = metrics.at_threshold(labels, scores, threshold)
    yes = scores >= threshold
    assert result.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labels, yes))
    assert result.f1 == pytest.approx(sklearn.metrics.f1_score(labels, yes))
    assert result.recall == pytest.approx(sklearn.metrics.recall_score(labels, yes))
    if yes.any():
        assert result.precision == pytest.approx(sklearn.metrics.precision_score(labels, yes))
    else:
        assert np.isnan(result.precision)


@given(
    hnp.arrays(np.uint8, 100, elements=st.integers(0, 1), fill=st.just(0)),
    hnp.arrays(
        np.float32,
        100,
        elements=st.floats(0, 1, width=32) | st.sampled_from([-0.0, 0.0, 1e-45, 0.5]),
    ),
)
@settings(deadline=None, max_examples=50)
def test_operating_points_equal_a_count_of_every_threshold(labels, scores):
    points = metrics.operating_points(labels, scores)
    positives, negatives = scores[labels == 1], scores[labels == 0]
    assert list(points.thresholds) == sorted(set(positives.tolist()), reverse=True)
    for number, threshold in enumerate(points.thresholds):
        assert points.true_positives[number] == (positives >= threshold).sum()
        assert points.false_positives[number] == (negatives >= threshold).sum()
        assert points.false_positives_above[number] == (negatives > threshold).sum()


@pytest.mark.parametrize("rate", [0.0001, 0.02, 0.6])
@pytest.mark.parametrize("sign", [1, -1])
def test_many_scores_equal_scikit_learn_at_every_rate_of_positives(rate, sign):
    generator = np.random.default_rng(0)
    labels = generator.random(300_000) < rate
    logits = generator.normal(size=len(labels)) + 2 * labels + np.log(rate)
    scores = (sign / (1 + np.exp(-logits))).astype(np.float32)
    points = metrics.operating_points(labels, scores)
    assert metrics.roc_auc(points) == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, scores), abs=1e-9
    )
    assert metrics.average_precision(points) == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-9
    )


def simulated(windows: int, targets: int, seed: int = 0):
    """Labels with a rate that differs by target, and float32 probabilities rounded into ties."""
    generator = np.random.default_rng(seed)
    labels = generator.random((windows, targets)) < np.linspace(0.02, 0.4, targets)
    logits = generator.normal(size=labels.shape) + 1.5 * labels - 2
    probability = np.round(1 / (1 + np.exp(-logits)), 3).astype(np.float32)
    return labels.astype(np.uint8), probability


@pytest.fixture
def small_chunks(monkeypatch):
    """Make a few hundred values fill many chunks."""
    monkeypatch.setattr(pieces, "_CHUNK_VALUES", 97)


@pytest.mark.usefixtures("small_chunks")
def test_quick_scores_equal_scikit_learn_over_many_chunks():
    labels, probability = simulated(150, 6)
    result = metrics.quick_scores(labels, probability)
    for average in ("macro", "micro"):
        assert result[f"{average}_roc_auc"] == pytest.approx(
            sklearn.metrics.roc_auc_score(labels, probability, average=average), abs=1e-9
        )
        assert result[f"{average}_average_precision"] == pytest.approx(
            sklearn.metrics.average_precision_score(labels, probability, average=average), abs=1e-9
        )


@pytest.mark.usefixtures("small_chunks")
def test_pooling_some_columns_equals_pooling_a_copy_of_them():
    labels, probability = simulated(150, 6)
    columns = np.array([4, 1, 2])
    result = metrics.operating_points(labels, probability, columns=columns)
    expected = sklearn.metrics.roc_auc_score(
        labels[:, columns], probability[:, columns], average="micro"
    )
    assert metrics.roc_auc(result) == pytest.approx(expected, abs=1e-9)
    assert result.positives == labels[:, columns].sum()


@pytest.mark.usefixtures("small_chunks")
def test_per_target_equals_scikit_learn_in_every_column():
    labels, probability = simulated(150, 4)
    thresholds = metrics.best_thresholds(labels, probability)
    table = metrics.per_target(labels, probability, thresholds=thresholds)
    for target, row in enumerate(table.to_dict("records")):
        label, scored = labels[:, target], probability[:, target]
        yes = scored >= thresholds[target]
        assert row["positives"] == label.sum()
        assert row["windows"] == 150
        assert row["roc_auc"] == pytest.approx(
            sklearn.metrics.roc_auc_score(label, scored), abs=1e-9
        )
        assert row["brier"] == pytest.approx(
            sklearn.metrics.brier_score_loss(label, scored.astype(float)), abs=1e-9
        )
        assert row["f1_at_0.5"] == pytest.approx(sklearn.metrics.f1_score(label, scored >= 0.5))
        assert row["threshold"] == thresholds[target]
        assert row["f1_at_threshold"] == pytest.approx(sklearn.metrics.f1_score(label, yes))
        assert row["recall_at_threshold"] == pytest.approx(sklearn.metrics.recall_score(label, yes))


@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class_has_no_roc_auc(label):
    points = metrics.operating_points(np.full(5, label), np.linspace(0, 1, 5, dtype=np.float32))
    assert np.isnan(metrics.roc_auc(points))
    assert np.isnan(metrics.roc_curve(points)).all()


def test_without_a_positive_nothing_but_accuracy_is_defined():
    labels, scores = np.zeros(4, np.uint8), np.array([0.1, 0.2, 0.6, 0.7], np.float32)
    points = metrics.operating_points(labels, scores)
    result = metrics.at_threshold(labels, scores, 0.5)
    assert np.isnan(metrics.average_precision(points))
    assert np.isnan(metrics.best_f1(points))
    assert np.isnan(result.f1)
    assert np.isnan(result.recall)
    assert result.accuracy == 0.5
    assert [len(axis) for axis in metrics.precision_recall_curve(points)] == [0, 0, 0]


def test_all_equal_scores_are_worth_a_coin_toss():
    labels = np.array([0, 1, 1, 0, 0])
    points = metrics.operating_points(labels, np.full(5, 0.25, np.float32))
    assert metrics.roc_auc(points) == 0.5
    assert metrics.average_precision(points) == pytest.approx(2 / 5)
    assert list(points.false_positives) == [3]
    assert list(points.false_positives_above) == [0]


def test_no_windows_at_all_is_undefined():
    empty = np.empty((0, 3))
    points = metrics.operating_points(empty, empty)
    assert (points.positives, points.negatives) == (0, 0)
    assert np.isnan(metrics.brier(empty, empty))
    assert all(np.isnan(score) for score in metrics.quick_scores(empty, empty).values())


def test_macro_averages_the_defined_and_counts_the_others():
    assert metrics.macro(np.array([0.5, np.nan, 1.0])) == (0.75, 1)
    mean, undefined = metrics.macro(np.full(2, np.nan))
    assert np.isnan(mean)
    assert undefined == 2


def test_thinned_curves_keep_their_ends_and_their_area():
    labels, probability = simulated(20000, 1)
    generator = np.random.default_rng(1)
    scores = (probability[:, 0] + generator.normal(0, 0.01, 20000)).astype(np.float32)
    points = metrics.operating_points(labels[:, 0], scores)
    x, y = metrics.roc_curve(points, most=100)
    recall, precision, thresholds = metrics.precision_recall_curve(points, most=100)
    assert len(x) <= 202
    assert len(recall) <= 100
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(metrics.roc_auc(points), abs=2e-3)
    for point in (0, 50, -1):
        yes = scores >= thresholds[point]
        expected = sklearn.metrics.precision_score(labels[:, 0], yes)
        assert precision[point] == pytest.approx(expected)
        assert recall[point] == pytest.approx(sklearn.metrics.recall_score(labels[:, 0], yes))


@pytest.mark.usefixtures("small_chunks")
def test_calibration_equals_a_count_by_hand():
    labels, probability = simulated(150, 4)
    result = metrics.reliability(labels, probability, bins=10)
    edges = np.arange(11) / 10
    expected_error = 0.0
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        exact = probability.astype(np.float64)
        inside = (exact * 10 >= low * 10) & ((exact * 10 < high * 10) | (high == 1))
        assert result.count[number] == inside.sum()
        if not inside.any():
            assert np.isnan(result.positive_rate[number])
            continue
        assert result.mean_probability[number] == pytest.approx(
            probability[inside].mean(), abs=1e-6
        )
        assert result.positive_rate[number] == pytest.approx(labels[inside].mean())
        gap = abs(exact[inside].mean() - labels[inside].mean())
        expected_error += gap * inside.sum() / labels.size
    assert result.expected_error == pytest.approx(expected_error)


def test_calibration_puts_one_into_the_last_bin():
    result = metrics.reliability(np.array([1, 0]), np.array([1.0, 0.0]), bins=4)
    assert list(result.count) == [1, 0, 0, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("score", [metrics.quick_scores, metrics.per_target, metrics.brier])
def test_a_score_that_is_not_finite_is_refused_by_its_place(score, bad):
    labels, probability = simulated(20, 3)
    probability[7, 2] = bad
    with pytest.raises(BioqError, match=r"window 7, target 2 .*the score is -?(nan|inf), expected"):
        score(labels, probability)


def test_shapes_that_differ_are_refused():
    with pytest.raises(BioqError, match=r"labels \(3,\) and scores \(4,\): expected the same"):
        metrics.operating_points(np.zeros(3), np.zeros(4))


def test_a_score_that_is_not_finite_is_named_by_its_window_in_any_piece(monkeypatch):
    monkeypatch.setattr("bioq.metrics.pieces._CHUNK_VALUES", 4)
    labels, scores = np.zeros((9, 2), np.uint8), np.full((9, 2), 0.5, np.float32)
    scores[7, 1] = np.nan
    for score in (metrics.operating_points, metrics.brier, metrics.per_target):
        with pytest.raises(
            BioqError, match=r"^window 7, target 1 \(counted from 0\): the score is"
        ):
            score(labels, scores)


def test_log_loss_of_a_certain_and_wrong_answer_is_that_of_one_in_ten_million():
    labels, probability = np.array([[1], [0]]), np.array([[0.0], [1.0]])
    assert metrics.log_loss(labels, probability) == pytest.approx(-np.log(1e-7), rel=1e-6)
