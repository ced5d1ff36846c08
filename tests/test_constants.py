"""`bioq.metrics.constants`: what is reached without the sequence, beside scikit-learn."""

import math

import numpy as np
import pytest
import sklearn.metrics

from bioq import metrics


def test_the_constant_scores_as_scikit_learn_scores_its_predictions() -> None:
    random = np.random.default_rng(0)
    labels = random.random((200, 5)) < [0.02, 0.1, 0.3, 0.7, 0.5]
    rates = np.broadcast_to(labels.mean(axis=0), labels.shape)
    flat = labels.ravel(), rates.ravel()
    scores = metrics.constant_scores(labels.sum(axis=0), len(labels))
    assert scores.macro_roc_auc == 0.5
    assert scores.micro_roc_auc == pytest.approx(sklearn.metrics.roc_auc_score(*flat))
    assert scores.macro_average_precision == pytest.approx(
        sklearn.metrics.average_precision_score(labels, rates, average="macro")
    )
    assert scores.micro_average_precision == pytest.approx(
        sklearn.metrics.average_precision_score(*flat)
    )
    assert scores.median_average_precision == pytest.approx(np.median(labels.mean(axis=0)))
    assert scores.log_loss == pytest.approx(sklearn.metrics.log_loss(*flat))
    assert scores.brier == pytest.approx(sklearn.metrics.brier_score_loss(*flat))
    yes = [rates.ravel() >= rate for rate in np.unique(rates)]
    assert scores.f1 == pytest.approx(max(sklearn.metrics.f1_score(flat[0], one) for one in yes))
    assert scores.accuracy == pytest.approx(
        sklearn.metrics.accuracy_score(flat[0], rates.ravel() > 0.5)
    )
    every = np.ones_like(labels)
    assert scores.macro_f1 == pytest.approx(
        sklearn.metrics.f1_score(labels, every, average="macro")
    )


def test_targets_of_one_kind_have_no_areas() -> None:
    scores = metrics.constant_scores(np.array([0, 10, 4]), 10)
    assert scores.macro_average_precision == 0.4
    only_positive = metrics.constant_scores(np.array([10, 10]), 10)
    for name in ("macro_roc_auc", "micro_roc_auc", "macro_average_precision"):
        assert math.isnan(getattr(only_positive, name))
    assert math.isnan(only_positive.micro_average_precision)
    assert (only_positive.f1, only_positive.accuracy, only_positive.log_loss) == (1, 1, 0)
    assert math.isnan(metrics.constant_scores(np.array([0]), 10).f1)


def test_average_precision_without_a_negative_is_undefined() -> None:
    labels, scores = np.ones((20, 1), bool), np.linspace(0, 1, 20)[:, None]
    points = metrics.operating_points(labels, scores)
    assert math.isnan(metrics.average_precision(points))
    assert math.isnan(metrics.best_f1(points))
    table = metrics.per_target(labels, scores)
    assert table["average_precision"].isna().all()
    assert table["positive_rate"].tolist() == [1.0]


def test_f1_of_always_yes() -> None:
    labels = np.arange(10) < 3
    assert metrics.f1_of_yes(np.array([0.3]))[0] == pytest.approx(
        sklearn.metrics.f1_score(labels, np.ones(10))
    )
