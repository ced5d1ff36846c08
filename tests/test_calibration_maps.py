"""The maps of a calibration: fitted as scikit-learn and SciPy fit them, and increasing."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from bioq.evaluation.calibration_choice import jackknife
from bioq.evaluation.calibration_maps import KINDS, count
from bioq.runs.calibration import TAIL, CalibrationMap

FLOOR, PLATT, FLOOR_AFTER_PLATT = KINDS
MAPS = [
    CalibrationMap(),
    CalibrationMap(lowest=0.01),
    CalibrationMap(scale=0.5, shift=-1.0),
    CalibrationMap(scale=1.5, shift=0.5, lowest=0.001),
    CalibrationMap(shift=-3.0, lowest=1e-6),
]


def sample(seed: int, *, rows: int = 4000, targets: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits and probabilities float32 `(rows, targets)` of a network."""
    z = np.random.default_rng(seed).normal(-4, 3, (rows, targets))
    return z, expit(z).astype(np.float32)


def labels_of(probability: np.ndarray, seed: int = 1) -> np.ndarray:
    drawn = np.random.default_rng(seed).random(probability.shape)
    return (drawn < probability).astype(np.uint8)


def test_platts_map_is_the_logistic_regression_of_scikit_learn() -> None:
    z, probability = sample(0)
    labels = labels_of(expit(0.6 * z - 0.5))
    expected = LogisticRegression(C=np.inf, tol=1e-8).fit(z.reshape(-1, 1), labels.ravel())
    found = PLATT.fit(count(labels, probability))
    assert found.scale == pytest.approx(expected.coef_[0, 0], rel=0.01)
    assert found.shift == pytest.approx(expected.intercept_[0], abs=0.02)
    assert found.lowest == 0


def test_the_floor_is_the_one_that_scipy_finds() -> None:
    z, probability = sample(2)
    labels = labels_of(0.02 + 0.98 * expit(z))

    def loss(lowest: float) -> float:
        mapped = lowest * expit(z) ** TAIL + (1 - lowest) * expit(z)
        return sklearn.metrics.log_loss(labels.ravel(), mapped.ravel())

    expected = minimize_scalar(loss, bounds=(0, 0.5), method="bounded", options={"xatol": 1e-10}).x
    assert FLOOR.fit(count(labels, probability)).lowest == pytest.approx(expected, rel=0.01)
    assert expected == pytest.approx(0.02, abs=0.005)


def test_scale_shift_and_floor_are_found_together() -> None:
    z, probability = sample(3, rows=40_000)
    true = CalibrationMap(scale=0.7, shift=-0.4, lowest=0.01)
    found = FLOOR_AFTER_PLATT.fit(count(labels_of(true.of(expit(z))), probability))
    assert found.scale == pytest.approx(true.scale, abs=0.03)
    assert found.shift == pytest.approx(true.shift, abs=0.06)
    assert found.lowest == pytest.approx(true.lowest, rel=0.06)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", ["separated", "one positive", "no positive", "all far away"])
def test_a_fit_to_hardly_any_evidence_is_a_map(kind, case: str) -> None:
    z, probability = sample(5, rows=50)
    labels = (z > -2).astype(np.uint8)
    if case in ("one positive", "no positive"):
        labels = np.zeros_like(labels)
        labels[7, 1] = case == "one positive"
    if case == "all far away":
        probability = np.zeros_like(probability)
    counts = count(labels, probability)
    mapped = kind.fit(counts)(probability)
    assert np.isfinite(mapped).all()
    assert (mapped >= 0).all()
    assert (mapped <= 1).all()


@pytest.mark.parametrize("map_", MAPS)
def test_no_roc_auc_and_no_average_precision_of_a_target_changes(map_: CalibrationMap) -> None:
    z, probability = sample(6)
    labels = labels_of(expit(z))
    mapped = map_(probability)
    for target in range(3):
        for score in (sklearn.metrics.roc_auc_score, sklearn.metrics.average_precision_score):
            before = score(labels[:, target], probability[:, target])
            assert score(labels[:, target], mapped[:, target]) == pytest.approx(before, abs=1e-7)


def test_a_floor_keeps_the_order_far_below_it() -> None:
    probability = np.float32([1e-30, 1e-20, 1e-12, 1.001e-12, 1e-6])[:, None]
    assert (np.diff(CalibrationMap(lowest=0.01)(probability)[:, 0]) > 0).all()


@given(
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20),
    st.floats(0.05, 3),
    st.floats(-6, 6),
    st.floats(0, 0.5),
)
def test_a_map_never_turns_an_order_round(values, scale, shift, lowest) -> None:
    map_ = CalibrationMap(scale=scale, shift=shift, lowest=lowest)
    mapped = map_(np.sort(np.float32(values))[:, None])[:, 0]
    assert (np.diff(mapped) >= 0).all()
    assert ((mapped >= 0) & (mapped <= 1)).all()


def test_the_ends_of_float32_stay_apart() -> None:
    ends = np.float32([0, 1e-45, 1e-38, 0.5, 1 - 2**-24, 1])[:, None]
    for map_ in MAPS[:3]:
        assert (np.diff(map_(ends), axis=0) >= 0).all()
        assert np.isfinite(map_(ends)).all()
    assert (np.diff(CalibrationMap(scale=0.5)(ends), axis=0) > 0).all()


def test_a_map_is_the_formula_for_arrays_and_for_tensors() -> None:
    _, probability = sample(7)
    sure = expit(1.5 * logit(probability.astype(float)) - 3.0)
    expected = 0.001 * sure**0.01 + 0.999 * sure
    map_ = CalibrationMap(scale=1.5, shift=-3.0, lowest=0.001)
    np.testing.assert_allclose(map_(probability), expected, rtol=1e-6)
    assert map_(probability).dtype == np.float32
    tensor = map_(torch.from_numpy(probability))
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), map_(probability))
    np.testing.assert_array_equal(map_(probability[5]), map_(probability)[5])


def test_the_map_of_version_1_is_what_it_was() -> None:
    _, probability = sample(8)
    old = CalibrationMap(lowest=0.125, tail=0)
    np.testing.assert_allclose(old(probability), probability * (1 - 0.125) + 0.125, atol=1e-7)


@pytest.mark.parametrize(
    "changes",
    [{"scale": 0.0}, {"scale": np.nan}, {"shift": np.inf}, {"lowest": 1.0},
     {"lowest": np.nan}, {"tail": -0.1}, {"tail": np.nan}],
)  # fmt: skip
def test_numbers_that_are_not_a_map_are_refused(changes) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        CalibrationMap(**changes)


def test_the_jackknife_of_equal_blocks_is_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=12)
    mean, error = jackknife(values * 7, np.full(12, 7.0))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(scipy.stats.sem(values))
