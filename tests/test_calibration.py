"""Calibration: fitted as SciPy fits it, kept in the run, used by everything, never for others."""

import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import bioq
from bioq import BioqError, ModelSizes
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.evaluation.files import read_evaluation
from bioq.fast import open_mutants
from bioq.forward import predict_codes, predict_edits
from bioq.interpretation import mutate_window
from bioq.metrics import log_loss, roc_auc
from bioq.metrics.points import operating_points
from bioq.models import build_model
from bioq.runs.calibration import CALIBRATION_FILE, Calibration, fit_lowest, read_calibration
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import fingerprint, predictions_identity, save_weights


@pytest.fixture
def sure(run: Path) -> Path:
    """The small run of `conftest`, whose model now says that next to nothing is positive."""
    model = load(run)
    with torch.no_grad():
        model.network.output.bias -= 8  # type: ignore[operator, union-attr]
    save_weights(model.network, run / "model.safetensors")
    return run


@pytest.fixture
def calibrated(run: Path, masked_data: Dataset) -> Path:
    """The small run of `conftest`, calibrated to a lowest probability that cannot be missed."""
    bioq.calibrate(run, masked_data)
    return rewritten(run, lowest=0.125)


def rewritten(run: Path, **changes: object) -> Path:
    file = run / CALIBRATION_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return run


def identities(run: Path) -> tuple[str, str]:
    model = load(run)
    return predictions_identity(run), fingerprint(model.network, model.calibration)


def windows_of(data: Dataset) -> np.ndarray:
    return data["test"].read(slice(None)).windows


def too_sure(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels `(600, 3)` of which 2 % are positive whatever the float32 probability says."""
    probability = 1 / (1 + np.exp(-generator.normal(-6, 4, (600, 3))))
    labels = generator.random((600, 3)) < 0.02 + 0.98 * probability
    return labels.astype(np.uint8), probability.astype(np.float32)


def test_the_lowest_probability_is_the_one_that_scipy_finds() -> None:
    labels, probability = too_sure(np.random.default_rng(0))
    exact = probability.astype(np.float64)

    def loss(lowest: float) -> float:
        return sklearn.metrics.log_loss(labels.ravel(), (lowest + (1 - lowest) * exact).ravel())

    expected = minimize_scalar(loss, bounds=(0, 0.5), method="bounded", options={"xatol": 1e-10}).x
    assert fit_lowest(labels, probability) == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(0.02, abs=0.01)


def test_probabilities_that_are_not_too_low_stay_as_they_are() -> None:
    generator = np.random.default_rng(1)
    probability = generator.random((4000, 2))
    labels = (generator.random((4000, 2)) < probability**2).astype(np.uint8)  # rather too high
    assert fit_lowest(labels, probability) == 0


@given(st.integers(0, 10_000))
def test_calibrating_twice_changes_nothing(seed: int) -> None:
    labels, probability = too_sure(np.random.default_rng(seed))
    once = fit_lowest(labels, probability.astype(np.float64))
    again = fit_lowest(labels, once + (1 - once) * probability.astype(np.float64))
    assert again == pytest.approx(0, abs=1e-9)


def test_log_loss_is_scikit_learns() -> None:
    labels, probability = too_sure(np.random.default_rng(2))
    expected = sklearn.metrics.log_loss(labels.ravel(), probability.astype(float).ravel())
    assert log_loss(labels, probability) == pytest.approx(expected, rel=1e-6)


def test_the_order_of_windows_stays() -> None:
    labels, probability = too_sure(np.random.default_rng(3))
    map_ = Calibration(fit_lowest(labels, probability), "", {}, {}, {})
    for target in range(3):
        before, after = (
            roc_auc(operating_points(labels[:, target], scores[:, target]))
            for scores in (probability, map_(probability))
        )
        assert after == pytest.approx(before, abs=1e-6)


def test_calibrate_keeps_what_it_found_and_by_how_much_it_helps(
    sure: Path, masked_data: Dataset
) -> None:
    run = sure
    plain = bioq.predict(load(run), masked_data["valid"].read(slice(None)).windows)
    result = bioq.calibrate(run, masked_data)
    labels = masked_data["valid"].labels()
    assert result == read_calibration(run)
    assert result.lowest == fit_lowest(labels, plain)
    assert result.lowest > 0
    assert result.after["log_loss"] < result.before["log_loss"]
    assert result.before["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss(labels.ravel(), plain.astype(float).ravel()), rel=1e-6
    )
    assert result.before["brier"] == pytest.approx(((plain - labels) ** 2).mean(), rel=1e-6)
    assert result.data["fingerprint"] == masked_data.fingerprint
    assert (result.data["windows"], result.data["positives"]) == (20, labels.sum())
    assert result == bioq.calibrate(run, masked_data), "it starts from the plain probabilities"


def test_every_probability_of_a_calibrated_run_is_calibrated(
    calibrated: Path, masked_data: Dataset
) -> None:
    plain, model = load(calibrated, calibrated=False), load(calibrated)
    windows = windows_of(masked_data)
    codes = np.where(windows.sum(axis=1) > 0, windows.argmax(axis=1), 4).astype(np.uint8)

    def raised(probability: np.ndarray) -> np.ndarray:
        return 0.125 + 0.875 * probability

    for strands in ("both", "forward"):
        expected = raised(bioq.predict(plain, windows, strands=strands))
        for result in (
            bioq.predict(model, windows, strands=strands),
            bioq.predict(model, torch.from_numpy(windows) * 1.0, strands=strands),
            predict_codes(model, codes, strands=strands),
        ):
            np.testing.assert_allclose(result, expected, atol=1e-6)
    edits = predict_edits(model, codes[:4], codes[4:8], np.arange(4))
    before = predict_edits(plain, codes[:4], codes[4:8], np.arange(4))
    for result, same in zip(edits, before, strict=True):
        np.testing.assert_allclose(result, raised(same), atol=1e-6)


@pytest.mark.parametrize("switch", ["0", "1"])
def test_effects_of_a_calibrated_run_are_those_of_its_probabilities(
    calibrated: Path, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOQ_PLAIN", switch)
    codes = np.random.default_rng(0).integers(0, 4, 200).astype(np.uint8)
    plain = mutate_window(load(calibrated, calibrated=False), codes, start=90, end=110)
    reference, effects = mutate_window(load(calibrated), codes, start=90, end=110)
    np.testing.assert_allclose(reference, 0.125 + 0.875 * plain[0], atol=1e-6)
    np.testing.assert_allclose(effects, 0.875 * plain[1], atol=1e-6)


def test_effects_that_share_their_computation_are_calibrated_too(calibrated: Path) -> None:
    sizes = ModelSizes(filters=32, lstm_units=16, lstm_layers=1, dense_units=16)
    network = build_model("danq", targets=2, window_bp=1000, sizes=sizes).eval()
    run = load(calibrated)
    codes = np.random.default_rng(0).integers(0, 4, 1000).astype(np.uint8)
    assert open_mutants(network, codes, 3000, strands="both", precision="32") is not None
    parts = {"targets": run.targets, "config": run.config}
    model = TrainedModel(network, **parts, calibration=run.calibration)
    plain = mutate_window(TrainedModel(network, **parts), codes)
    reference, effects = mutate_window(model, codes)
    np.testing.assert_allclose(reference, 0.125 + 0.875 * plain[0], atol=1e-6)
    np.testing.assert_allclose(effects, 0.875 * plain[1], atol=1e-6)


def test_a_calibration_for_other_weights_is_left_aside_and_said(
    calibrated: Path, masked_data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(calibrated)
    assert model.calibration is not None
    assert not capsys.readouterr().err
    with torch.no_grad():
        model.network.output.bias += 1  # type: ignore[operator, union-attr]
    save_weights(model.network, calibrated / "model.safetensors")
    assert load(calibrated).calibration is None
    (line,) = capsys.readouterr().err.splitlines()
    assert "calibration.json: was fitted for other weights than this run has now" in line
    assert "calibrate again" in line
    bioq.calibrate(calibrated, masked_data)
    assert load(calibrated).calibration is not None
    assert not capsys.readouterr().err


def test_the_last_weights_have_no_calibration(calibrated: Path) -> None:
    save_weights(load(calibrated).network, calibrated / "last.safetensors")
    assert load(calibrated, weights="last").calibration is None


def test_a_calibrated_run_is_another_one_for_outputs_that_go_on(calibrated: Path) -> None:
    first = identities(calibrated)
    rewritten(calibrated, lowest=0.25)
    second = identities(calibrated)
    (calibrated / CALIBRATION_FILE).unlink()
    third = identities(calibrated)
    for index in range(2):
        assert len({first[index], second[index], third[index]}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "format is 'other', expected 'bioq-calibration'; calibrate the run"),
        ({"format_version": 2}, "format_version 2, this BioQ reads 1"),
        ({"lowest": 1.5}, r"calibration.json: is not a calibration \(lowest is 1.5\); calibrate"),
        ({"lowest": "low"}, "calibration.json: is not a calibration"),
        ({"lowest": float("nan")}, "calibration.json: is not a calibration"),
    ],
)
def test_a_damaged_calibration_is_refused(
    calibrated: Path, changes: dict[str, object], message: str
) -> None:
    rewritten(calibrated, **changes)
    with pytest.raises(BioqError, match=message):
        load(calibrated)
    (calibrated / CALIBRATION_FILE).write_text("{")
    with pytest.raises(BioqError, match=r"calibration.json: is not a calibration"):
        load(calibrated)


def test_a_split_with_labels_of_one_kind_is_refused(run: Path, tmp_path: Path) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "none", description, load(run).targets) as writer:
        with writer.split("valid") as split:
            split.append(np.zeros((3, 200), np.uint8), pack_labels(np.zeros((3, 2), bool)))
    with pytest.raises(BioqError, match=r"'valid' has 0 positive labels of 6; .* both kinds"):
        bioq.calibrate(run, open_dataset(tmp_path / "none"))
    assert not (run / CALIBRATION_FILE).exists()


def test_the_command_prints_before_and_after_and_the_evaluation_says_it(
    sure: Path, masked_data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sure
    assert bioq.evaluate(run, masked_data).summary["calibrated"] is False
    capsys.readouterr()
    assert main(["calibrate", str(run), str(masked_data.path)]) == 0
    shown = capsys.readouterr().out
    result = read_calibration(run)
    assert result is not None
    assert f"{result.before['log_loss']:.5f}  {result.after['log_loss']:.5f}" in shown
    assert shown.endswith(f"{run / CALIBRATION_FILE}\n")
    bioq.evaluate(run, masked_data, split="valid")
    printed = capsys.readouterr().err
    assert f"note: the probabilities are calibrated: none is below {result.lowest:.3g}" in printed
    assert "the calibration was fitted on the split 'valid' that is scored here" in printed
    summary = read_evaluation(run, "valid").summary
    assert summary["calibrated"] is True
    assert summary["micro"]["brier"] == pytest.approx(result.after["brier"], rel=1e-5)


def test_a_data_set_of_other_targets_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    table = load(run).targets.assign(name=["first", "other"])
    with new_dataset(tmp_path / "other", description, table):
        pass
    assert main(["calibrate", str(run), str(tmp_path / "other")]) == 1
    assert "target 2 is 'other', in the run" in capsys.readouterr().err
