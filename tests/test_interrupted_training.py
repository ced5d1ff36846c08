"""Ctrl-C and SIGTERM save the step of a training; what is said is true; nothing is replaced."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_training import QUICK, SMALL, assert_same_run

import bioq
from bioq import BioqError, ModelSizes, TrainConfig, UsageError
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.runs.folder import read_config, read_history
from bioq.training.interrupted import progress_of
from bioq.training.loop import TrainingLoop
from bioq.training.stop import StopSignals
from bioq.training.validation import Validation

LONG = replace(QUICK, average=0.9, shift=5)
"""40 windows in batches of 8: five steps per epoch, three epochs."""
FLAGS = [
    *("--epochs", "3", "--batch-size", "8", "--lr", "5e-3", "--warmup-epochs", "0"),
    *("--average", "0.9", "--shift", "5", "--patience", "0"),
    *("--filters", "8", "--filter-width", "8", "--pool-width", "10", "--lstm-units", "4"),
    *("--dense-units", "8"),
]


def stop_in_step(patch: pytest.MonkeyPatch, number: int, *signals: signal.Signals) -> None:
    """Send signals to this process inside the step of that number."""
    step, taken = TrainingLoop._step, 0

    def counted(self: TrainingLoop, *batch: object) -> object:
        nonlocal taken
        taken += 1
        if taken == number:
            for received in signals:
                signal.raise_signal(received)
        return step(self, *batch)  # type: ignore[arg-type]

    patch.setattr(TrainingLoop, "_step", counted)


def train_command(data: Dataset, run: Path, *more: str) -> list[str]:
    return ["train", str(data.path), "--out", str(run), *more]


@pytest.fixture
def whole(masked_data: Dataset, tmp_path: Path) -> Path:
    bioq.train(masked_data, tmp_path / "whole", sizes=SMALL, config=LONG)
    return tmp_path / "whole"


@pytest.mark.parametrize(
    ("number", "received", "status", "place"),
    [
        (1, signal.SIGINT, 130, "in epoch 1 of 3, step 1 of 5"),
        (7, signal.SIGTERM, 143, "in epoch 2 of 3, step 2 of 5"),
        (10, signal.SIGINT, 130, "before the validation of epoch 2 of 3"),
    ],
)
def test_a_signal_saves_the_step_and_resume_gives_the_same_bytes(
    masked_data: Dataset,
    tmp_path: Path,
    whole: Path,
    capsys: pytest.CaptureFixture[str],
    number: int,
    received: signal.Signals,
    status: int,
    place: str,
) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_in_step(patch, number, received)
        assert main(train_command(masked_data, run, *FLAGS)) == status
    word = "interrupted" if status == 130 else "terminated"
    command = f"bioq train {masked_data.path} --out {run} --resume"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"bioq: {word}; saved {place}; '{command}' goes on from there"
    assert main(command.split()[1:]) == 0
    assert_same_run(whole, run)


def test_a_signal_ends_validation_at_once_and_it_is_done_again(
    masked_data: Dataset, tmp_path: Path, whole: Path
) -> None:
    run, predict = tmp_path / "run", Validation.predict

    def slow(self: Validation, model: object) -> object:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the validation was to end")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "predict", slow)
        with pytest.raises(KeyboardInterrupt) as caught:
            bioq.train(masked_data, run, sizes=SMALL, config=LONG)
    assert "saved before the validation of epoch 1 of 3" in caught.value.__notes__[0]
    assert Validation.predict is predict
    bioq.train(masked_data, run, resume=True)
    assert_same_run(whole, run)


def test_an_error_of_a_library_in_place_of_the_signal_saves_the_step_too(
    masked_data: Dataset, tmp_path: Path, whole: Path
) -> None:
    def slow(self: Validation, model: object) -> object:
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as error:
            raise RuntimeError("from C") from error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "predict", slow)
        with pytest.raises(KeyboardInterrupt):
            bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=LONG)
    bioq.train(masked_data, tmp_path / "run", resume=True)
    assert_same_run(whole, tmp_path / "run")


def test_a_signal_while_the_last_epoch_is_written_finishes_the_training(
    masked_data: Dataset, tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bioq.training import loop

    save, run = loop.write_history, tmp_path / "run"

    def write(folder: Path, history: list[dict[str, float]]) -> None:
        if len(history) == 3:
            signal.raise_signal(signal.SIGTERM)
        save(folder, history)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "write_history", write)
        assert main(train_command(masked_data, run, *FLAGS)) == 143
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"bioq: terminated; the training is finished: {run}"
    assert_same_run(whole, run)
    assert main(train_command(masked_data, run, "--resume")) == 0
    assert f"{run}: the training is finished; nothing is left to do" in capsys.readouterr().err


def test_a_second_signal_ends_at_once_without_damage(
    masked_data: Dataset, tmp_path: Path, whole: Path
) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_in_step(patch, 7, signal.SIGINT, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as caught:
            bioq.train(masked_data, run, sizes=SMALL, config=LONG)
    assert "saved after epoch 1 of 3; " in caught.value.__notes__[0]
    bioq.train(masked_data, run, resume=True)
    assert_same_run(whole, run)


def test_before_the_first_checkpoint_the_line_says_so(
    masked_data: Dataset, tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.training.train.make_loop", interrupt)
        assert main(train_command(masked_data, run, *FLAGS)) == 130
    command = f"bioq train {masked_data.path} --out {run} --resume"
    line = f"bioq: interrupted; no step is saved yet; '{command}' starts with the first step"
    assert capsys.readouterr().err.splitlines()[-1] == line
    assert main(train_command(masked_data, run)) == 1
    assert (
        f"{run}: has a training that was interrupted before the first checkpoint; '{command}'"
        in (capsys.readouterr().err)
    )
    bioq.train(masked_data, run, resume=True)
    assert_same_run(whole, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.training.train.start_network", interrupt)
        assert main(train_command(masked_data, tmp_path / "none", *FLAGS)) == 130
        assert main(train_command(masked_data, run, *FLAGS, "--force")) == 130
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bioq:")]
    assert lines == ["bioq: interrupted; nothing was written"] * 2
    assert not (tmp_path / "none").exists()
    assert_same_run(whole, run)


def test_signals_from_outside_stop_a_process_and_resume_gives_the_same_bytes(
    masked_data: Dataset, tmp_path: Path, whole: Path
) -> None:
    """As test_resume_after_kill_9, with SIGTERM from another process and no checkpoint but its."""
    run = tmp_path / "run"
    slow = (
        "import sys, time, bioq.training.loop as loop\n"
        "from bioq.cli import main\n"
        "step = loop.TrainingLoop._step\n"
        "def slow(self, *batch):\n"
        "    print('step', file=sys.stderr, flush=True); time.sleep(0.2)\n"
        "    return step(self, *batch)\n"
        "loop.TrainingLoop._step = slow\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *train_command(masked_data, run, *FLAGS)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "step\n":
            break
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "bioq: terminated; saved in epoch 1 of 3, step " in printed
    assert not read_history_if_any(run)
    bioq.train(masked_data, run, resume=True)
    assert_same_run(whole, run)


def read_history_if_any(run: Path) -> int:
    return len(read_history(run)) if (run / "history.csv").exists() else 0


def test_a_handler_of_the_caller_that_does_not_end_the_process_lets_the_training_go_on(
    masked_data: Dataset, tmp_path: Path, whole: Path
) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with pytest.MonkeyPatch.context() as patch:
            stop_in_step(patch, 3, signal.SIGTERM)
            bioq.train(masked_data, tmp_path / "run", sizes=SMALL, config=LONG)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert_same_run(whole, tmp_path / "run")


def test_handlers_are_as_before_afterwards_and_ignored_signals_stay_ignored() -> None:
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, ignored)


def train_here(data: Dataset, run: Path, **options: bool) -> None:
    bioq.train(data, run, sizes=SMALL, config=replace(QUICK, epochs=1), **options)


def interrupted_run(data: Dataset, run: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        stop_in_step(patch, 2, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            train_here(data, run)
    return run


def test_training_into_an_interrupted_run_names_resume(
    masked_data: Dataset, tmp_path: Path
) -> None:
    run = interrupted_run(masked_data, tmp_path / "the run")
    advice = (
        rf"the run: has a training that was interrupted in epoch 1 of 1, step 2 of 5; "
        rf"'bioq train {masked_data.path} --out '{run}' --resume' continues it; or give a folder "
        r"that does not exist, or --force to replace this one"
    )
    with pytest.raises(BioqError, match=advice):
        train_here(masked_data, run)
    assert progress_of(run).place() == "in epoch 1 of 1, step 2 of 5"


@pytest.mark.parametrize("make", [interrupted_run, None], ids=["interrupted", "finished"])
def test_force_replaces_a_run_and_starts_with_the_first_step(
    masked_data: Dataset, tmp_path: Path, make: Callable[[Dataset, Path], Path] | None
) -> None:
    run = tmp_path / "run"
    if make is None:
        bioq.train(masked_data, run, model="danq", sizes=SMALL, config=replace(QUICK, epochs=2))
    else:
        make(masked_data, run)
    train_here(masked_data, run, force=True)
    train_here(masked_data, tmp_path / "new")
    assert_same_run(tmp_path / "new", run)
    assert read_config(run).model["name"] == "marq"


def test_force_removes_nothing_but_a_run_and_no_run_that_is_read(
    masked_data: Dataset, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    with pytest.raises(BioqError, match=r"other: is not replaced: it has no config.json"):
        train_here(masked_data, other, force=True)
    assert (other / "precious.txt").read_text() == "mine"
    run = tmp_path / "run"
    train_here(masked_data, run)
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match=r"--force would remove .*run, which this training reads"):
        bioq.train(masked_data, run, from_run=run, config=QUICK, force=True)
    with pytest.raises(UsageError, match="--resume continues an output and --force"):
        bioq.train(masked_data, run, resume=True, force=True)
    shutil.copytree(masked_data.path, run / "data")
    with pytest.raises(UsageError, match=r"--force would remove .*run/data, which this training"):
        bioq.train(run / "data", run, config=QUICK, force=True)
    assert (run / "model.safetensors").read_bytes() == before


def test_a_training_that_fails_before_it_starts_leaves_the_run_that_force_would_replace(
    masked_data: Dataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_here(masked_data, run)
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(BioqError):
        bioq.train(
            masked_data, run, sizes=ModelSizes(filter_width=5000), config=TrainConfig(), force=True
        )
    assert (run / "model.safetensors").read_bytes() == before
