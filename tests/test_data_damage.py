"""Every command that computes from a data set finds a changed byte in the files that it uses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bioq.cli import main
from bioq.dataset import Dataset, open_dataset, require_undamaged
from bioq.errors import BioqError
from bioq.evaluation.fit_calibration import calibrate
from bioq.evaluation.scoring import evaluate
from tests.trained_run import TrainedRun


@pytest.fixture
def data(trained: TrainedRun, tmp_path: Path) -> Path:
    return shutil.copytree(trained.data, tmp_path / "data")


def files_of(path: Path, *splits: str) -> list[str]:
    """The files of splits that have a byte of content, and the target table."""
    names = [name for name, at in open_dataset(path).files.items() if at["bytes"] > 128]
    return ["targets.tsv", *(name for name in names if name.startswith(splits))]


def flip(file: Path) -> None:
    """Change a letter of the last target's name, or the last byte of an array."""
    content = bytearray(file.read_bytes())
    content[-2 if file.suffix == ".tsv" else -1] ^= 1
    file.write_bytes(content)


def assert_each_is_found(
    data: Path, names: list[str], command: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(names) >= 3
    for name in names:
        before = (data / name).read_bytes()
        flip(data / name)
        assert command() == 1
        (data / name).write_bytes(before)
        assert capsys.readouterr().err == (
            f"bioq: {data}: the checksum of {name} differs from dataset.json; "
            "the data set is damaged, copy or build it again\n"
        )


def test_train_finds_each_changed_file_and_makes_no_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    names = files_of(data, "train/", "valid/")
    assert_each_is_found(data, names, lambda: main(["train", str(data), "--out", str(run)]), capsys)
    assert not run.exists()


def test_evaluate_finds_each_changed_file_and_writes_nothing(
    trained: TrainedRun, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    names = files_of(data, "train/", "valid/", "test/")
    command = ["evaluate", str(trained.run), str(data), "--out", str(out)]
    assert_each_is_found(data, names, lambda: main(command), capsys)
    assert not (out / "evaluation" / "metrics.json").exists()


def test_calibrate_and_motifs_find_each_changed_file(
    trained: TrainedRun, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(trained.run), str(tmp_path / "out")
    valid, test = files_of(data, "valid/"), files_of(data, "test/")
    assert_each_is_found(data, valid, lambda: main(["calibrate", run, str(data)]), capsys)
    motifs = ["motifs", run, str(data), "--out", out, "--split", "test"]
    assert_each_is_found(data, test, lambda: main(motifs), capsys)


def test_an_open_data_set_is_checked_too(trained: TrainedRun, data: Path) -> None:
    opened: Dataset = open_dataset(data)
    flip(data / "valid" / "labels.npy")
    with pytest.raises(BioqError, match=r"checksum of valid/labels\.npy differs"):
        evaluate(trained.run, opened)
    with pytest.raises(BioqError, match=r"checksum of valid/labels\.npy differs"):
        calibrate(trained.run, opened)


def test_only_the_named_splits_are_read(data: Path) -> None:
    flip(data / "test" / "sequence.npy")
    require_undamaged(open_dataset(data), ["train", "valid", "no such split"])
    with pytest.raises(BioqError, match="test/sequence"):
        require_undamaged(open_dataset(data), ["test"])
