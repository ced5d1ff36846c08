"""`bioq.evaluation.scoring` and `bioq.evaluation.files` on a small run, beside scikit-learn."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
from calibrated_run import floor, give_calibration

from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.errors import BioqError, UsageError
from bioq.evaluation import files as results
from bioq.evaluation import predictions
from bioq.evaluation.scoring import evaluate
from bioq.evaluation.summary import Evaluation
from bioq.evaluation.table import evaluation_table
from bioq.forward import predict_split
from bioq.models import ModelSizes, build_model
from bioq.runs import folder as runs
from bioq.runs.trained_model import load
from bioq.runs.weights import save_weights

SIZES = ModelSizes(filters=4, filter_width=6, pool_width=10, lstm_units=3, dense_units=8)
TARGETS = pd.DataFrame(
    {
        "name": ["a", "b", "c", "never"],
        "group": ["DNase", "TF", "TF", "histone"],
        "treatment": ["None", "", "NA", "x"],
        "positives": ["the", "sheet's", "own", "column"],
        "danq_roc_auc": ["0.9", "0.1", "NA", "0.5"],
    }
)


def write_dataset(
    path: Path,
    *,
    targets: pd.DataFrame = TARGETS,
    window_bp: int = 60,
    splits: tuple[str, ...] = ("train", "valid", "test"),
    windows: int = 80,
    strands_folded: bool = False,
) -> Dataset:
    """A data set whose last target is never positive; the others follow how much A there is."""
    generator = np.random.default_rng(5)
    with new_dataset(path, Description("peaks", window_bp, 20, "half"), targets) as writer:
        for name in splits:
            codes = generator.integers(0, 4, (windows, window_bp)).astype(np.uint8)
            rich = (codes == 0).mean(axis=1)[:, None] + generator.normal(0, 0.05, (windows, 4))
            labels = rich[:, : len(targets)] > 0.3
            labels[:, -1] = False
            with writer.split(name, strands_folded=strands_folded) as split:
                split.append(codes, pack_labels(labels))
    return open_dataset(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Dataset]:
    """A run folder with a small untrained model, and its data set."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_dataset(folder / "data")
    torch.manual_seed(1)
    model = build_model("bioq", targets=4, window_bp=60, sizes=SIZES)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
    runs.create_run(folder / "run", model=model.architecture, training={}, data=data)
    save_weights(model, folder / "run" / runs.BEST)
    return folder / "run", data


@pytest.fixture(scope="module")
def evaluated(trained) -> Evaluation:
    run, data = trained
    return evaluate(run, data, batch_size=32)


@pytest.fixture(scope="module")
def probability(trained) -> dict[str, np.ndarray]:
    run, data = trained
    return {name: predict_split(load(run), data[name]) for name in ("valid", "test")}


def test_every_target_is_scored_as_scikit_learn_does(trained, evaluated, probability):
    labels = trained[1]["test"].labels()
    table = evaluated.per_target
    for target in range(3):
        label, scored = labels[:, target], probability["test"][:, target]
        row = table.iloc[target]
        assert row["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(label, scored))
        assert row["average_precision"] == pytest.approx(
            sklearn.metrics.average_precision_score(label, scored)
        )
        assert row["positives"] == label.sum()
    assert np.isnan(table["roc_auc"].iloc[3])
    assert np.isnan(table["average_precision"].iloc[3])


def test_macro_is_the_mean_of_the_defined_and_micro_pools_all(trained, evaluated, probability):
    labels = trained[1]["test"].labels()
    macro, micro = evaluated.summary["macro"], evaluated.summary["micro"]
    assert macro["roc_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(labels[:, :3], probability["test"][:, :3], average="macro")
    )
    assert macro["undefined_roc_auc"] == 1
    assert micro["roc_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(labels.ravel(), probability["test"].ravel())
    )


def test_groups_are_scored_on_their_own_targets(trained, evaluated, probability):
    labels = trained[1]["test"].labels()[:, 1:3]
    scores = evaluated.summary["groups"]["TF"]
    assert scores["targets"] == 2
    assert scores["micro_roc_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(labels.ravel(), probability["test"][:, 1:3].ravel())
    )
    assert evaluated.summary["groups"]["histone"]["macro_roc_auc"] is None


def test_thresholds_are_chosen_on_the_validation_split(trained, evaluated, probability):
    labels, scored = trained[1]["valid"].labels().ravel(), probability["valid"].ravel()
    every = {s: sklearn.metrics.f1_score(labels, scored >= s) for s in np.unique(scored)}
    fixed, chosen, never = evaluated.summary["thresholds"]
    assert every[np.float32(chosen["threshold"])] == max(every.values())
    tested = trained[1]["test"].labels().ravel()
    yes = probability["test"].ravel() >= chosen["threshold"]
    assert chosen["f1"] == pytest.approx(sklearn.metrics.f1_score(tested, yes))
    assert chosen["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(tested, yes))
    assert fixed["threshold"] == 0.5
    assert never["accuracy"] == pytest.approx(1 - tested.mean())


def test_published_scores_are_compared_where_both_are_defined(evaluated):
    (compared,) = evaluated.summary["published"]
    assert (compared["model"], compared["score"], compared["targets"]) == ("danq", "roc_auc", 2)
    assert compared["published_mean"] == pytest.approx(0.5)
    ours = evaluated.per_target["roc_auc"][:2]
    assert compared["mean_here"] == pytest.approx(ours.mean())
    assert compared["better_here"] == (ours > [0.9, 0.1]).sum()


def test_an_evaluation_is_read_back_as_it_was_written(trained, evaluated):
    back = results.read_evaluation(trained[0])
    pd.testing.assert_frame_equal(back.per_target, evaluated.per_target, rtol=1e-8)
    pd.testing.assert_frame_equal(back.curves, evaluated.curves, rtol=1e-5)
    pd.testing.assert_frame_equal(back.calibration, evaluated.calibration, rtol=1e-5)
    assert back.summary.items() >= evaluated.summary.items()


def test_the_sheet_comes_before_the_scores_and_keeps_its_text(trained, evaluated):
    table = pd.read_csv(
        trained[0] / "evaluation/per_target.tsv", sep="\t", dtype=str, keep_default_na=False
    )
    columns = ["name", "group", "treatment", "sheet_positives", "danq_roc_auc", "positives"]
    assert list(table.columns[:6]) == columns
    assert list(table["treatment"]) == list(TARGETS["treatment"])
    assert list(table["sheet_positives"]) == list(TARGETS["positives"])


def test_metrics_json_is_strict_json(trained, evaluated):
    def refuse(constant):
        raise AssertionError(constant)

    text = (trained[0] / "evaluation/metrics.json").read_text()
    assert json.loads(text, parse_constant=refuse)["format"] == "bioq-evaluation"


def test_the_table_names_macro_and_micro_and_the_undefined(evaluated):
    rows = evaluation_table(evaluated.summary)
    scores = {row[0]: row[1:] for row in rows[1:]}
    assert rows[0] == ("score", "macro (mean of targets)", "micro (all pooled)")
    assert scores["ROC AUC"][0].endswith("(3 of 4 targets)")
    assert scores["ROC AUC, histone (1 target)"][0] == "–"
    never = scores['accuracy of always answering "no"']
    assert never == ("", f"{1 - evaluated.summary['positive_rate']:.4f}")


def test_predictions_too_large_for_memory_go_to_a_file_and_score_the_same(
    trained, evaluated, monkeypatch, tmp_path
):
    monkeypatch.setattr(predictions, "_MEMORY_BYTES", 100)
    run = shutil.copytree(trained[0], tmp_path / "run")
    again = evaluate(run, trained[1], batch_size=32)
    pd.testing.assert_frame_equal(again.per_target, evaluated.per_target)
    assert sorted(os.listdir(run / "evaluation")) == [
        "calibration.csv",
        "curves.csv",
        "metrics.json",
        "per_target.tsv",
    ]


def test_no_room_for_the_predictions_is_told_before_predicting(trained, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predictions, "_MEMORY_BYTES", 100)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    run = shutil.copytree(trained[0], tmp_path / "run")
    with pytest.raises(BioqError, match=r"'valid' need 0\.0 GB of disk .*No space left"):
        evaluate(run, trained[1])


def test_without_a_validation_split_only_the_fixed_threshold_is_given(trained, tmp_path, capsys):
    run = shutil.copytree(trained[0], tmp_path / "run")
    data = write_dataset(tmp_path / "data", splits=("train", "test"))
    got = evaluate(run, data)
    assert [choice["chosen"] for choice in got.summary["thresholds"]] == ["fixed", "always no"]
    assert not [column for column in got.per_target if "threshold" in column]
    assert "has no split 'valid', so no threshold could be chosen" in got.summary["notes"][0]
    assert "note: the data set has no split 'valid'" in capsys.readouterr().err
    assert results.read_evaluation(run).summary["notes"] == got.summary["notes"]


@pytest.mark.parametrize(
    ("split", "note"),
    [("valid", "chosen on the split 'valid' that is scored here"), ("train", "has seen these")],
)
def test_scores_that_are_too_good_are_noted(trained, tmp_path, split, note):
    run = shutil.copytree(trained[0], tmp_path / "run")
    assert note in evaluate(run, trained[1], split=split).summary["notes"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": TARGETS[:3]}, r"has 3 targets, the run .*run predicts 4; take a data"),
        (
            {"targets": TARGETS.assign(name=["a", "x", "c", "never"])},
            r"target 2 is 'x', in the run .*run it is 'b'; take a data set built with",
        ),
        ({"window_bp": 40}, r"windows of 40 bp, the run .*run takes 60 bp; build .*--window-bp 60"),
        ({"splits": ("train", "valid")}, r"has no split 'test'; it has train, valid"),
        ({"windows": 0}, r"split 'test' holds no windows; there is nothing to score"),
    ],
)
def test_a_data_set_that_does_not_fit_the_run_is_refused(trained, tmp_path, options, message):
    data = write_dataset(tmp_path / "data", **options)
    with pytest.raises(BioqError, match=message):
        evaluate(trained[0], data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": "many"}, "--batch-size 'many', expected a whole number, 1 or more"),
        ({"strands": "one"}, "--strands 'one', expected both or forward"),
        ({"precision": 32}, "--precision 32, expected 32, tf32 or bf16"),
    ],
)
def test_an_option_that_is_wrong_is_refused_by_its_flag(trained, options, message):
    with pytest.raises(UsageError) as error:
        evaluate(*trained, **options)
    assert str(error.value) == message


def test_a_run_without_an_evaluation_says_how_to_make_one(tmp_path):
    with pytest.raises(
        BioqError, match=r"metrics\.json: no such file; run 'bioq evaluate .* first"
    ):
        results.read_evaluation(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": "bioq-run", "format_version": 1}', r"format is 'bioq-run', expected 'bioq-ev"),
        ("{", r"metrics\.json: is not an evaluation .*; evaluate the run again"),
        (
            '{"format": "bioq-evaluation", "format_version": 2}',
            r"format_version 2, this BioQ reads 1; use the BioQ that wrote",
        ),
        (
            '{"format": "bioq-evaluation", "format_version": 1}',
            r"evaluation: cannot be read .*; evaluate the run again",
        ),
    ],
)
def test_a_damaged_or_newer_evaluation_is_refused(tmp_path, text, message):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/metrics.json").write_text(text)
    with pytest.raises(BioqError, match=message):
        results.read_evaluation(tmp_path)


def test_a_run_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "evaluation").write_text("a file where the folder should be")
    with pytest.raises(BioqError, match="evaluation: could not be made: File exists"):
        results.make_folder(tmp_path)


def test_the_calibration_split_of_another_data_set_is_not_noted(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    give_calibration(run, floor(0.1), {"fingerprint": trained[1].fingerprint})
    note = "the calibration was fitted on the split 'valid' that is scored here"
    same = evaluate(run, trained[1], split="valid").summary["notes"]
    assert any(note in text for text in same)
    other = write_dataset(tmp_path / "data", windows=81)
    assert other.fingerprint != trained[1].fingerprint
    assert not any(note in text for text in evaluate(run, other, split="valid").summary["notes"])


@pytest.mark.parametrize("folded", [False, True])
def test_the_forward_strand_alone_is_noted_if_the_source_has_both(trained, tmp_path, folded):
    run = shutil.copytree(trained[0], tmp_path / "run")
    data = write_dataset(tmp_path / "data", strands_folded=folded)
    notes = evaluate(run, data, strands="forward").summary["notes"]
    assert any("only the stored strand was scored" in text for text in notes) == folded
    assert not evaluate(run, data, strands="both").summary["notes"]


def test_a_group_named_all_is_not_taken_for_the_pool_of_all_targets(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    targets = TARGETS.assign(group=["all", "TF", "TF", ""])
    result = evaluate(run, write_dataset(tmp_path / "data", targets=targets))
    assert list(result.summary["groups"]) == ["TF"]
    pooled = result.curves[(result.curves["group"] == "all") & (result.curves["curve"] == "roc")]
    assert (pooled["x"].diff().dropna() >= 0).all(), "one curve, not two"


def test_a_score_equal_to_the_published_score_is_not_better_here(trained, evaluated, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    here = evaluated.per_target["roc_auc"]
    published = [repr(float(here[0])), repr(float(here[1]) - 0.01), "NA", "0.5"]
    targets = TARGETS.assign(danq_roc_auc=published)
    (compared,) = evaluate(run, write_dataset(tmp_path / "data", targets=targets)).summary[
        "published"
    ]
    assert (compared["targets"], compared["better_here"]) == (2, 1)


def test_files_of_two_evaluations_are_never_read_as_one(trained, tmp_path, monkeypatch):
    run = shutil.copytree(trained[0], tmp_path / "run")
    evaluate(run, trained[1])
    replace = os.replace

    def fail_at_the_curves(source, path):
        if Path(path).name == results.CURVES:
            raise OSError(5, "Input/output error")
        replace(source, path)

    monkeypatch.setattr(os, "replace", fail_at_the_curves)
    with pytest.raises(BioqError, match="Input/output error"):
        evaluate(run, trained[1], split="valid")
    with pytest.raises(BioqError, match=r"metrics\.json: no such file; run 'bioq evaluate"):
        results.read_evaluation(run)
