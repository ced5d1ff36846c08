"""`bioq.dataset.label_kinds`: targets with one kind of window are named, or stop the command."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bioq
from bioq.cli import main
from bioq.dataset import Dataset, Description, label_kinds, new_dataset, open_dataset, pack_labels
from bioq.evaluation.files import read_evaluation
from bioq.models import ModelSizes
from bioq.runs.folder import read_history

SIZES = [
    "--filters=4", "--filter-width=6", "--pool-width=10", "--lstm-units=3", "--dense-units=8",
    "--batch-size=8", "--epochs=2",
]  # fmt: skip
WINDOWS = 24
YES, NO = np.ones(WINDOWS, bool), np.zeros(WINDOWS, bool)
BOTH = np.arange(WINDOWS) % 2 == 0
ONE = np.arange(WINDOWS) == 5


def make_data(folder: Path, made_by: str = "peaks", **splits: list[np.ndarray]) -> Dataset:
    """A data set whose splits have these labels, one array per target."""
    targets = len(next(iter(splits.values())))
    names = pd.DataFrame({"name": [f"t{number}" for number in range(targets)]})
    random = np.random.default_rng(3)
    with new_dataset(folder, Description(made_by, 60, 20, "half"), names) as writer:
        for name, labels in splits.items():
            with writer.split(name) as split:
                codes = random.integers(0, 4, (len(labels[0]), 60)).astype(np.uint8)
                split.append(codes, pack_labels(np.stack(labels, axis=1)))
    return open_dataset(folder)


def run_of(data: Dataset, run: Path) -> Path:
    assert main(["train", str(data.path), "--out", str(run), *SIZES]) == 0
    return run


@pytest.mark.parametrize(
    ("labels", "found", "todo"),
    [
        ([YES], "all 24 windows are positive for every target", "--background matched"),
        ([NO], "all 24 windows are negative for every target", "give more peaks"),
        ([YES, NO], "no target has both positive and negative windows", "--background matched"),
    ],
)
def test_training_on_windows_of_one_kind_stops_before_the_first_step(
    tmp_path: Path, labels: list, found: str, todo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [BOTH] * len(labels)
    data = make_data(tmp_path / "data", train=labels, valid=both)
    for options in ([], ["--plan"]):
        command = ["train", str(data.path), "--out", str(tmp_path / "run"), *SIZES, *options]
        assert main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"split 'train': {found}, so there is nothing to learn from; " in line
        assert todo in line
        assert not (tmp_path / "run").exists()


def test_a_background_is_no_advice_where_the_peaks_cover_every_bin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    with open(tmp_path / "g.fa", "w") as genome, open(tmp_path / "all.bed", "w") as peaks:
        for name in ("c1", "c2", "c3"):
            genome.write(f">{name}\n{''.join(random.choice(list('ACGT'), 900))}\n")
            peaks.write(f"{name}\t0\t900\n")
    (tmp_path / "t.tsv").write_text("name\tpeaks\na\tall.bed\n")
    inputs = ["--genome", str(tmp_path / "g.fa"), "--targets", str(tmp_path / "t.tsv")]
    chosen = ["--valid-chrom", "c2", "--test-chrom", "c3", "--window-bp", "60", "--bin-bp", "20"]
    data = tmp_path / "data"
    assert main(["data", "peaks", *inputs, *chosen, "--out", str(data)]) == 0
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *SIZES]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "all 45 windows are positive for every target" in last
    assert "the peaks cover every bin of its contigs: give called peaks" in last
    assert "--background" not in last


def test_one_training_target_with_both_kinds_is_enough_and_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [BOTH, YES, NO, NO, NO, NO]
    data = make_data(tmp_path / "data", train=labels, valid=[BOTH, YES, BOTH, BOTH, BOTH, NO])
    run_of(data, tmp_path / "run")
    lines = capsys.readouterr().err.splitlines()
    first_step = next(n for n, line in enumerate(lines) if line.startswith("epoch 1/"))
    assert [line for line in lines[:first_step] if "window" in line and ": " in line][:4] == [
        "warning: train: 1 of 6 targets (t1) has no negative window: nothing to learn from",
        "warning: train: 4 of 6 targets (t2, t3, t4 and 1 more) have no positive window: "
        "nothing to learn from",
        *(
            f"note: valid: 1 of 6 targets ({name}) has no {kind} window: no score, and not in the "
            "macro means"
            for name, kind in (("t1", "negative"), ("t5", "positive"))
        ),
    ]


def test_one_target_with_few_positives_and_another_rate_in_validation_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, valid in (("other", [ONE]), ("same", [BOTH])):
        run_of(make_data(tmp_path / folder, train=[BOTH], valid=valid), tmp_path / f"run-{folder}")
        lines = capsys.readouterr().err.splitlines()
        few = "note: 12 positive windows to train, few for a network (docs"
        assert [line.startswith(few) for line in lines].count(True) == 1
        rate = "note: 50.00% of the labels are positive in train, 4.17% in valid: the probabilities"
        assert any(line.startswith(rate) for line in lines) == (folder == "other")
        history = read_history(tmp_path / f"run-{folder}").iloc[0]
        scores = f"ROC AUC {history['valid_macro_roc_auc']:.4f}, AP "
        assert scores in next(line for line in lines if line.startswith("epoch 1/2"))
    run_of(make_data(tmp_path / "alone", train=[BOTH]), tmp_path / "run")
    assert "without a validation split nothing chooses the best epoch" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [YES, NO])
@pytest.mark.parametrize("score", ["valid_micro_average_precision", "valid_macro_roc_auc"])
def test_validation_on_windows_of_one_kind_is_told_before_the_first_step_with_what_decides(
    tmp_path: Path, kind: np.ndarray, score: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(tmp_path / "data", train=[BOTH, ONE], valid=[kind, kind])
    command = ["train", str(data.path), "--out", str(tmp_path / "run"), f"--select-by={score}"]
    assert main([*command, *SIZES]) == 0
    lines = capsys.readouterr().err.splitlines()
    note = next(number for number, line in enumerate(lines) if line.startswith("note: "))
    assert note < next(number for number, line in enumerate(lines) if "epoch 1/2" in line)
    assert f"valid_loss, not {score}, chooses the best epoch; " in lines[note]
    assert ("--background" if kind is YES else "--valid-chrom") in lines[note]
    history = read_history(tmp_path / "run")
    assert history[score].isna().all(), "an average precision of 1 for every prediction"
    assert ", ROC AUC –, AP –, " in next(line for line in lines if "epoch 1/2" in line)
    assert "by validation loss, because" in lines[-1] or "by validation loss, because" in lines[-2]


@pytest.mark.parametrize("kind", [YES, NO])
def test_evaluation_of_windows_of_one_kind_is_an_error_before_any_prediction(
    tmp_path: Path, kind: np.ndarray, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    data = make_data(tmp_path / "data", train=[BOTH], valid=[BOTH], test=[kind])
    run = run_of(data, tmp_path / "run")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("bioq.evaluation.scoring.predict_labelled", lambda *_, **__: 1 / 0)
        assert main(["evaluate", str(run), str(data.path)]) == 1
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    what = "positive" if kind is YES else "negative"
    assert f"split 'test': all 24 windows are {what} for every target, so every score" in line
    assert ("--background" if kind is YES else "--test-chrom") in line
    assert not shown.out
    assert not (run / "evaluation").exists()


def test_evaluation_names_targets_of_one_kind_and_leaves_them_out_of_the_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(
        tmp_path / "data",
        train=[BOTH] * 4,
        valid=[YES, NO, BOTH, BOTH],
        test=[YES, NO, ONE, BOTH],
    )
    run = run_of(data, tmp_path / "run")
    assert main(["evaluate", str(run), str(data.path)]) == 0
    shown = capsys.readouterr().out
    for kind, name in (("negative", "t0"), ("positive", "t1")):
        assert f"no {kind} window in test, so no ROC AUC" in shown
        assert re.search(rf"{kind} window in test, .*: 1 of 4 targets \({name}\)", shown)
    result = read_evaluation(run)
    table, macro = result.per_target, result.summary["macro"]
    for score in ("roc_auc", "average_precision"):
        assert table[score].isna().tolist() == [True, True, False, False]
        assert macro[score] == pytest.approx(table[score][2:].mean())
        assert macro[f"undefined_{score}"] == 2
    assert table["threshold"].isna().tolist() == [True, True, False, False]
    constant = result.summary["constant"]["macro"]
    assert constant["average_precision"] == pytest.approx((1 / WINDOWS + 0.5) / 2)
    page = (run / "evaluation/report.html").read_text()
    assert "o negative window in test, so no ROC AUC" in page


def test_thresholds_are_not_chosen_on_validation_windows_of_one_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(tmp_path / "data", train=[BOTH], valid=[YES], test=[BOTH])
    run = run_of(data, tmp_path / "run")
    capsys.readouterr()
    assert main(["evaluate", str(run), str(data.path)]) == 0
    shown = capsys.readouterr()
    assert "so no threshold could be chosen: " in shown.err
    assert "best F1" not in shown.out


def test_info_names_the_targets_of_each_split_and_warns_of_a_useless_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(
        tmp_path / "data", train=[BOTH, YES, BOTH], valid=[NO] * 3, test=[ONE, BOTH, NO]
    )
    assert main(["data", "info", str(data.path)]) == 0
    shown = capsys.readouterr().out
    assert "\n  train: 1 of 3 targets (t1) has no negative window\n" in shown
    assert "\n  test: 1 of 3 targets (t2) has no positive window\n" in shown
    assert re.search(
        r"\n  warning: .*split 'valid': all 24 windows are negative for every target, so no score "
        r"means anything; give --valid-chrom contigs with peaks",
        shown,
    )


def test_the_remedy_fits_the_data_set(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", "deepsea", train=[YES], test=[NO])
    assert label_kinds(data, "train").problem("x").endswith("again with windows that are negative")
    assert label_kinds(data, "test").problem("x").endswith("again with windows that are positive")
    empty = make_data(tmp_path / "empty", train=[BOTH], test=[np.zeros(0, bool)])
    kinds = label_kinds(empty, "test")
    assert not kinds.is_useless
    assert list(kinds.lines(3)) == []


def test_calibration_needs_both_kinds(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", train=[BOTH], valid=[YES])
    run = tmp_path / "run"
    bioq.train(data, run, sizes=ModelSizes(filters=4), config=bioq.TrainConfig(epochs=1))
    with pytest.raises(bioq.BioqError, match="split 'valid': all 24 windows are positive"):
        bioq.calibrate(run, data)
