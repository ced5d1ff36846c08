"""Training from a run: what is taken over, what learns, where it came from, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss

import bioq
import bioq.training.loop
from bioq import BioqError, ModelSizes, TrainConfig, UsageError
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.files import sha256
from bioq.forward import predict_split
from bioq.runs.folder import read_config, read_history
from bioq.runs.weights import read_tensors
from bioq.training.recipes import FINE_TUNING_RATE, FROZEN_RATE

SIZES = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
CONVOLUTIONS = ModelSizes(filters=8, filter_width=6, pool_width=3, dense_units=8)
QUICK = TrainConfig(epochs=3, batch_size=8, lr=5e-3, warmup_epochs=0.0, device="cpu")
STILL = replace(QUICK, epochs=1, lr=1e-12)
"""One epoch that moves no weight by as much as float32 can tell."""


def write_data(folder: Path, names: list[str], *, window_bp: int = 200) -> Dataset:
    """Write 40 windows to train and 20 to validate; the target of number t says that the base at
    100 + t is C."""
    random = np.random.default_rng(1)
    description = Description(made_by="peaks", window_bp=window_bp, bin_bp=40, label_rule="half")
    with new_dataset(folder, description, pd.DataFrame({"name": names})) as writer:
        for split_name, windows in (("train", 40), ("valid", 20)):
            codes = random.integers(0, 4, (windows, window_bp)).astype(np.uint8)
            labels = codes[:, 100 : 100 + len(names)] == 1
            with writer.split(split_name) as split:
                split.append(codes, pack_labels(labels))
    return open_dataset(folder)


@pytest.fixture
def source(masked_data: Dataset, tmp_path: Path) -> Path:
    """A run whose targets are `first` and `second`."""
    bioq.train(masked_data, tmp_path / "source", model="bioq", sizes=SIZES, config=QUICK)
    return tmp_path / "source"


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Other windows, for other targets and `second`."""
    return write_data(tmp_path / "other", ["new", "second", "newer"])


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return read_tensors(run / f"{name}.safetensors")[0]


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("bioq", SIZES),
        ("danq", replace(SIZES, gates="hard")),
        ("deepsea", replace(CONVOLUTIONS, floor=1e-6)),
        ("beluga", CONVOLUTIONS),
    ],
)
def test_layers_and_outputs_of_the_same_targets_are_taken_over(
    masked_data: Dataset, data: Dataset, tmp_path: Path, model: str, sizes: ModelSizes
) -> None:
    run, tuned = tmp_path / "run", tmp_path / "tuned"
    bioq.train(masked_data, run, model=model, sizes=sizes, config=replace(QUICK, epochs=1))
    bioq.train(data, tuned, from_run=run, config=STILL)
    before, after = weights_of(run, "model"), weights_of(tuned)
    assert before.keys() == after.keys()
    for name in before.keys() - {"output.weight", "output.bias"}:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-7)
    for name in ("output.weight", "output.bias"):  # `second` is row 1 of both
        torch.testing.assert_close(after[name][1], before[name][1], rtol=0, atol=1e-7)
    rate = (data["train"].labels().sum(axis=0) + 1) / (40 + 2)
    np.testing.assert_allclose(
        after["output.bias"][[0, 2]], np.log(rate / (1 - rate))[[0, 2]], atol=1e-6
    )
    assert read_config(tuned).model == {**read_config(run).model, "targets": 3}


PARTS_OF_TARGETS = {
    "marq": {
        "output.weight": 0,
        "output.bias": 0,
        "mean.queries": 0,
        "window.output.weight": 0,
        "composition.weight": 0,
        "composition.bias": 0,
    },
    "deepatt": {"output.weight": 0, "output.bias": 0, "attention.query.weight": 1},
}
"""Weights that belong to single targets, and the dimension that counts these."""
OWN_SIZES = {
    "marq": ModelSizes(lstm_units=4, dense_units=8),
    "deepatt": ModelSizes(attention_units=8, attention_heads=2),
}


@pytest.mark.parametrize("model", PARTS_OF_TARGETS)
def test_queries_of_targets_are_taken_over_with_them(
    masked_data: Dataset, data: Dataset, tmp_path: Path, model: str
) -> None:
    sizes = replace(OWN_SIZES[model], filters=8, filter_width=8, pool_width=10)
    run, parts = tmp_path / "run", PARTS_OF_TARGETS[model]
    bioq.train(masked_data, run, model=model, sizes=sizes, config=replace(QUICK, epochs=1))
    before = weights_of(run, "model")
    bioq.train(data, tmp_path / "tuned", from_run=run, config=STILL)
    bioq.train(data, tmp_path / "frozen", from_run=run, freeze=True, config=QUICK)
    tuned, frozen = weights_of(tmp_path / "tuned"), weights_of(tmp_path / "frozen")
    for name, old in before.items():
        if name not in parts:
            torch.testing.assert_close(tuned[name], old, rtol=0, atol=1e-7)
            assert torch.equal(frozen[name], old), name
            continue
        taken, learned = (now[name].movedim(parts[name], 0) for now in (tuned, frozen))
        old = old.movedim(parts[name], 0)  # `second` is row 1 of both
        torch.testing.assert_close(taken[1], old[1], rtol=0, atol=1e-7)
        assert (taken[[0, 2]] != old[0]).any()
        is_fitted = name.startswith("composition")  # and does not learn
        assert torch.equal(learned[1], old[1]) == is_fitted, name
    bioq.train(data, tmp_path / "all", from_run=tmp_path / "tuned", config=STILL)
    for name, now in weights_of(tmp_path / "all").items():
        torch.testing.assert_close(now, tuned[name], rtol=0, atol=1e-7)


def test_targets_are_told_apart_by_name_in_any_order(source: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "turned", ["second", "new", "first"])
    tuned = bioq.train(data, tmp_path / "tuned", from_run=source, config=STILL)
    before = predict_split(bioq.load(source), data["valid"])
    after = predict_split(tuned, data["valid"])
    np.testing.assert_allclose(after[:, [2, 0]], before, atol=1e-6)
    assert np.abs(after[:, 1] - before[:, 1]).max() > 1e-3


def test_the_configuration_says_where_the_network_came_from(
    source: Path, data: Dataset, masked_data: Dataset, tmp_path: Path
) -> None:
    bioq.train(data, tmp_path / "tuned", from_run=source, freeze=True, config=STILL)
    training = read_config(tmp_path / "tuned").training
    assert training["freeze"] is True
    assert training["from"] == {
        "run": "source",
        "path": str(source),
        "sha256": sha256(source / "model.safetensors"),
        "data_fingerprint": masked_data.fingerprint,
        "targets": 2,
        "targets_kept": 1,
    }


def test_frozen_only_the_output_layer_learns(source: Path, data: Dataset, tmp_path: Path) -> None:
    for name, freeze in (("frozen", True), ("whole", False)):
        bioq.train(data, tmp_path / name, from_run=source, freeze=freeze, config=QUICK)
    before = weights_of(source, "model")
    frozen, whole = weights_of(tmp_path / "frozen"), weights_of(tmp_path / "whole")
    for name in before.keys() - {"output.weight", "output.bias"}:
        assert torch.equal(frozen[name], before[name]), name
        assert not torch.equal(whole[name], before[name]), name
    assert not torch.equal(frozen["output.weight"][1], before["output.weight"][1])
    state, _ = read_tensors(tmp_path / "frozen" / "resume" / "state.safetensors")
    learning = {name.split(".")[1] for name in state if name.startswith("optimizer.")}
    assert learning == {"0", "1"}, "the optimizer knows two parameters"


def test_a_frozen_network_drops_nothing_while_its_output_learns(
    source: Path, masked_data: Dataset, tmp_path: Path
) -> None:
    """One step of all windows: its loss is that of the source's own predictions."""
    split = masked_data["train"]
    probability = predict_split(bioq.load(source), split, strands="forward")
    expected = np.mean(
        [log_loss(split.labels()[:, target], probability[:, target]) for target in range(2)]
    )
    one_step = replace(STILL, batch_size=40, strands="forward")
    losses = {}
    for name, freeze in (("frozen", True), ("whole", False)):
        bioq.train(masked_data, tmp_path / name, from_run=source, freeze=freeze, config=one_step)
        losses[name] = read_history(tmp_path / name)["train_loss"].iloc[0]
    assert losses["frozen"] == pytest.approx(expected, abs=1e-6)
    assert losses["whole"] != pytest.approx(expected, abs=1e-4)


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Have the next training stop as at Ctrl-C after so many steps, with a checkpoint at each."""
    step, taken = bioq.training.loop.TrainingLoop._step, []

    def counted(self: Any, *batch: Any) -> Any:
        if len(taken) == steps:
            raise KeyboardInterrupt
        taken.append(1)
        return step(self, *batch)

    monkeypatch.setattr(bioq.training.loop.TrainingLoop, "_step", counted)


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("steps", [0, 7])
def test_resume_gives_the_same_bytes(
    source: Path, data: Dataset, tmp_path: Path, freeze: bool, steps: int
) -> None:
    config = replace(QUICK, checkpoint_min=0.0)
    bioq.train(data, tmp_path / "whole", from_run=source, freeze=freeze, config=config)
    run = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(KeyboardInterrupt):
            bioq.train(data, run, from_run=source, freeze=freeze, config=config)
    assert (run / "resume").exists() == bool(steps)
    if steps:
        shutil.rmtree(source)  # the checkpoint has all that is needed
    bioq.train(data, run, resume=True)
    for name in ("model.safetensors", "last.safetensors"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_start_that_has_changed_before_the_first_checkpoint_is_refused(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 0)
        with pytest.raises(KeyboardInterrupt):
            bioq.train(data, tmp_path / "tuned", from_run=source, config=QUICK)
    with open(source / "model.safetensors", "ab") as file:
        file.write(b"more")
    with pytest.raises(BioqError, match=r"has other weights than when .*tuned was started from it"):
        bioq.train(data, tmp_path / "tuned", resume=True)
    shutil.rmtree(source)
    with pytest.raises(BioqError, match=r"model.safetensors: no such file; expected a run that"):
        bioq.train(data, tmp_path / "tuned", resume=True)


def test_resume_with_another_start_is_refused(source: Path, data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "tuned"
    bioq.train(data, run, from_run=source, config=QUICK)
    bioq.train(data, run, from_run=source, resume=True)  # the same may be said again
    with pytest.raises(UsageError, match=r"started with from '.*source', not '.*else'; resume"):
        bioq.train(data, run, from_run=tmp_path / "else", resume=True)
    with pytest.raises(UsageError, match=r"started with freeze False, not True; resume"):
        bioq.train(data, run, from_run=source, freeze=True, resume=True)
    plain = tmp_path / "source"
    with pytest.raises(BioqError, match=r"resume with the data set"):
        bioq.train(data, plain, from_run=run, resume=True)


def test_two_devices_have_the_curve_of_one(source: Path, data: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    for name, devices in (("one", 1), ("two", 2)):
        config = replace(QUICK, devices=devices)
        bioq.train(data, tmp_path / name, from_run=source, freeze=True, config=config)
    one, two = read_history(tmp_path / "one"), read_history(tmp_path / "two")
    for column in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "freeze", "rate"),
    [
        (TrainConfig(), False, FINE_TUNING_RATE),
        (TrainConfig(), True, FROZEN_RATE),
        (TrainConfig(lr=0.125), True, 0.125),
        (TrainConfig(recipe="bioq"), False, 1e-5),
    ],
)
def test_the_learning_rate_is_one_for_fine_tuning_unless_named(
    source: Path, data: Dataset, tmp_path: Path, config: TrainConfig, freeze: bool, rate: float
) -> None:
    once = replace(config, epochs=1)
    bioq.train(data, tmp_path / "tuned", from_run=source, freeze=freeze, config=once)
    assert read_config(tmp_path / "tuned").training["resolved"]["learning_rate"] == rate


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--from", "run", "--model", "bioq"],
            "--model with --from run: the network is that run's",
        ),
        (["--from", "run", "--filters", "8"], "--filters with --from run"),
        (
            ["--from", "run", "--motifs", "JASPAR2024", "--dense-units", "4"],
            "--motifs, --dense-units with --from run",
        ),
        (["--freeze"], "--freeze without --from: random layers would stay random"),
    ],
)
def test_what_does_not_go_with_from_is_refused(
    data: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    assert main(["train", str(data.path), "--out", str(tmp_path / "tuned"), *flags]) == 2
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert "\n" not in printed
    assert not (tmp_path / "tuned").exists()


def test_a_window_of_another_length_is_refused(source: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "longer", ["new"], window_bp=300)
    with pytest.raises(BioqError) as error:
        bioq.train(data, tmp_path / "tuned", from_run=source, config=QUICK)
    assert "longer: has windows of 300 bp, the run " in str(error.value)
    assert "takes 200 bp; build the data set with --window-bp 200" in str(error.value)
    assert not (tmp_path / "tuned").exists()


def test_what_is_no_finished_run_is_refused(source: Path, data: Dataset, tmp_path: Path) -> None:
    def refused(run: Path) -> str:
        with pytest.raises(BioqError) as error:
            bioq.train(data, tmp_path / "tuned", from_run=run, config=QUICK)
        assert not (tmp_path / "tuned").exists()
        return str(error.value)

    assert "nowhere: no such folder; expected a run folder" in refused(tmp_path / "nowhere")
    (source / "targets.tsv").write_text("name\nfirst\n")
    assert "has 1 targets, config.json has 2; the run is damaged" in refused(source)
    (source / "targets.tsv").write_text("name\nfirst\nsecond\n")
    (source / "model.safetensors").unlink()
    assert "expected a run that has finished an epoch at least" in refused(source)


def test_from_and_freeze_may_stand_in_a_file_and_flags_win(
    source: Path, data: Dataset, tmp_path: Path
) -> None:
    options = tmp_path / "options.toml"
    options.write_text(f'from = "{source}"\nfreeze = true\nepochs = 1\nlr = 0.5\n')
    tokens = ["train", str(data.path), "--out", str(tmp_path / "tuned"), "--config", str(options)]
    assert main(tokens) == 0
    training = read_config(tmp_path / "tuned").training
    assert (training["from"]["path"], training["freeze"]) == (str(source), True)
    options.write_text('model = "danq"\nmotifs = "nowhere.meme"\nepochs = 1\nfilters = 8\n')
    tokens[3] = str(tmp_path / "anew")
    more = ["--model", "deepsea", "--motifs", "none", "--dense-units", "4"]
    assert main([*tokens, *more, "--filter-width", "4"]) == 0
    assert read_config(tmp_path / "anew").model["name"] == "deepsea"
