"""A training of two ranks of which one is killed, at each of its stages in turn."""

import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from fault_commands import TIMES, Counted
from safetensors.numpy import load_file

from bioq.dataset import Description, new_dataset, pack_labels

RANKS, EPOCHS = 2, 6
WORDS = (
    f"--model danq --filters 8 --filter-width 8 --pool-width 10 --lstm-units 4 --dense-units 8 "
    f"--epochs {EPOCHS} --batch-size 20 --lr 0.005 --patience 0 --checkpoint-min 0 --seed 3 "
    f"--device cpu --devices {RANKS}"
)
ENDS_WITHIN_S = 60
"""For a busy machine; docs/how-to/training-devices.md has the measured times."""
GONE_WITHIN_S = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """102 windows to train and 3,000 to validate, so that an epoch is mostly validation."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("ranks") / "data"
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(folder, description, pd.DataFrame({"name": ["first", "second"]})) as writer:
        for name, windows in (("train", 102), ("valid", 3000)):
            codes = draw.integers(0, 4, (windows, 200)).astype(np.uint8)
            labels = np.stack([codes[:, 100] == 1, codes[:, 100] >= 2], axis=1)
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    return folder


@dataclass
class Training:
    """A training of this test, its ranks and the file that has what it prints."""

    process: subprocess.Popen[bytes]
    ranks: list[psutil.Process]
    errors: Path

    def printed(self) -> str:
        return self.errors.read_text(errors="replace")

    def wait_for(self, found: Callable[[], bool]) -> None:
        while not found():
            if self.process.poll() is not None:
                return
            time.sleep(0.0005)


def begin(data: Path, run: Path) -> Training:
    """Start a training, or continue it, and wait until all ranks are started."""
    words = ["--resume"] if run.exists() else WORDS.split()
    words += ["--devices", str(RANKS)] if run.exists() else []
    errors = run.with_suffix(".errors")
    with errors.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "bioq", "train", data, "--out", run, *words],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    training = Training(process, [], errors)

    def all_started() -> bool:
        training.ranks = psutil.Process(process.pid).children()
        return len(training.ranks) == RANKS

    training.wait_for(all_started)
    return training


def start(training: Training, run: Path, moments: random.Random) -> None:
    time.sleep(moments.uniform(0, 1))


def meeting(training: Training, run: Path, moments: random.Random) -> None:
    training.wait_for(lambda: "connect 2 ranks" in training.printed())


def first_batch(training: Training, run: Path, moments: random.Random) -> None:
    training.wait_for(lambda: bool(re.search(r"train [\d,]+ weights", training.printed())))
    time.sleep(moments.uniform(0, 0.05))


def validation(training: Training, run: Path, moments: random.Random) -> None:
    training.wait_for(lambda: bool(re.search(r"epoch \d+/", training.printed())))
    time.sleep(moments.uniform(0.05, 0.3))


def saving(training: Training, run: Path, moments: random.Random) -> None:
    def is_saving() -> bool:
        folders = (run, run / "resume")
        return any(
            name.endswith(".part") for at in folders if at.is_dir() for name in os.listdir(at)
        )

    training.wait_for(is_saving)


def end(training: Training, run: Path, moments: random.Random) -> None:
    training.wait_for(lambda: "best epoch" in training.printed())


STAGES = (start, meeting, first_batch, validation, saving, end)


def kill_one(training: Training, run: Path, moments: random.Random, stage: str) -> float:
    """Kill a random rank; return the seconds until the command ends, as it promises to."""
    rank = moments.choice(training.ranks)
    begun = time.monotonic()
    try:
        rank.kill()
    except psutil.NoSuchProcess:
        assert stage == "end"
    status = training.process.wait(timeout=ENDS_WITHIN_S)
    seconds = time.monotonic() - begun
    printed = training.printed()
    if stage != "end" or status:
        assert status == 1, printed
        (line,) = [line for line in printed.splitlines() if line.startswith("bioq: ")]
        assert re.match(rf"bioq: rank \d \(process {rank.pid}\) was ended by SIGKILL", line)
        left = ("--resume' ", "start the same command again", "the training is finished")
        assert any(words in line for words in left)
    assert "Traceback" not in printed
    _, alive = psutil.wait_procs(training.ranks, timeout=GONE_WITHIN_S)
    assert not alive
    assert not list(run.parent.rglob("*.part"))
    return seconds


def result(run: Path) -> tuple[dict[str, bytes], str]:
    """Return the weights of a run, and its history without times."""
    weights = {
        f"{name} {key}": array.tobytes()
        for name in ("model", "last")
        for key, array in load_file(run / f"{name}.safetensors").items()
    }
    table = pd.read_csv(run / "history.csv")
    return weights, str(table.drop(columns=TIMES).to_csv())


@pytest.fixture(scope="module")
def whole(data: Path) -> tuple[dict[str, bytes], str]:
    run = data.parent / "whole"
    training = begin(data, run)
    assert training.process.wait() == 0, training.printed()
    return result(run)


def test_a_rank_killed_at_any_stage_ends_all_and_loses_nothing(
    data: Path, whole: tuple[dict[str, bytes], str], trials: int, counted: Counted
) -> None:
    """One run is killed at every stage in turn, and continued each time."""
    moments = random.Random("ranks")
    seconds: dict[str, list[float]] = {stage.__name__: [] for stage in STAGES}
    for trial in range(trials):
        run = data.parent / f"killed{trial}"
        for stage in STAGES:
            training = begin(data, run)
            try:
                stage(training, run, moments)
                seconds[stage.__name__].append(kill_one(training, run, moments, stage.__name__))
            finally:
                training.process.kill()
                training.process.wait()
        training = begin(data, run)
        assert training.process.wait() == 0, training.printed()
        assert result(run) == whole
    for name, values in seconds.items():
        print(f"{name}: median {statistics.median(values):.2f} s, largest {max(values):.2f} s")
    promise = "one line that names it, no process or file left, the same weights"
    counted("a rank killed, at each of 6 stages", promise, trials * len(STAGES))


def test_ranks_end_when_the_process_that_started_them_is_killed(
    data: Path, tmp_path: Path, trials: int, counted: Counted
) -> None:
    moments = random.Random("parent")
    for trial in range(trials):
        training = begin(data, tmp_path / f"run{trial}")
        time.sleep(moments.uniform(0, 5))
        training.process.send_signal(signal.SIGKILL)
        training.process.wait()
        _, alive = psutil.wait_procs(training.ranks, timeout=GONE_WITHIN_S)
        assert not alive
        assert "Traceback" not in training.printed()
    counted("the starting process killed", "no rank is left", trials)
