"""Training learns, is seeded, resumes bit for bit, keeps the best weights and stops on NaN."""

import dataclasses
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

import bioq
from bioq import BioqError, ModelSizes, TrainConfig, UsageError
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.forward import predict_split
from bioq.plots.run import figures_of_training
from bioq.runs.best_epoch import score_name
from bioq.runs.folder import read_config, read_history
from bioq.training.augmentation import EpochOrder
from bioq.training.loop import TrainingLoop
from bioq.training.recipes import RECIPES, learning_rate_at

SMALL = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
LSTM = replace(SMALL, filters=16, lstm_units=8, dense_units=16)
CONVOLUTIONS = ModelSizes(filters=16, pool_width=2, dense_units=16)
QUICK = TrainConfig(epochs=3, batch_size=8, patience=0, lr=5e-3, warmup_epochs=0.0)
TIMINGS = ["seconds", "windows_per_s"]


def files_of(run: Path) -> tuple[bytes, bytes, pd.DataFrame]:
    weights = [(run / name).read_bytes() for name in ("model.safetensors", "last.safetensors")]
    return weights[0], weights[1], read_history(run).drop(columns=TIMINGS)


def assert_same_run(first: Path, second: Path) -> None:
    best, last, history = files_of(first)
    other_best, other_last, other_history = files_of(second)
    assert best == other_best
    assert last == other_last
    pd.testing.assert_frame_equal(history, other_history, check_exact=True)


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("bioq", LSTM),
        ("danq", LSTM),
        ("danq", replace(LSTM, gates="hard")),
        ("deepsea", replace(CONVOLUTIONS, filter_width=8)),
        ("beluga", replace(CONVOLUTIONS, filter_width=5)),
    ],
)
def test_training_learns_a_planted_motif(model: str, sizes: ModelSizes, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    description = Description(made_by="peaks", window_bp=100, bin_bp=20, label_rule="any")
    motif = np.array([0, 3, 2, 0, 1, 3, 1, 0], dtype=np.uint8)
    with new_dataset(tmp_path / "data", description, pd.DataFrame({"name": ["motif"]})) as writer:
        for name, windows in (("train", 800), ("valid", 200)):
            codes = random.integers(0, 4, (windows, 100)).astype(np.uint8)
            labels = random.random((windows, 1)) < 0.5
            for row in np.flatnonzero(labels[:, 0]):
                start = random.integers(40, 52)
                codes[row, start : start + 8] = motif
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    config = TrainConfig(epochs=12, batch_size=16, lr=2e-3, patience=0, strands="forward")
    bioq.train(tmp_path / "data", tmp_path / "run", model=model, sizes=sizes, config=config)
    assert read_history(tmp_path / "run")["valid_macro_roc_auc"].max() > 0.9


def test_history_agrees_with_scikit_learn(masked_data: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(epochs=1, patience=0)
    model = bioq.train(masked_data, tmp_path / "run", model="bioq", sizes=SMALL, config=config)
    split = masked_data["valid"]
    probability, labels = predict_split(model, split), split.labels()
    row = read_history(tmp_path / "run").iloc[0]
    for kind in ("macro", "micro"):
        auc = roc_auc_score(labels, probability, average=kind)
        precision = average_precision_score(labels, probability, average=kind)
        assert row[f"valid_{kind}_roc_auc"] == pytest.approx(auc, abs=1e-9)
        assert row[f"valid_{kind}_average_precision"] == pytest.approx(precision, abs=1e-9)
    loss = nn.functional.binary_cross_entropy(
        torch.from_numpy(probability).double(), torch.from_numpy(labels).double()
    )
    assert row["valid_loss"] == pytest.approx(loss.item(), abs=1e-9)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    masked_data: Dataset, tmp_path: Path
) -> None:
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        config = TrainConfig(**{**vars(QUICK), "seed": seed})
        bioq.train(masked_data, tmp_path / name, model="bioq", sizes=SMALL, config=config)
    assert_same_run(tmp_path / "first", tmp_path / "second")
    assert files_of(tmp_path / "first")[0] != files_of(tmp_path / "third")[0]


@pytest.mark.parametrize("strands", ["random", "both", "forward"])
def test_where_the_data_lies_changes_nothing(
    masked_data: Dataset, tmp_path: Path, strands: str
) -> None:
    for data_in in ("disk", "memory", "device"):
        config = TrainConfig(**{**vars(QUICK), "data_in": data_in, "strands": strands})
        bioq.train(masked_data, tmp_path / data_in, model="danq", sizes=SMALL, config=config)
    assert_same_run(tmp_path / "disk", tmp_path / "memory")
    assert_same_run(tmp_path / "disk", tmp_path / "device")


def test_training_leaves_the_callers_random_numbers_alone(
    masked_data: Dataset, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=TrainConfig(epochs=1))
    torch.testing.assert_close(torch.rand(3), expected)


def gradient_norms(data: Dataset, run: Path, clip_norm: float) -> list[float]:
    """The norm of the gradient by which each step of an epoch moves the weights."""
    norms, take_step = [], torch.optim.AdamW.step

    def noted(optimizer: torch.optim.AdamW) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        norms.append(math.sqrt(sum(float((weight.grad**2).sum()) for weight in weights)))
        take_step(optimizer)

    config = dataclasses.replace(QUICK, epochs=1, clip_norm=clip_norm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        bioq.train(data, run, model="danq", sizes=SMALL, config=config)
    return norms


def test_gradients_are_clipped_to_the_norm(masked_data: Dataset, tmp_path: Path) -> None:
    free = gradient_norms(masked_data, tmp_path / "free", 0.0)
    clipped = gradient_norms(masked_data, tmp_path / "clipped", 0.01)
    assert len(free) == len(clipped) == 5
    assert min(free) > 0.02, "without clipping the gradients are larger"
    np.testing.assert_allclose(clipped, 0.01, rtol=1e-3)


def test_every_step_drops_other_units(
    masked_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks: list[torch.Tensor] = []
    dropout = nn.functional.dropout

    def noted(values: torch.Tensor, p: float, training: bool, inplace: bool) -> torch.Tensor:
        state = torch.get_rng_state()
        masks.append(dropout(torch.ones_like(values), p, training).bool())
        torch.set_rng_state(state)
        return dropout(values, p, training, inplace)

    monkeypatch.setattr(nn.functional, "dropout", noted)
    one_layer = dataclasses.replace(SMALL, dropout_conv=0.0)
    config = dataclasses.replace(QUICK, epochs=2)
    bioq.train(masked_data, tmp_path / "run", model="danq", sizes=one_layer, config=config)
    drops = [mask for mask in masks if not mask.all()]
    assert len(drops) == 10, "five steps per epoch"
    pairs = itertools.combinations(drops, 2)
    assert not any(torch.equal(first, second) for first, second in pairs)


def test_average_keeps_the_running_mean_of_the_weights_after_every_step(
    masked_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_steps: list[dict[str, torch.Tensor]] = []
    step = TrainingLoop._step

    def noted(loop: TrainingLoop, batch: EpochOrder) -> torch.Tensor:
        loss = step(loop, batch)
        weights = loop.state.network.named_parameters()
        after_steps.append({name: weight.detach().clone() for name, weight in weights})
        return loss

    monkeypatch.setattr(TrainingLoop, "_step", noted)
    config = dataclasses.replace(QUICK, epochs=1, average=0.75)
    model = bioq.train(masked_data, tmp_path / "run", model="danq", sizes=SMALL, config=config)
    mean = after_steps[0]
    for weights in after_steps[1:]:
        mean = {name: 0.75 * mean[name] + 0.25 * weight for name, weight in weights.items()}
    assert len(after_steps) == 5
    for name, weight in model.network.named_parameters():
        torch.testing.assert_close(weight.detach(), mean[name], rtol=0, atol=1e-6)
        assert not torch.equal(weight, after_steps[-1][name]), name


SLOW_TRAINING = """
import sys, time
import bioq, bioq.training.loop
from bioq import ModelSizes, TrainConfig
step = bioq.training.loop.TrainingLoop._step
def slow(self, *batch):
    time.sleep(0.03)
    return step(self, *batch)
bioq.training.loop.TrainingLoop._step = slow
bioq.train(
    sys.argv[1], sys.argv[2], model="bioq", resume=sys.argv[3] == "resume",
    sizes=ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8),
    config=TrainConfig(epochs=3, batch_size=8, patience=0, lr=5e-3, warmup_epochs=0.0,
                       checkpoint_min=0.0005, average=0.9, shift=5),
)
"""


def test_resume_after_kill_9_gives_the_same_bytes(masked_data: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, average=0.9, shift=5)
    bioq.train(masked_data, tmp_path / "whole", model="bioq", sizes=SMALL, config=config)
    run = tmp_path / "killed"
    kills = 0
    for attempt in range(4):
        how = "resume" if run.exists() else "start"
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_TRAINING, str(masked_data.path), str(run), how],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        _wait_for_progress(process, run, attempt)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            break
    assert kills >= 2, "the training was to be killed while it ran"
    bioq.train(masked_data, run, model="bioq", sizes=SMALL, resume=True)
    assert_same_run(tmp_path / "whole", run)


def _wait_for_progress(process: subprocess.Popen[bytes], run: Path, attempt: int) -> None:
    """Wait until the process has written a checkpoint of its own, then a moment more."""
    state = run / "resume" / "state.safetensors"
    before = state.stat().st_mtime_ns if state.exists() else 0
    while process.poll() is None:
        if state.exists() and state.stat().st_mtime_ns != before:
            time.sleep(0.01 * attempt)
            return
        time.sleep(0.005)


def test_a_finished_run_is_left_as_it_is(masked_data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bioq.train(masked_data, run, sizes=SMALL, config=QUICK)
    before = files_of(run)
    bioq.train(masked_data, run, sizes=SMALL, resume=True)
    assert files_of(run)[:2] == before[:2]
    pd.testing.assert_frame_equal(files_of(run)[2], before[2])


def test_a_run_of_a_version_with_fewer_options_goes_on(
    masked_data: Dataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    bioq.train(masked_data, run, sizes=SMALL, config=QUICK)
    file = run / "config.json"
    config = json.loads(file.read_text())
    for name in ("shift", "average", "from", "freeze"):
        del config["training"][name]
    file.write_text(json.dumps(config))
    before = files_of(run)
    bioq.train(masked_data, run, sizes=SMALL, resume=True)
    assert files_of(run)[:2] == before[:2]
    with pytest.raises(UsageError, match=r"started with shift None, not 4"):
        bioq.train(masked_data, run, config=TrainConfig(shift=4), resume=True)


def test_a_run_keeps_its_recipe_when_a_later_version_has_another(
    masked_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, recipe = tmp_path / "run", dataclasses.replace(RECIPES["bioq"], epochs=2)
    monkeypatch.setitem(RECIPES, "bioq", recipe)
    config = TrainConfig(recipe="bioq")
    bioq.train(masked_data, run, model="bioq", sizes=SMALL, config=config)
    before = files_of(run)
    monkeypatch.setitem(RECIPES, "bioq", dataclasses.replace(recipe, epochs=3, average=0.5))
    bioq.train(masked_data, run, sizes=SMALL, resume=True)
    assert files_of(run)[:2] == before[:2]
    assert len(files_of(run)[2]) == 2


def test_a_shift_that_leaves_nothing_of_a_window_is_refused(
    masked_data: Dataset, tmp_path: Path
) -> None:
    window_bp = masked_data.description.window_bp
    config = dataclasses.replace(QUICK, shift=window_bp)
    with pytest.raises(
        UsageError,
        match=f"--shift {window_bp} would move every base out of a window of {window_bp}",
    ):
        bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="--shift -1, expected 0 or more"):
        bioq.train(masked_data, tmp_path / "run", config=TrainConfig(shift=-1))


def test_resume_with_other_settings_is_refused(masked_data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bioq.train(masked_data, run, sizes=SMALL, config=QUICK)
    with pytest.raises(UsageError, match=r"started with epochs 3, not 9"):
        bioq.train(masked_data, run, config=TrainConfig(epochs=9), resume=True)
    with pytest.raises(UsageError, match=r"started with filters 8, not 9; resume it without"):
        bioq.train(masked_data, run, sizes=ModelSizes(filters=9), resume=True)
    with pytest.raises(UsageError, match=r"started with model 'marq', not 'danq'"):
        bioq.train(masked_data, run, model="danq", resume=True)
    once = dataclasses.replace(QUICK, epochs=1)
    bioq.train(masked_data, tmp_path / "danq", model="danq", sizes=SMALL, config=once)
    with pytest.raises(UsageError, match=r"started with model 'danq', not 'bioq'"):
        bioq.train(masked_data, tmp_path / "danq", model="bioq", resume=True)


def test_resume_with_another_data_set_is_refused(masked_data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bioq.train(masked_data, run, sizes=SMALL, config=QUICK)
    table = pd.DataFrame({"name": ["first", "second"]})
    with new_dataset(tmp_path / "other", masked_data.description, table) as writer:
        with writer.split("train") as split:
            split.append(np.zeros((9, 200), np.uint8), pack_labels(np.zeros((9, 2))))
    with pytest.raises(BioqError, match="resume with the data set that it was started with"):
        bioq.train(tmp_path / "other", run, resume=True)


def test_resume_of_no_run_and_start_over_a_run_are_refused(
    masked_data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(BioqError, match="none: no such folder"):
        bioq.train(masked_data, tmp_path / "none", resume=True)
    bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=TrainConfig(epochs=1))
    with pytest.raises(BioqError, match=r"run: has a finished training; give a folder that does"):
        bioq.train(masked_data, tmp_path / "run", sizes=SMALL)


def test_a_damaged_checkpoint_is_named(masked_data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bioq.train(masked_data, run, sizes=SMALL, config=QUICK)
    state = run / "resume" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(BioqError, match=r"state.safetensors: is not a readable safetensors file"):
        bioq.train(masked_data, run, resume=True)


def test_a_loss_that_is_no_number_stops_with_advice(masked_data: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(lr=1e30, clip_norm=0.0, epochs=5, warmup_epochs=0.0, optimizer="rmsprop")
    with pytest.raises(BioqError) as error:
        bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    assert "the training loss is no longer a number in epoch" in str(error.value)
    assert "try a lower --lr (it is 1e+30)" in str(error.value)


def test_best_weights_are_those_of_the_best_epoch(masked_data: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(QUICK), "epochs": 8, "lr": 0.05})
    model = bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    history = read_history(tmp_path / "run")
    split = masked_data["valid"]
    at_best = roc_auc_score(split.labels(), predict_split(model, split))
    best = history["valid_macro_roc_auc"].max()
    assert at_best == pytest.approx(best, abs=1e-9)
    last = bioq.load(tmp_path / "run", weights="last")
    at_last = roc_auc_score(split.labels(), predict_split(last, split))
    expected = history["valid_macro_roc_auc"].iloc[-1]
    assert at_last == pytest.approx(expected, abs=1e-9)


def test_patience_stops_early(masked_data: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(QUICK), "epochs": 40, "patience": 2, "lr": 0.05})
    bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    scores = read_history(tmp_path / "run")["valid_macro_roc_auc"]
    assert len(scores) < 40
    assert len(scores) - 1 - scores.idxmax() == 2


def test_without_validation_the_last_weights_are_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "data", description, pd.DataFrame({"name": ["one"]})) as writer:
        with writer.split("train") as split:
            codes = np.random.default_rng(0).integers(0, 4, (20, 200)).astype(np.uint8)
            split.append(codes, pack_labels(codes[:, :1] == 0))
    run = tmp_path / "run"
    bioq.train(open_dataset(tmp_path / "data"), run, sizes=SMALL, config=QUICK)
    assert (run / "model.safetensors").read_bytes() == (run / "last.safetensors").read_bytes()
    assert read_history(run)["valid_loss"].isna().all()
    shown = capsys.readouterr().err
    assert "\nbest epoch 3 of 3, the last: nothing was validated; " in shown
    assert "undefined" not in shown


def test_an_empty_train_split_is_refused(tmp_path: Path) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "data", description, pd.DataFrame({"name": ["one"]})) as writer:
        with writer.split("train"):
            pass
    with pytest.raises(BioqError, match="the train split is empty"):
        bioq.train(tmp_path / "data", tmp_path / "run")


def test_outputs_start_at_the_positive_rates(masked_data: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(epochs=1, lr=1e-12, warmup_epochs=0.0)
    model = bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    rate = (masked_data["train"].labels().sum(axis=0) + 1) / (len(masked_data["train"]) + 2)
    bias = model.network.output.bias.detach().numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), rate, atol=1e-6)


def test_bf16_trains_to_nearly_the_same_loss(masked_data: Dataset, tmp_path: Path) -> None:
    losses = []
    for precision in ("32", "bf16"):
        config = TrainConfig(**{**vars(QUICK), "precision": precision})
        bioq.train(masked_data, tmp_path / precision, sizes=SMALL, config=config)
        losses.append(read_history(tmp_path / precision)["train_loss"].iloc[-1])
    assert math.isclose(*losses, rel_tol=0.05)


def test_tensorboard_gets_what_the_history_gets(masked_data: Dataset, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = TrainConfig(**{**vars(QUICK), "tensorboard": True})
    bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    logged = [event.value for event in events.Scalars("valid_loss")]
    np.testing.assert_allclose(logged, read_history(tmp_path / "run")["valid_loss"], rtol=1e-5)


def test_tensorboard_without_its_package_is_refused_before_anything_is_said_or_written(
    masked_data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bioq.training.loop.find_spec", lambda name: None)
    config = TrainConfig(**{**vars(QUICK), "tensorboard": True})
    with pytest.raises(UsageError, match=r"pip install 'bioq\[tensorboard\]'"):
        bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=config)
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "run").exists()


def test_filters_start_from_the_motifs_of_a_file(masked_data: Dataset, tmp_path: Path) -> None:
    meme = tmp_path / "one.meme"
    rows = "\n".join(["1 0 0 0", "0 1 0 0"] * 3)
    meme.write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF one\n"
        f"letter-probability matrix: alength= 4 w= 6 nsites= 20 E= 0\n{rows}\n"
    )
    config = TrainConfig(epochs=1, lr=1e-12, warmup_epochs=0.0)
    model = bioq.train(masked_data, tmp_path / "run", sizes=SMALL, motifs=str(meme), config=config)
    first = model.network.conv.weight[0].detach().numpy()  # type: ignore[union-attr, index]
    expected = np.array([[1, 0, 0, 0], [0, 1, 0, 0]] * 3).T - 0.25
    result = [abs(first[:, start : start + 6] - expected).max() for start in range(3)]
    assert min(result) < 1e-6


def test_the_seed_decides_how_filters_start_from_motifs(
    masked_data: Dataset, tmp_path: Path
) -> None:
    meme = tmp_path / "one.meme"
    meme.write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF one\n"
        "letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n1 0 0 0\n0 1 0 0\n"
    )
    biases = []
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        config = TrainConfig(epochs=1, lr=1e-12, warmup_epochs=0.0, seed=seed)
        run = tmp_path / name
        model = bioq.train(masked_data, run, sizes=SMALL, motifs=str(meme), config=config)
        biases.append(model.network.conv.bias[0].item())  # type: ignore[union-attr, index]
    assert biases[0] == pytest.approx(biases[1], abs=1e-6)
    assert abs(biases[0] - biases[2]) > 1e-3


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "data", description, pd.DataFrame({"name": ["a"]})) as writer:
        with writer.split("train") as split:
            split.append(np.zeros((9, 200), np.uint8), pack_labels(np.eye(9, 1)))
    bioq.train(tmp_path / "data", tmp_path / "run", sizes=SMALL, config=QUICK)
    best, last, history = files_of(tmp_path / "run")
    assert best == last
    recipe = QUICK.resolve(9)
    rates = [learning_rate_at(recipe, 2 * epoch - 1, 2) for epoch in (1, 2, 3)]
    assert history["learning_rate"].tolist() == rates, "the rate of an epoch's last step"


def data_without_positives_in_validation(folder: Path) -> Path:
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    random = np.random.default_rng(0)
    with new_dataset(folder, description, pd.DataFrame({"name": ["a", "b"]})) as writer:
        for name, windows in (("train", 40), ("valid", 20)):
            with writer.split(name) as split:
                codes = random.integers(0, 4, (windows, 200)).astype(np.uint8)
                labels = random.random((windows, 2)) < (0.5 if name == "train" else 0)
                split.append(codes, pack_labels(labels))
    return folder


@pytest.mark.parametrize("score", ["valid_macro_roc_auc", "valid_micro_average_precision"])
def test_a_validation_score_that_is_undefined_is_told_once_with_what_decides_instead(
    tmp_path: Path, score: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = data_without_positives_in_validation(tmp_path / "data"), tmp_path / "run"
    options = [
        f"--select-by={score}", "--epochs=30", "--batch-size=8", "--lr=0.05", "--patience=2",
        "--filters=8", "--filter-width=8", "--pool-width=10", "--lstm-units=4", "--dense-units=8",
    ]  # fmt: skip
    assert main(["train", str(data), "--out", str(run), *options]) == 0
    lines = capsys.readouterr().err.splitlines()
    history = read_history(run)
    assert history[score].isna().all()
    assert history["valid_loss"].notna().all()
    (told,) = (number for number, line in enumerate(lines) if re.match("note: .*undefined", line))
    assert told < next(number for number, line in enumerate(lines) if line.startswith("epoch 1/30"))
    assert lines[told] == (
        f"note: {data}: split 'valid': all 20 windows are negative for every target, so its ROC "
        f"AUC and average precision are undefined: valid_loss, not {score}, chooses the best epoch "
        "and stops the training early; give --valid-chrom contigs with peaks and build the data "
        "set again"
    )
    best, words = int(history["valid_loss"].idxmin()) + 1, score_name(score)
    assert len(history) == best + 2 < 30, "stopped early by the loss"
    assert lines[-1].startswith(
        f"best epoch {best} of {best + 2} by validation loss, because {words} is undefined; "
    )
    split = open_dataset(data)["valid"]
    probability = predict_split(bioq.load(run), split)
    loss = -np.log1p(-probability.astype(float)).mean()
    assert loss == pytest.approx(history["valid_loss"].min(), rel=1e-4)
    (caption,) = [
        drawn.caption
        for drawn in figures_of_training(run, read_config(run))
        if drawn.name == "validation_scores"
    ]
    assert f"of the best epoch by validation loss, because {words} is undefined. " in caption


def test_a_resumed_training_does_not_tell_an_undefined_score_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = data_without_positives_in_validation(tmp_path / "data"), tmp_path / "run"
    finish = TrainingLoop._finish_epoch

    def fails_in_epoch_2(self: TrainingLoop) -> dict[str, float]:
        if self.state.position.epoch == 1:
            raise KeyboardInterrupt
        return finish(self)

    config = dataclasses.replace(QUICK, select_by="valid_macro_roc_auc")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_finish_epoch", fails_in_epoch_2)
        with pytest.raises(KeyboardInterrupt):
            bioq.train(data, run, sizes=SMALL, config=config)
    assert capsys.readouterr().err.count("are undefined") == 1
    bioq.train(data, run, sizes=SMALL, config=config, resume=True)
    lines = capsys.readouterr().err.splitlines()
    assert not any("are undefined" in line for line in lines)
    assert "by validation loss, because macro ROC AUC is undefined" in lines[-1]


def test_the_last_line_names_the_score_that_chose_the_epoch(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for score in ("valid_loss", "valid_micro_average_precision"):
        config = dataclasses.replace(QUICK, select_by=score)
        bioq.train(masked_data, tmp_path / score, sizes=SMALL, config=config)
        history = read_history(tmp_path / score)[score]
        best = 1 + int(history.idxmin() if score == "valid_loss" else history.idxmax())
        shown = capsys.readouterr().err
        assert f"\nbest epoch {best} of 3 by {score_name(score)}; " in shown
        assert "undefined" not in shown
