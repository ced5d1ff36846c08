"""Published scores beside those of a run, on DeepSEA's test windows and on others."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import published_files
import pytest
import sklearn.metrics
import torch

from bioq import dna, evaluate, import_model, open_dataset
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, pack_labels
from bioq.dataset.targets import read_target_table
from bioq.evaluation.published_scores import published_table
from bioq.evaluation.summary import Evaluation
from bioq.evaluation.table import evaluation_remarks
from bioq.forward import predict_split
from bioq.models import ModelSizes, build_model
from bioq.published import scores as published_scores
from bioq.published.scores import (
    is_published_test,
    model_with_scores,
    published_columns,
    with_published_scores,
)
from bioq.published.targets import DEEPSEA_TARGET_TABLE
from bioq.runs import folder as runs
from bioq.runs.trained_model import load
from bioq.runs.weights import save_weights

WINDOW_BP, WINDOWS, BLOCKS = 60, 200, 20
UNDEFINED = 918
"""The target of the 919 without a published score is the only one without a positive."""
TABLE = read_target_table(DEEPSEA_TARGET_TABLE)
SIZES = ModelSizes(filters=4, filter_width=6, pool_width=10, lstm_units=3, dense_units=8)


def undefined() -> np.ndarray:
    return pd.to_numeric(TABLE["danq_roc_auc"], errors="coerce").isna().to_numpy()


def write_data(
    path: Path,
    targets: pd.DataFrame,
    *,
    made_by: str = "deepsea",
    positive_everywhere: bool = False,
    window_bp: int = WINDOW_BP,
) -> Dataset:
    """A data set of DeepSEA's targets, on few windows of chr8, in 20 blocks of the genome."""
    generator = np.random.default_rng(0)
    about = Description(made_by, window_bp, 20, "half", contigs=("chr8",), contig_bp=(146_364_022,))
    with new_dataset(path, about, targets) as writer:
        for name, windows in (("test", WINDOWS), ("train", 8)):
            codes = generator.integers(0, 4, (windows, window_bp)).astype(np.uint8)
            labels = generator.random((windows, len(targets))) < 0.2
            if not positive_everywhere:
                labels[:, undefined()[: len(targets)]] = False
            start = np.sort(generator.integers(0, BLOCKS, windows)) * 100_000
            bins = np.stack([np.zeros(windows), start + np.arange(windows) * 200], axis=1)
            with writer.split(name, strands_folded=True) as split:
                split.append(codes, pack_labels(labels), bins.astype(np.int32))
    return open_dataset(path)


def write_run(path: Path, data: Dataset, model: str = "danq", sizes: ModelSizes = SIZES) -> Path:
    torch.manual_seed(1)
    network = build_model(model, targets=len(data.targets), window_bp=WINDOW_BP, sizes=sizes)
    runs.create_run(path, model=network.architecture, training={}, data=data)
    save_weights(network, path / runs.BEST)
    runs.write_history(path, [{"epoch": 1, "train_loss": 0.5, "valid_loss": 0.4}])
    return path


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Path, Dataset, pd.DataFrame]:
    """A run, its data set, and the scores of each target by scikit-learn."""
    folder = tmp_path_factory.mktemp("published")
    data = write_data(folder / "data", TABLE[["name", "group"]])
    run = write_run(folder / "run", data)
    labels, probability = data["test"].labels(), predict_split(load(run), data["test"])
    rows = []
    for target in np.flatnonzero(~undefined()):
        pair = labels[:, target], probability[:, target]
        rows.append(
            {
                "target": target,
                "roc_auc": sklearn.metrics.roc_auc_score(*pair),
                "average_precision": sklearn.metrics.average_precision_score(*pair),
            }
        )
    return run, data, pd.DataFrame(rows).set_index("target")


def as_published(
    scored: tuple[Path, Dataset, pd.DataFrame],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    shift: float | np.ndarray = 0.0,
    windows: int = WINDOWS,
) -> tuple[Path, Dataset]:
    """The run, and its data set with scores of DanQ that are those of the run plus `shift`."""
    run, data, here = scored
    table = TABLE[["name", "group"]].copy()
    for column, score in (("danq_roc_auc", "roc_auc"), ("danq_pr_auc", "average_precision")):
        table[column] = (here[score] + shift).reindex(range(919)).map("{:.6g}".format)
        table.loc[undefined(), column] = "NA"
    with_scores = write_data(folder / "data", table)
    assert np.array_equal(with_scores["test"].labels(), data["test"].labels())
    monkeypatch.setattr(published_scores, "TEST_WINDOWS", windows)
    copied = shutil.copytree(run, folder / "run", ignore=shutil.ignore_patterns("evaluation*"))
    return copied, with_scores


def of(evaluation: Evaluation, model: str, score: str) -> dict[str, object]:
    (row,) = [
        row
        for row in evaluation.summary["published"]
        if (row["model"], row["score"]) == (model, score)
    ]
    return dict(row)


def test_scores_equal_to_the_published_agree(scored, tmp_path, monkeypatch) -> None:
    run, data = as_published(scored, tmp_path, monkeypatch)
    here = scored[2]
    result = evaluate(run, data)
    for score in ("roc_auc", "average_precision"):
        row = of(result, "danq", score)
        assert row["targets"] == len(here) == row["with_interval"] + _without_interval(run, score)
        assert row["mean_here"] == pytest.approx(here[score].mean(), abs=1e-6)
        assert row["published_mean"] == pytest.approx(here[score].mean(), abs=1e-5)
        assert (row["agrees"], row["in_interval"]) == (True, row["with_interval"])
        assert row["largest_difference"] < 1e-5
        low, high = row["mean_here_interval"]
        assert low < row["mean_here"] < high


def test_an_imported_network_is_proved_by_the_command(tmp_path, monkeypatch, capsys) -> None:
    """The published scores are those of the published arithmetic, by scikit-learn."""
    network = published_files.large_weights(published_files.deepsea(919))
    published_files.save(network, tmp_path / "deepsea.pth")
    bare = TABLE[["name"]]
    data = write_data(tmp_path / "bare", bare, window_bp=published_files.WINDOW_BP)
    codes = codes_of(data)
    both = (codes, 3 - codes[:, ::-1])
    probability = np.mean([published_files.probabilities(network, one) for one in both], axis=0)
    of_targets = sklearn.metrics.roc_auc_score(
        data["test"].labels()[:, ~undefined()], probability[:, ~undefined()], average=None
    )
    scores = np.full(919, "NA", dtype=object)
    scores[~undefined()] = [f"{score:.6g}" for score in of_targets]
    write_data(
        tmp_path / "data",
        bare.assign(deepsea_roc_auc=scores),
        window_bp=published_files.WINDOW_BP,
    )
    monkeypatch.setattr(published_scores, "TEST_WINDOWS", WINDOWS)
    run, window_bp = tmp_path / "run", str(published_files.WINDOW_BP)
    command = ["import", str(tmp_path / "deepsea.pth"), "--out", str(run), "--window-bp", window_bp]
    assert main(command) == 0
    assert main(["evaluate", str(run), str(tmp_path / "data")]) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("DeepSEA, macro ROC AUC"))
    assert line.split()[4:6] == [f"{of_targets.mean():.4f}"] * 2
    assert "macro ROC AUC agrees with the published DeepSEA: the published score is in" in printed
    summary = json.loads((run / "evaluation/metrics.json").read_text())
    row = next(row for row in summary["published"] if row["model"] == "deepsea")
    assert row["agrees"] is True
    assert row["largest_difference"] < 1e-3  # a few pairs of windows change their order
    report = (run / "evaluation/report.html").read_text()
    assert "DeepSEA, published" in report
    assert "agrees with the published DeepSEA" in report


def test_imported_weights_with_a_wrong_detail_do_not_agree(scored, tmp_path, monkeypatch) -> None:
    """The intervals of a trained run contain scores that are 0.003 off; the same weights differ by
    rounding alone."""
    shift = np.where(np.arange(918) % 2, 0.003, -0.003)
    run, data = as_published(scored, tmp_path, monkeypatch, shift=shift)
    assert of(evaluate(run, data), "danq", "roc_auc")["agrees"] is True
    config = json.loads((run / "config.json").read_text())
    network = published_files.large_weights(published_files.deepsea(919))
    published_files.save(network, tmp_path / "file.pth")
    import_model(tmp_path / "file.pth", tmp_path / "other", window_bp=published_files.WINDOW_BP)
    other = json.loads((tmp_path / "other/config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"imported": other["imported"]}))
    result = evaluate(run, data, force=True)
    assert of(result, "danq", "roc_auc")["agrees"] is False
    assert of(result, "danq", "average_precision")["agrees"] is True  # of another formula, perhaps


def codes_of(data: Dataset) -> np.ndarray:
    packed = data["test"].read_packed(slice(None))
    return dna.unpack(packed.sequence, data.description.window_bp, packed.mask)


def _without_interval(run: Path, score: str) -> int:
    table = pd.read_csv(run / "evaluation/per_target.tsv", sep="\t")
    return int((table[score].notna() & table[f"{score}_low"].isna()).sum())


def test_other_scores_than_the_published_do_not_agree(scored, tmp_path, monkeypatch) -> None:
    run, data = as_published(scored, tmp_path, monkeypatch, shift=-0.2)
    row = of(evaluate(run, data), "danq", "roc_auc")
    assert row["agrees"] is False
    assert row["mean_difference"] == pytest.approx(0.2, abs=1e-5)
    assert row["better_here"] == row["targets"]


def test_a_mean_alone_is_not_enough(scored, tmp_path, monkeypatch) -> None:
    """Half of the targets are published too high and half too low: the means are equal."""
    run, data = as_published(scored, tmp_path, monkeypatch)
    table = data.targets.copy()
    shift = np.where(np.arange(919) % 2, 0.25, -0.25)[~undefined()]
    values = pd.to_numeric(table["danq_roc_auc"], errors="coerce")
    values[~undefined()] += shift - shift.mean()
    table["danq_roc_auc"] = values.map(lambda value: "NA" if np.isnan(value) else f"{value:.6g}")
    shifted = write_data(tmp_path / "shifted", table)
    row = of(evaluate(run, shifted), "danq", "roc_auc")
    low, high = row["mean_here_interval"]  # type: ignore[misc]
    assert low < row["published_mean"] < high
    assert row["agrees"] is False
    assert row["in_interval"] < 0.5 * row["with_interval"]  # type: ignore[operator]


def test_other_windows_than_the_published_are_not_judged(scored, tmp_path) -> None:
    """The data set has 200 windows; the scores of the package are of 227,512."""
    run, data, _ = scored
    summary = evaluate(run, data, out=tmp_path).summary
    rows = {row[0]: row[1] for row in published_table(summary)}
    assert rows["DanQ-JASPAR, macro ROC AUC"] == "0.9417"  # from the package's table
    remarks = " ".join(evaluation_remarks(summary))
    assert "The windows scored here are others, so the scores cannot be compared" in remarks
    assert "agree" not in remarks
    table = pd.read_csv(tmp_path / "evaluation/per_target.tsv", sep="\t")
    assert table["deepsea_roc_auc"].mean() == pytest.approx(0.9326, abs=5e-5)


def test_a_model_without_published_scores_is_compared_and_not_judged(
    scored, tmp_path, monkeypatch
) -> None:
    _, data = as_published(scored, tmp_path, monkeypatch)
    sizes = replace(SIZES, attention_units=4, attention_heads=1)
    result = evaluate(write_run(tmp_path / "deepatt", data, "deepatt", sizes), data)
    assert of(result, "danq", "roc_auc")["targets"] == 918
    assert not any("agrees" in row for row in result.summary["published"])


def test_bioq_is_compared_over_all_targets_pooled(scored, tmp_path, monkeypatch) -> None:
    _, data = as_published(scored, tmp_path, monkeypatch)
    run = write_run(tmp_path / "bioq", data, "bioq")
    result = evaluate(run, data)
    row = of(result, "bioq", "average_precision")
    labels, probability = data["test"].labels(), predict_split(load(run), data["test"])
    pooled = sklearn.metrics.average_precision_score(labels.ravel(), probability.ravel())
    assert (row["average"], row["published_mean"], row["agrees"]) == ("micro", 0.3942, False)
    assert row["mean_here"] == pytest.approx(pooled, rel=1e-5)
    of_constant = result.summary["constant"]["micro"]["average_precision"]
    assert row["constant"] == pytest.approx(of_constant)


def test_the_published_test_split_is_known_by_its_content(scored, tmp_path, monkeypatch) -> None:
    _, data = as_published(scored, tmp_path / "same", monkeypatch)
    assert is_published_test(data, "test")
    assert not is_published_test(data, "train")
    others = {
        "peaks": write_data(tmp_path / "peaks", TABLE[["name"]], made_by="peaks"),
        "order": write_data(tmp_path / "order", TABLE[["name"]].iloc[::-1]),
        "positives": write_data(tmp_path / "positives", TABLE[["name"]], positive_everywhere=True),
    }
    assert [name for name, other in others.items() if is_published_test(other, "test")] == []
    monkeypatch.setattr(published_scores, "TEST_WINDOWS", WINDOWS + 1)
    assert not is_published_test(data, "test")


def test_scores_are_added_to_the_919_targets_alone() -> None:
    bare = TABLE[["name"]]
    full = with_published_scores(bare)
    columns = [column for column, _, _ in published_columns(full)]
    assert len(columns) == 6
    pd.testing.assert_frame_equal(full[columns], TABLE[columns])
    assert with_published_scores(bare.iloc[:5]).columns.tolist() == ["name"]
    own = bare.assign(danq_roc_auc="0.5")
    assert set(with_published_scores(own)["danq_roc_auc"]) == {"0.5"}
    assert [model_with_scores(name) for name in ("danq-jaspar", "bioq", "marq")] == [
        "danq_jaspar",
        "bioq",
        None,
    ]
