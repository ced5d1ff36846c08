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

from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.errors import BioqError, UsageError
from bioq.evaluation import files as results
from bioq.evaluation import predictions
from bioq.evaluation.scoring import evaluate
from bioq.evaluation.summary import Evaluation
from bioq.evaluation.table import evaluation_remarks, evaluation_table
from bioq.forward import predict_split
from bioq.models import ModelSizes, build_model
from bioq.reports.evaluation import write_report
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


HISTORY = [{"epoch": 1, "train_loss": 0.5, "valid_loss": 0.4}]


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
    data = write_dataset(folder / "data", windows=200)
    torch.manual_seed(1)
    model = build_model("bioq", targets=4, window_bp=60, sizes=SIZES)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
    runs.create_run(folder / "run", model=model.architecture, training={}, data=data)
    save_weights(model, folder / "run" / runs.BEST)
    runs.write_history(folder / "run", HISTORY)
    return folder / "run", data


@pytest.fixture(scope="module")
def evaluated(trained) -> Evaluation:
    run, data = trained
    return evaluate(run, data, batch_size=32)


@pytest.fixture(scope="module")
def probability(trained) -> dict[str, np.ndarray]:
    run, data = trained
    return {name: predict_split(load(run), data[name]) for name in ("valid", "test")}


def copy_run(trained: tuple[Path, Dataset], folder: Path) -> Path:
    """Copy the run without its evaluation."""
    return shutil.copytree(trained[0], folder / "run", ignore=shutil.ignore_patterns("evaluation*"))


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
    assert rows[0] == (
        "score", "macro (mean of targets)", "micro (all pooled)", "constant (macro, micro)"
    )  # fmt: skip
    assert scores["ROC AUC, histone (1 target)"][0] == "–"
    assert scores["accuracy at 0.5"][2] == f"{1 - evaluated.summary['positive_rate']:.4f}"
    undefined = "no positive window in test, so no ROC AUC and no average precision (–), "
    (remark,) = (text for text in evaluation_remarks(evaluated.summary) if "(–)" in text)
    assert remark == f"{undefined}and not in the macro mean: 1 of 4 targets (never)"


def test_scores_of_the_constant_are_those_of_scikit_learn(trained, evaluated, probability):
    labels = trained[1]["test"].labels()
    rates = np.broadcast_to(labels.mean(axis=0), labels.shape)
    constant = evaluated.summary["constant"]
    flat = labels.ravel(), rates.ravel()
    assert constant["micro"]["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(*flat))
    assert constant["micro"]["average_precision"] == pytest.approx(
        sklearn.metrics.average_precision_score(*flat)
    )
    assert constant["macro"] == {
        "roc_auc": 0.5,
        "average_precision": pytest.approx(labels[:, :3].mean()),
    }
    assert constant["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(*flat))
    assert constant["log_loss"] == pytest.approx(sklearn.metrics.log_loss(*flat))
    micro = evaluated.summary["micro"]
    assert micro["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss(
            labels.ravel(), predict_split(load(trained[0]), trained[1]["test"]).ravel()
        )
    )


def test_targets_with_few_positives_are_marked_and_the_others_have_a_mean(trained, evaluated):
    table, enough = evaluated.per_target, evaluated.summary["enough"]
    few = table["positives"] < 20
    assert 0 < few.sum() < len(few)
    assert table["few_positives"].tolist() == few.astype(int).tolist()
    assert (enough["targets"], enough["positives"]) == ((~few).sum(), 20)
    assert enough["roc_auc"] == pytest.approx(table["roc_auc"][~few].mean())
    (remark,) = (text for text in evaluation_remarks(evaluated.summary) if "fewer than 20" in text)
    assert remark.startswith(f"{few.sum()} of 4 targets ({few.mean():.0%}) ")


def test_one_block_has_no_intervals_and_says_so(evaluated):
    assert evaluated.summary["blocks"] == 1
    assert evaluated.summary["macro"]["roc_auc_interval"] is None
    assert evaluated.per_target["roc_auc_low"].isna().all()
    assert evaluation_remarks(evaluated.summary)[1] == (
        "no intervals: the split is in 1 block of 100 kb of the genome, an interval needs 5"
    )


def write_along_a_genome(path: Path, *, windows: int = 1200) -> Dataset:
    """A data set with a window every 1,000 bases: 12 blocks."""
    generator = np.random.default_rng(6)
    targets = TARGETS[:2].assign(group=["DNase", "TF"])
    description = Description("peaks", 60, 20, "half", contigs=("chr1",))
    with new_dataset(path, description, targets) as writer:
        for name in ("train", "valid", "test"):
            codes = generator.integers(0, 4, (windows, 60)).astype(np.uint8)
            rich = (codes == 0).mean(axis=1)[:, None] + generator.normal(0, 0.05, (windows, 2))
            bins = np.stack([np.zeros(windows, int), np.arange(windows) * 1000], axis=1)
            with writer.split(name) as split:
                split.append(codes, pack_labels(rich > 0.3), bins)
    return open_dataset(path)


def write_run(folder: Path, data: Dataset, *, scale: float) -> Path:
    """A run whose weights are random numbers times `scale`."""
    torch.manual_seed(1)
    model = build_model("bioq", targets=len(data.targets), window_bp=60, sizes=SIZES)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(scale)
    runs.create_run(folder, model=model.architecture, training={}, data=data)
    save_weights(model, folder / runs.BEST)
    runs.write_history(folder, HISTORY)
    return folder


def test_every_area_has_an_interval_over_the_blocks(tmp_path, capsys):
    data = write_along_a_genome(tmp_path / "data")
    run = write_run(tmp_path / "run", data, scale=3)
    assert main(["evaluate", str(run), str(data.path)]) == 0
    shown = capsys.readouterr().out
    result = results.read_evaluation(run)
    summary, table = result.summary, result.per_target
    assert summary["blocks"] == 12
    groups = summary["groups"]
    names = ("roc_auc", "average_precision")
    areas = [(summary[mean], name) for mean in ("macro", "micro") for name in names]
    areas += [(groups["TF"], f"{mean}_{name}") for mean in ("macro", "micro") for name in names]
    for scores, name in areas:
        low, high = scores[f"{name}_interval"]
        assert 0 < low < scores[name] < high < 1
    assert (table["roc_auc_low"] < table["roc_auc"]).all()
    assert (table["average_precision_high"] > table["average_precision"]).all()
    low, high = summary["macro"]["roc_auc_interval"]
    assert f"{summary['macro']['roc_auc']:.4f} [{low:.3f}, {high:.3f}]" in shown
    assert "95 % intervals, from 12 blocks of 100 kb of the genome" in shown
    page = (run / "evaluation/report.html").read_text()
    assert f"<span>95 %: {low:.3f} to {high:.3f}</span>" in page
    of_target = f"{table['roc_auc_low'][0]:.3f} to {table['roc_auc_high'][0]:.3f}"
    assert f">{of_target}</td>" in page


def test_a_network_that_predicts_the_same_for_every_window_is_named(tmp_path, capsys):
    data = write_along_a_genome(tmp_path / "data", windows=200)
    run = write_run(tmp_path / "run", data, scale=0)
    assert main(["evaluate", str(run), str(data.path)]) == 0
    shown = capsys.readouterr().out
    said = "the network predicts the same for every window: train longer"
    assert said in shown
    assert "not better than the constant: macro ROC AUC" in shown
    assert (
        "the network predicts the same for every window: train longer"
        in (run / "evaluation/report.html").read_text()
    )
    summary = results.read_evaluation(run).summary
    assert summary["same_everywhere"]["names"] == ["a", "b"]
    assert summary["macro"]["roc_auc"] == 0.5


def test_an_evaluation_of_another_split_stands_beside_the_first(trained, tmp_path, capsys):
    run = str(copy_run(trained, tmp_path))
    data = str(trained[1].path)
    assert main(["evaluate", run, data]) == 0
    first = (tmp_path / "run/evaluation/metrics.json").read_bytes()
    assert main(["evaluate", run, data, "--split", "valid"]) == 0
    assert (tmp_path / "run/evaluation/metrics.json").read_bytes() == first
    page = (tmp_path / "run/evaluation-valid/report.html").read_text()
    assert "<title>run, valid · BioQ report</title>" in page
    assert "bioq evaluate run data --split valid" in page
    assert results.read_evaluation(run, "valid").summary["split"] == "valid"
    assert results.read_evaluation(run).summary["split"] == "test"
    assert results.latest_evaluation(run) == tmp_path / "run/evaluation"
    capsys.readouterr()


def test_an_evaluation_is_replaced_only_with_force_and_before_any_work(trained, tmp_path, capsys):
    run = copy_run(trained, tmp_path)
    command = ["evaluate", str(run), str(trained[1].path)]
    assert main(command) == 0
    before = {file: file.stat().st_mtime_ns for file in (run / "evaluation").iterdir()}
    capsys.readouterr()
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"bioq: {run}/evaluation: has an evaluation of the split 'test' of data; give --force to "
        "replace it, or --out for another folder\n"
    )
    assert {file: file.stat().st_mtime_ns for file in (run / "evaluation").iterdir()} == before
    with pytest.raises(BioqError, match="give --force to replace it"):
        evaluate(run, trained[1])
    assert main([*command, "--force"]) == 0
    assert all(file.stat().st_mtime_ns > time for file, time in before.items())


@pytest.mark.parametrize("lost", ["metrics.json", "report.html"])
def test_an_interrupted_evaluation_does_not_block_the_next(trained, tmp_path, lost):
    run = copy_run(trained, tmp_path)
    command = ["evaluate", str(run), str(trained[1].path)]
    assert main(command) == 0
    (run / "evaluation" / lost).unlink()
    assert main(command) == 0
    assert (run / "evaluation" / lost).is_file()


def test_an_evaluation_written_before_intervals_is_still_read_and_shown(trained, tmp_path, capsys):
    run = copy_run(trained, tmp_path)
    evaluate(run, trained[1])
    file = run / "evaluation/metrics.json"
    new = ("blocks", "enough", "constant", "same_everywhere", "log_loss", "all_bins")
    new += ("without_positive", "without_negative")

    def older(value):
        if not isinstance(value, dict):
            return value
        names = [name for name in value if name not in new and not name.endswith("_interval")]
        return {name: older(value[name]) for name in names}

    file.write_text(json.dumps(older(json.loads(file.read_text()))))
    table = pd.read_csv(run / "evaluation/per_target.tsv", sep="\t", dtype=str, na_filter=False)
    added = [name for name in table if name.endswith(("_low", "_high"))]
    table = table.drop(columns=[*added, "few_positives", "same_everywhere", "positive_rate"])
    table.to_csv(run / "evaluation/per_target.tsv", sep="\t", index=False)
    summary = results.read_evaluation(run).summary
    assert evaluation_table(summary)[1][3] == ""
    assert evaluation_remarks(summary)[1].startswith("–: ")
    page = write_report(run).read_text()
    assert "a constant:" not in page


def test_predictions_too_large_for_memory_go_to_a_file_and_score_the_same(
    trained, evaluated, monkeypatch, tmp_path
):
    monkeypatch.setattr(predictions, "_MEMORY_BYTES", 100)
    run = copy_run(trained, tmp_path)
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
    run = copy_run(trained, tmp_path)
    with pytest.raises(BioqError, match=r"'valid' need 0\.0 GB of disk .*No space left"):
        evaluate(run, trained[1])


def test_without_a_validation_split_only_the_fixed_threshold_is_given(trained, tmp_path, capsys):
    run = copy_run(trained, tmp_path)
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
    run = copy_run(trained, tmp_path)
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
        evaluate(trained[0], data, force=True)


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
            r"metrics\.json: has no run; evaluate the run again",
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
        results.make_folder(tmp_path, "test")


def test_the_calibration_split_of_another_data_set_is_not_noted(trained, tmp_path):
    run = copy_run(trained, tmp_path)
    give_calibration(run, floor(0.1), {"fingerprint": trained[1].fingerprint})
    note = "the calibration was fitted on the split 'valid' that is scored here"
    same = evaluate(run, trained[1], split="valid").summary["notes"]
    assert any(note in text for text in same)
    other = write_dataset(tmp_path / "data", windows=81)
    assert other.fingerprint != trained[1].fingerprint
    result = evaluate(run, other, split="valid", force=True)
    assert not any(note in text for text in result.summary["notes"])


@pytest.mark.parametrize("folded", [False, True])
def test_the_forward_strand_alone_is_noted_if_the_source_has_both(trained, tmp_path, folded):
    run = copy_run(trained, tmp_path)
    data = write_dataset(tmp_path / "data", strands_folded=folded)
    notes = evaluate(run, data, strands="forward").summary["notes"]
    assert any("only the stored strand was scored" in text for text in notes) == folded
    assert not evaluate(run, data, strands="both", force=True).summary["notes"]


def test_a_group_named_all_is_not_taken_for_the_pool_of_all_targets(trained, tmp_path):
    run = copy_run(trained, tmp_path)
    targets = TARGETS.assign(group=["all", "TF", "TF", ""])
    result = evaluate(run, write_dataset(tmp_path / "data", targets=targets))
    assert list(result.summary["groups"]) == ["TF"]
    pooled = result.curves[(result.curves["group"] == "all") & (result.curves["curve"] == "roc")]
    assert (pooled["x"].diff().dropna() >= 0).all(), "one curve, not two"


def test_a_score_equal_to_the_published_score_is_not_better_here(trained, evaluated, tmp_path):
    run = copy_run(trained, tmp_path)
    here = evaluated.per_target["roc_auc"]
    published = [repr(float(here[0])), repr(float(here[1]) - 0.01), "NA", "0.5"]
    targets = TARGETS.assign(danq_roc_auc=published)
    (compared,) = evaluate(
        run, write_dataset(tmp_path / "data", targets=targets, windows=200)
    ).summary["published"]
    assert (compared["targets"], compared["better_here"]) == (2, 1)


def test_files_of_two_evaluations_are_never_read_as_one(trained, tmp_path, monkeypatch):
    run = copy_run(trained, tmp_path)
    evaluate(run, trained[1])
    replace = os.replace

    def fail_at_the_curves(source, path):
        if Path(path).name == results.CURVES:
            raise OSError(5, "Input/output error")
        replace(source, path)

    monkeypatch.setattr(os, "replace", fail_at_the_curves)
    with pytest.raises(BioqError, match="Input/output error"):
        evaluate(run, trained[1], strands="forward", force=True)
    with pytest.raises(BioqError, match=r"metrics\.json: no such file; run 'bioq evaluate"):
        results.read_evaluation(run)
