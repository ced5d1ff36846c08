"""`bioq.dataset.leaks`, compared with every pair of windows, and where its counts are shown."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bioq import dna
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.dataset.leaks import Leak, count_leaks, leak_of
from bioq.evaluation.scoring import evaluate
from bioq.models import ModelSizes, build_model
from bioq.runs import folder as runs
from bioq.runs.weights import save_weights

WINDOW_BP = 30  # no multiple of 4: the last byte of a window has padding
Windows = dict[str, tuple[Any, Any]]


def write(path: Path, windows: Windows, *, contigs: tuple[str, ...] = ("c1", "c2")) -> Dataset:
    """Write splits of (codes, bins); labels are random."""
    targets = pd.DataFrame({"name": ["a", "b"]})
    about = Description("peaks", WINDOW_BP, 10, "half", contigs=contigs)
    generator = np.random.default_rng(0)
    with new_dataset(path, about, targets) as writer:
        for name, (codes, bins) in windows.items():
            labels = generator.integers(0, 2, (len(codes), 2))
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels), bins if contigs else None)
    return open_dataset(path)


def drawn(seed: int, counts: tuple[int, int] = (60, 40)) -> Windows:
    """Windows of a small genome, with copies on both strands and unknown bases."""
    generator = np.random.default_rng(seed)
    parts = {}
    pool = generator.integers(0, 4, (8, WINDOW_BP)).astype(np.uint8)
    for name, count in zip(("train", "test"), counts, strict=True):
        codes = generator.integers(0, 4, (count, WINDOW_BP)).astype(np.uint8)
        for row in range(0, count, 5):
            codes[row] = pool[generator.integers(8)]
        codes[1::10] = dna.reverse_complement(pool[generator.integers(0, 8, len(codes[1::10]))])
        codes[2::10, : WINDOW_BP * 2 // 3] = dna.UNKNOWN
        codes[2::10, WINDOW_BP * 2 // 3 :] = 1
        bins = np.stack(
            [generator.integers(0, 2, count), generator.integers(0, 4_000, count)], axis=1
        )
        parts[name] = (codes, bins)
    return parts


def by_hand(windows: Windows) -> tuple[int, int]:
    """Compare every two windows; return (windows that share bases, others that are equal)."""
    overlapping = equal = 0
    for codes, (contig, start) in zip(*windows["test"], strict=True):
        others = list(zip(*windows["train"], strict=True))
        near = any(c == contig and abs(s - start) < WINDOW_BP for _, (c, s) in others)
        strands = [codes.tolist(), dna.reverse_complement(codes).tolist()]
        known = (codes != dna.UNKNOWN).sum() * 2 >= WINDOW_BP
        same = known and any(other.tolist() in strands for other, _ in others)
        overlapping += near
        equal += same and not near
    return overlapping, equal


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_are_those_of_every_pair_of_windows(tmp_path: Path, seed: int) -> None:
    windows = drawn(seed)
    (leak,) = count_leaks(write(tmp_path / "data", windows))
    assert (leak.overlapping, leak.equal) == by_hand(windows)
    assert leak.overlapping
    assert leak.equal
    assert (leak.split, leak.other, leak.windows) == ("test", "train", 40)


def test_without_coordinates_equal_sequences_are_counted(tmp_path: Path) -> None:
    windows = drawn(1)
    apart = {
        name: (codes, bins + np.array([10 * (name == "test"), 0]))
        for name, (codes, bins) in windows.items()
    }
    (leak,) = count_leaks(write(tmp_path / "data", windows, contigs=()))
    assert leak == Leak("test", "train", 40, None, by_hand(apart)[1])


def test_bins_a_window_apart_share_no_base(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    codes = generator.integers(0, 4, (1, WINDOW_BP)).astype(np.uint8)
    for distance, shared in (
        (WINDOW_BP, 0),
        (WINDOW_BP - 1, 1),
        (1 - WINDOW_BP, 1),
        (-WINDOW_BP, 0),
    ):
        windows = {"train": (codes, [[0, 100]]), "test": (3 - codes, [[0, 100 + distance]])}
        (leak,) = count_leaks(write(tmp_path / f"data{distance}", windows))
        assert leak.overlapping == shared


def test_a_window_of_mostly_unknown_bases_equals_none(tmp_path: Path) -> None:
    codes = np.zeros((2, WINDOW_BP), dtype=np.uint8)
    codes[:, :16] = dna.UNKNOWN
    windows = {"train": (codes, [[0, 0], [0, 10]]), "test": (codes, [[1, 500], [1, 600]])}
    (leak,) = count_leaks(write(tmp_path / "data", windows))
    assert (leak.overlapping, leak.equal) == (0, 0)


def test_splits_of_two_genomes_are_compared_by_sequence_only(tmp_path: Path) -> None:
    windows = drawn(2)
    here = write(tmp_path / "here", windows)
    there = write(tmp_path / "there", windows, contigs=("x", "y"))
    leak = leak_of(here["test"], there["train"])
    assert leak.overlapping is None
    assert leak.equal


@pytest.mark.parametrize(
    ("leak", "line"),
    [
        (
            Leak("test", "train", 3944, 312, 0),
            "312 of 3,944 test windows (7.9%) share bases with a training window: "
            "scores are too high",
        ),
        (
            Leak("valid", "train", 100, 0, 1),
            "1 of 100 validation windows (1.0%) has the sequence of a training window elsewhere in "
            "the genome (repeats): scores are too high",
        ),
        (
            Leak("test", "valid", 50, 2, 0),
            "2 of 50 test windows (4.0%) share bases with a validation window: thresholds and "
            "calibration fit them too well",
        ),
        (
            Leak("test", "valid", 100_000, None, 3),
            "3 of 100,000 test windows (less than 0.1%) have the sequence of a validation window, "
            "on the same or the other strand: too few to change the scores much",
        ),
    ],
)
def test_each_kind_of_leak_is_one_line(leak: Leak, line: str) -> None:
    assert list(leak.lines()) == [line]


def test_no_leak_is_no_line() -> None:
    assert not list(Leak("test", "train", 10, 0, 0).lines())


@pytest.fixture
def leaking(tmp_path: Path) -> Dataset:
    """A data set of which 4 of 40 test windows are beside a training window."""
    generator = np.random.default_rng(7)
    parts = {}
    for name, first in (("train", 0), ("valid", 50_000), ("test", 5_880)):
        codes = generator.integers(0, 4, (60 if name == "train" else 40, WINDOW_BP))
        starts = first + 100 * np.arange(len(codes)) + (10 if name == "test" else 0)
        if name == "test":
            starts[4:] += 30_000
            starts[:4] = [0, 110, 229, 5_929]
        parts[name] = (codes.astype(np.uint8), np.stack([starts * 0, starts], axis=1))
    return write(tmp_path / "data", parts)


LINE = "4 of 40 test windows (10.0%) share bases with a training window: scores are too high"


def test_info_prints_the_leaks(leaking: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", str(leaking.path)]) == 0
    assert f"  warning: {LINE}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("contigs", "line"),
    [
        (("c1", "c2"), "  no window shares bases with a window of another split\n"),
        (
            (),
            "  no window is in two splits (windows that overlap in part cannot be found without "
            "coordinates)\n",
        ),
    ],
)
def test_info_says_so_when_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contigs: tuple[str, ...], line: str
) -> None:
    generator = np.random.default_rng(4)
    codes = generator.integers(0, 4, (2, WINDOW_BP)).astype(np.uint8)
    windows = {"train": (codes[:1], [[0, 0]]), "test": (codes[1:], [[1, 0]])}
    write(tmp_path / "data", windows, contigs=contigs)
    assert main(["data", "info", str(tmp_path / "data")]) == 0
    assert line in capsys.readouterr().out


@pytest.fixture
def run(tmp_path: Path, leaking: Dataset) -> Path:
    sizes = ModelSizes(filters=4, filter_width=6, pool_width=10, lstm_units=3, dense_units=8)
    model = build_model("bioq", targets=2, window_bp=WINDOW_BP, sizes=sizes)
    runs.create_run(tmp_path / "run", model=model.architecture, training={}, data=leaking)
    save_weights(model, tmp_path / "run" / runs.BEST)
    epoch = {"train_loss": 0.5, "valid_loss": 0.5, "lr": 0.001, "seconds": 1.0}
    runs.write_history(tmp_path / "run", [{"epoch": 1, **epoch, "windows_per_second": 60.0}])
    return tmp_path / "run"


def test_evaluate_shows_the_leak_where_it_shows_the_scores(
    run: Path, leaking: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), str(leaking.path)]) == 0
    assert f"note: {LINE}" in capsys.readouterr().err
    assert LINE in json.loads((run / "evaluation" / "metrics.json").read_text())["notes"]
    assert LINE in (run / "evaluation" / "report.html").read_text()


def test_windows_of_another_data_set_are_compared_with_those_of_the_training(
    run: Path, leaking: Dataset, tmp_path: Path
) -> None:
    """The other data set has no leak of its own: the run has seen its test windows."""
    train = leaking["train"]
    codes = dna.unpack(train.read_packed(slice(0, 20)).sequence, WINDOW_BP)
    bins = train.bin_starts()[:20]
    far = np.random.default_rng(8).integers(0, 4, (5, WINDOW_BP)).astype(np.uint8)
    parts = {"train": (far, np.array([[1, 900 * n] for n in range(5)])), "test": (codes, bins)}
    other = write(tmp_path / "other", parts)
    seen = "20 of 20 test windows (100.0%) share bases with a training window: scores are too high"
    assert seen in evaluate(run, other).summary["notes"]
    shutil.rmtree(leaking.path)
    notes = evaluate(run, other, force=True).summary["notes"]
    assert seen not in notes
    seen = "windows of the split 'test' are on contigs that the training of run has seen (c1"
    assert any(seen in note and note.endswith("scores are too high") for note in notes)
    config = json.loads((run / runs.CONFIG).read_text())
    del config["data"]["seen_contigs"]  # as in a run of an older version
    (run / runs.CONFIG).write_text(json.dumps(config))
    notes = evaluate(run, other, force=True).summary["notes"]
    assert any("training data of run are not here, so it is not known" in note for note in notes)
