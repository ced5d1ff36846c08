"""Calibration of a run: saved where it helps, used by everything, never for other weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
from calibrated_run import floor, give_calibration

import bioq
from bioq import BioqError, ModelSizes
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.evaluation import calibration_choice
from bioq.evaluation.calibration_choice import compare, select
from bioq.evaluation.calibration_maps import KINDS
from bioq.evaluation.files import read_evaluation
from bioq.fast import open_mutants
from bioq.forward import predict_codes, predict_edits
from bioq.interpretation import mutate_window
from bioq.metrics import log_loss
from bioq.models import build_model
from bioq.runs.calibration import CALIBRATION_FILE, CalibrationMap, read_calibration
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import fingerprint, predictions_identity, save_weights

EACH = CalibrationMap(scale=0.5, shift=1.0, lowest=0.125)
"""A map that cannot be missed."""


@pytest.fixture
def calibrated(run: Path) -> Path:
    """The small run of `conftest`, with a calibration that cannot be missed."""
    return give_calibration(run, EACH)


@pytest.fixture
def unsure(run: Path) -> Path:
    """The small run, whose probabilities now are between 0.001 and 0.1 and differ."""
    model = load(run)
    with torch.no_grad():
        model.network.output.bias -= 4  # type: ignore[operator, union-attr]
        model.network.output.weight *= 3  # type: ignore[operator, union-attr]
    save_weights(model.network, run / "model.safetensors")
    return run


def data_for(run: Path, path: Path, truth: CalibrationMap, *, windows: int = 3000) -> Dataset:
    """A data set whose labels come true as often as `truth` of the run's probabilities.

    Its windows are 2,000 bp apart: 50 in a block. Half are in valid, half in test.
    """
    generator = np.random.default_rng(11)
    codes = generator.integers(0, 4, (windows, 200)).astype(np.uint8)
    probability = truth(predict_codes(load(run, calibrated=False), codes))
    labels = generator.random(probability.shape) < probability
    description = Description(
        made_by="peaks", window_bp=200, bin_bp=40, label_rule="half", contigs=("chr1",)
    )
    bins = np.stack([np.zeros(windows, int), np.arange(windows) * 2000], axis=1)
    with new_dataset(path, description, load(run).targets) as writer:
        for number, name in enumerate(("valid", "test")):
            rows = slice(number * windows // 2, (number + 1) * windows // 2)
            with writer.split(name) as split:
                split.append(codes[rows], pack_labels(labels[rows]), bins[rows])
    return open_dataset(path)


def rewritten(run: Path, **changes: object) -> Path:
    file = run / CALIBRATION_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return run


def as_version_1(run: Path, lowest: object) -> Path:
    """Replace a calibration by what an earlier BioQ wrote."""
    file = run / CALIBRATION_FILE
    content = json.loads(file.read_text())
    kept = {key: content[key] for key in ("format", "weights", "data", "before", "after")}
    file.write_text(json.dumps(kept | {"format_version": 1, "lowest": lowest}))
    return run


def identities(run: Path) -> tuple[str, str]:
    model = load(run)
    return predictions_identity(run), fingerprint(model.network, model.calibration)


def windows_of(data: Dataset) -> np.ndarray:
    return data["test"].read(slice(None)).windows


@pytest.mark.parametrize(
    ("truth", "name"),
    [
        (CalibrationMap(lowest=0.05), "floor"),
        (CalibrationMap(scale=0.4, shift=-0.5), "Platt"),
    ],
)
def test_what_is_wrong_is_found_and_corrected_on_other_windows(
    unsure: Path, tmp_path: Path, truth: CalibrationMap, name: str
) -> None:
    data = data_for(unsure, tmp_path / "blocks", truth)
    found = bioq.calibrate(unsure, data).calibration
    assert found is not None
    assert found.name.startswith(name)
    assert found == read_calibration(unsure)
    labels = data["test"].labels()
    plain, better = (
        log_loss(labels, bioq.predict(load(unsure, calibrated=use), windows_of(data)))
        for use in (False, True)
    )
    best = log_loss(labels, truth(bioq.predict(load(unsure, calibrated=False), windows_of(data))))
    assert better < plain - 0.7 * (plain - best)
    assert 0 < found.gain["low"] < found.gain["mean"] < found.gain["high"]
    assert found.gain["blocks"] == 30
    valid = data["valid"].read(slice(None))
    before = bioq.predict(load(unsure, calibrated=False), valid.windows)
    assert found.before["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss(valid.labels.ravel(), before.astype(float).ravel()), rel=1e-6
    )
    assert found.before["brier"] == pytest.approx(((before - valid.labels) ** 2).mean(), rel=1e-6)
    assert found.after["log_loss"] == pytest.approx(
        found.before["log_loss"] - found.gain["mean"], rel=1e-6
    )
    assert (found.data["windows"], found.data["positives"]) == (1500, valid.labels.sum())


def test_calibrating_again_needs_force_and_gives_the_same(unsure: Path, tmp_path: Path) -> None:
    data = data_for(unsure, tmp_path / "blocks", CalibrationMap(lowest=0.05))
    first = bioq.calibrate(unsure, data).calibration
    with pytest.raises(BioqError, match=r"calibration.json: exists already; .* --force"):
        bioq.calibrate(unsure, data)
    assert bioq.calibrate(unsure, data, force=True).calibration == first, "from the plain ones"


def test_nothing_is_saved_where_nothing_is_gained(
    unsure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_for(unsure, tmp_path / "blocks", CalibrationMap())
    assert bioq.calibrate(unsure, data).calibration is None
    assert not (unsure / CALIBRATION_FILE).exists()
    capsys.readouterr()
    assert main(["calibrate", str(unsure), str(data.path)]) == 0
    shown = capsys.readouterr()
    (line,) = [line for line in shown.err.splitlines() if "nothing is saved" in line]
    reasons = ("over 30 blocks of the genome) includes 0", "Brier score", "of 5 stretches")
    assert any(reason in line for reason in reasons)
    assert "calibration.json" not in shown.out
    assert "chosen" not in shown.out


def test_force_removes_an_earlier_calibration_that_gains_nothing(
    unsure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_for(unsure, tmp_path / "blocks", CalibrationMap())
    give_calibration(unsure, EACH)
    assert main(["calibrate", str(unsure), str(data.path)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert load(unsure).calibration is not None
    assert main(["calibrate", str(unsure), str(data.path), "--force"]) == 0
    assert "calibration.json was removed" in capsys.readouterr().err
    assert load(unsure).calibration is None


def test_a_map_with_a_worse_brier_score_is_not_taken() -> None:
    generator = np.random.default_rng(0)
    probability = np.full((2000, 1), 1e-6, np.float32)
    probability[:1000] = 0.5
    labels = np.zeros((2000, 1), np.uint8)
    labels[:1000] = generator.random((1000, 1)) < 0.5
    blocks = np.arange(2000) // 100
    labels[1000::500] = 1  # two of which the network is sure that they are negative
    worse = [
        trial.name
        for trial in compare(labels, probability, blocks, KINDS).trials
        if trial.brier > compare(labels, probability, blocks, ()).trials[0].brier + 5e-6
    ]
    selection = select(labels, probability, blocks)
    assert worse
    assert selection.best is None or selection.best.name not in worse


def test_the_simplest_map_within_a_standard_error_of_the_best_is_taken() -> None:
    sizes = np.full(10, 100.0)
    noise = np.random.default_rng(0).normal(0, 1, 10)
    losses = [np.stack([50 + change, 10 + change / 100]) for change in (
        np.full(10, 5.0), noise * 0 + 0.3 + noise, noise * 0, noise * 0 + 2,
    )]  # fmt: skip
    trials = [
        calibration_choice._trial(str(i), loss, losses[0], sizes) for i, loss in enumerate(losses)
    ]
    taken = calibration_choice._simplest_of_the_best(trials, [loss[0] for loss in losses], sizes)
    mean, error = calibration_choice.jackknife(losses[1][0] - losses[2][0], sizes)
    assert trials[2].log_loss < trials[1].log_loss
    assert (taken == 1) == (mean <= error)


def test_positives_in_a_single_stretch_give_no_map() -> None:
    """The maps of one stretch are then fitted on windows without a positive."""
    rng = np.random.default_rng(4)
    labels = np.zeros((1000, 1), np.uint8)
    labels[:3] = 1
    probability = rng.uniform(1e-5, 1e-3, labels.shape).astype(np.float32)
    selection = select(labels, probability, np.arange(1000) // 100)
    assert selection.map is None
    assert np.isfinite([trial.log_loss for trial in selection.comparison.trials]).all()


def test_a_map_that_helps_in_some_stretches_only_is_not_saved() -> None:
    generator = np.random.default_rng(0)
    probability = np.tile(generator.uniform(0.05, 0.3, (6000, 1)), 20).astype(np.float32)
    factor = np.where(np.arange(6000) < 4800, 2.0, 0.95)[:, None]  # the last stretch is another one
    labels = (generator.random(probability.shape) < factor * probability).astype(np.uint8)
    found = select(labels, probability, np.arange(6000) // 50)
    assert found.best is not None
    assert found.best.low > 0
    assert found.best.stretches == 4
    assert found.map is None


def test_of_many_labels_every_nth_window_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    probability = generator.random((4000, 3)).astype(np.float32)
    labels = (generator.random((4000, 3)) < probability**2).astype(np.uint8)
    blocks = np.arange(4000) // 100
    all_of_them = select(labels, probability, blocks)
    monkeypatch.setattr(calibration_choice, "_MOST_LABELS", 6000)
    half = select(labels, probability, blocks)
    assert half.comparison == select(labels[::2], probability[::2], blocks[::2]).comparison
    assert half.best is not None
    assert all_of_them.best is not None
    assert half.best.log_loss == pytest.approx(all_of_them.best.log_loss, abs=0.02)


def test_every_probability_of_a_calibrated_run_is_calibrated(
    calibrated: Path, masked_data: Dataset
) -> None:
    plain, model = load(calibrated, calibrated=False), load(calibrated)
    windows = windows_of(masked_data)
    codes = np.where(windows.sum(axis=1) > 0, windows.argmax(axis=1), 4).astype(np.uint8)
    for strands in ("both", "forward"):
        expected = EACH(bioq.predict(plain, windows, strands=strands))
        for result in (
            bioq.predict(model, windows, strands=strands),
            bioq.predict(model, torch.from_numpy(windows) * 1.0, strands=strands),
            predict_codes(model, codes, strands=strands),
        ):
            np.testing.assert_allclose(result, expected, atol=1e-6)
    edits = predict_edits(model, codes[:4], codes[4:8], np.arange(4))
    before = predict_edits(plain, codes[:4], codes[4:8], np.arange(4))
    for result, same in zip(edits, before, strict=True):
        np.testing.assert_allclose(result, EACH(same), atol=1e-6)


@pytest.mark.parametrize("pattern", ["first", "second"])
def test_a_subset_of_the_targets_is_mapped_as_these_targets(
    calibrated: Path, tmp_path: Path, pattern: str
) -> None:
    (tmp_path / "windows.fa").write_text(">a\n" + "ACGTTGCA" * 25 + "\n")
    tables = []
    for options in ([], ["--targets", pattern]):
        out = tmp_path / f"out{len(options)}.tsv"
        command = ["predict", str(calibrated), str(tmp_path / "windows.fa"), "--out", str(out)]
        assert main([*command, *options]) == 0
        tables.append(pd.read_csv(out, sep="\t"))
    everything, chosen = tables
    column = f"probability:{pattern}"
    assert chosen[column].to_numpy() == pytest.approx(everything[column].to_numpy())
    assert (everything["probability:first"] != everything["probability:second"]).all()


@pytest.mark.parametrize("switch", ["0", "1"])
def test_effects_of_a_calibrated_run_are_those_of_its_probabilities(
    calibrated: Path, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOQ_PLAIN", switch)
    codes = np.random.default_rng(0).integers(0, 4, 200).astype(np.uint8)
    plain = mutate_window(load(calibrated, calibrated=False), codes, start=90, end=110)
    reference, effects = mutate_window(load(calibrated), codes, start=90, end=110)
    expected = EACH(plain[0] + plain[1]) - EACH(plain[0])
    np.testing.assert_allclose(reference, EACH(plain[0]), atol=1e-6)
    np.testing.assert_allclose(effects, expected, atol=1e-6)
    assert (np.sign(effects) * np.sign(plain[1]) >= 0).all()
    second = mutate_window(
        load(calibrated), codes, start=90, end=110, targets=np.array([1], dtype=np.int64)
    )
    np.testing.assert_allclose(second[1], effects[..., 1:], atol=1e-7)


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
    np.testing.assert_allclose(reference, EACH(plain[0]), atol=1e-6)
    np.testing.assert_allclose(effects, EACH(plain[0] + plain[1]) - EACH(plain[0]), atol=1e-6)


def test_a_calibration_for_other_weights_is_left_aside_and_said(
    calibrated: Path, capsys: pytest.CaptureFixture[str]
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


def test_the_last_weights_have_no_calibration(calibrated: Path) -> None:
    save_weights(load(calibrated).network, calibrated / "last.safetensors")
    assert load(calibrated, weights="last").calibration is None


def test_a_calibrated_run_is_another_one_for_outputs_that_go_on(calibrated: Path) -> None:
    found = [identities(calibrated)]
    found.append(identities(give_calibration(calibrated, floor(0.25))))
    (calibrated / CALIBRATION_FILE).unlink()
    found.append(identities(calibrated))
    for index in range(2):
        assert len({identity[index] for identity in found}) == 3


def test_a_calibration_of_version_1_is_read_and_applied(
    calibrated: Path, masked_data: Dataset
) -> None:
    as_version_1(calibrated, 0.25)
    plain, model = load(calibrated, calibrated=False), load(calibrated)
    windows = windows_of(masked_data)
    np.testing.assert_allclose(
        bioq.predict(model, windows), 0.25 + 0.75 * bioq.predict(plain, windows), atol=1e-6
    )
    assert model.calibration is not None
    assert model.calibration.name == "floor"
    notes = bioq.evaluate(calibrated, masked_data).summary["notes"]
    assert any("map 'floor'" in note and "on the labels it was fitted on" in note for note in notes)


NUMBERS = {"scale": 1.0, "shift": 0.0, "lowest": 0.1, "tail": 0.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "format is 'other', expected 'bioq-calibration'; calibrate the run"),
        ({"format_version": 3}, "format_version 3, this BioQ reads 2"),
        ({"map": NUMBERS | {"lowest": 1.5}}, r"is not a calibration \(lowest is 1.5\); calibrate"),
        ({"map": NUMBERS | {"lowest": "low"}}, "map.lowest is 'low', expected a number; calibrate"),
        ({"map": NUMBERS | {"scale": float("nan")}}, "map.scale is nan, expected a number"),
        ({"map": NUMBERS | {"shift": [0]}}, r"map.shift is \[0\], expected a number"),
        ({"map": {"scale": 1}}, "is not a calibration"),
        ({"map": 7}, "map is 7, expected an object"),
    ],
)
def test_a_damaged_calibration_is_refused(
    calibrated: Path, changes: dict[str, object], message: str
) -> None:
    rewritten(calibrated, **changes)
    with pytest.raises(BioqError, match=f"calibration.json: .*{message}"):
        load(calibrated)


@pytest.mark.parametrize("lowest", [1.5, "low", float("nan")])
def test_a_damaged_calibration_of_version_1_is_refused(calibrated: Path, lowest: object) -> None:
    as_version_1(calibrated, lowest)
    with pytest.raises(
        BioqError, match=r"calibration.json: .*lowest is .*; calibrate the run again"
    ):
        load(calibrated)
    (calibrated / CALIBRATION_FILE).write_text("{")
    with pytest.raises(BioqError, match=r"calibration.json: is not a calibration"):
        load(calibrated)


def test_a_split_with_labels_of_one_kind_is_refused(run: Path, tmp_path: Path) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "none", description, load(run).targets) as writer:
        with writer.split("valid") as split:
            split.append(np.zeros((3, 200), np.uint8), pack_labels(np.zeros((3, 2), bool)))
    with pytest.raises(
        BioqError, match=r"'valid': all 3 windows are negative for every target, so a"
    ):
        bioq.calibrate(run, open_dataset(tmp_path / "none"))
    assert not (run / CALIBRATION_FILE).exists()


def test_a_split_of_few_blocks_is_refused(run: Path, masked_data: Dataset) -> None:
    with pytest.raises(BioqError, match=r"covers 1 blocks? of 100,000 bp; .* at least 5"):
        bioq.calibrate(run, masked_data)


def test_the_command_prints_the_maps_and_the_evaluation_says_what_was_gained(
    unsure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_for(unsure, tmp_path / "blocks", CalibrationMap(lowest=0.05))
    assert bioq.evaluate(unsure, data, out=tmp_path / "plain").summary["calibrated"] is False
    (unsure / "background.npz").touch()
    capsys.readouterr()
    assert main(["calibrate", str(unsure), str(data.path)]) == 0
    shown, told = capsys.readouterr()
    assert "background.npz has the effects of the earlier probabilities" in told
    result = read_calibration(unsure)
    assert result is not None
    assert f"{result.before['log_loss']:.5f}  {result.after['log_loss']:.5f}".split() in [
        line.split()[2:4] for line in shown.splitlines()
    ]
    assert [line for line in shown.splitlines() if line.endswith("chosen")]
    assert shown.endswith(f"{unsure / CALIBRATION_FILE}\n")
    bioq.evaluate(unsure, data, split="valid", out=tmp_path / "valid")
    printed = capsys.readouterr().err
    assert (
        "note: the probabilities are calibrated: map 'floor', fitted on the split 'valid' of "
        f"blocks (1,500 windows); cross-validated log loss from {result.before['log_loss']:.5f} to "
    ) in printed
    assert "the calibration was fitted on the split 'valid' that is scored here" in printed
    assert read_evaluation(tmp_path / "valid", "valid").summary["calibrated"] is True


@pytest.mark.parametrize(("here", "direction"), [(10, "low"), (2, "high")])
def test_another_base_rate_is_named(run: Path, tmp_path: Path, here: int, direction: str) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "rates", description, load(run).targets) as writer:
        for name, positives in (("train", 6), ("valid", 5), ("test", here)):
            labels = np.zeros((400, 2), bool)
            labels[: 20 * positives, 0] = True
            with writer.split(name) as split:
                split.append(np.zeros((400, 200), np.uint8), pack_labels(labels))
    data = open_dataset(tmp_path / "rates")
    rates = f"{here * 2.5:.1f} % of the labels are positive in test, "
    notes = bioq.evaluate(run, data).summary["notes"]
    assert (
        f"{rates}15.0 % in train, 12.5 % in valid: probabilities learned on train tend to be too "
        f"{direction} here"
    ) in notes
    give_calibration(run, EACH, {"fingerprint": data.fingerprint})
    notes = bioq.evaluate(run, data, out=tmp_path / "other").summary["notes"]
    assert (
        f"{rates}12.5 % in valid, 15.0 % in train: probabilities calibrated on valid tend to be "
        f"too {direction} here"
    ) in notes
    assert not any("tend to be too" in note for note in _valid_notes(run, data, tmp_path))


def _valid_notes(run: Path, data: Dataset, folder: Path) -> list[str]:
    return bioq.evaluate(run, data, split="valid", out=folder / "valid").summary["notes"]


def test_a_data_set_of_other_targets_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    table = load(run).targets.assign(name=["first", "other"])
    with new_dataset(tmp_path / "other", description, table):
        pass
    assert main(["calibrate", str(run), str(tmp_path / "other")]) == 1
    assert "target 2 is 'other', in the run" in capsys.readouterr().err
