"""Scores at the genome's own rate, from a sample of its bins, beside scikit-learn with weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch

import bioq
from bioq import metrics
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.evaluation.all_bins import sample_of
from bioq.evaluation.files import read_evaluation
from bioq.evaluation.rate_remarks import rate_remarks
from bioq.evaluation.summary import Evaluation
from bioq.evaluation.table import evaluation_remarks
from bioq.forward import predict_split
from bioq.models import ModelSizes, build_model
from bioq.runs import folder as runs
from bioq.runs.trained_model import load
from bioq.runs.weights import save_weights

SIZES = ModelSizes(filters=4, filter_width=6, pool_width=10, lstm_units=3, dense_units=8)
KEPT, BACKGROUND = 300, 200


def sample(rows: int = 400, targets: int = 3, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Labels, scores with many ties, and the weight of each row: 1 or 7.5."""
    random = np.random.default_rng(seed)
    labels = random.random((rows, targets)) < 0.15
    scores = (labels * 0.2 + random.random(labels.shape)).round(2).astype(np.float32) / 2
    return labels, scores, np.where(labels.any(axis=1), 1.0, 7.5)


def test_weighted_scores_are_those_of_scikit_learn() -> None:
    labels, scores, weights = sample()
    table = metrics.weighted_areas(labels, scores, weights).table
    for target in range(3):
        given = labels[:, target], scores[:, target]
        ap = sklearn.metrics.average_precision_score(*given, sample_weight=weights)
        auc = sklearn.metrics.roc_auc_score(*given, sample_weight=weights)
        assert table["average_precision"][target] == pytest.approx(ap)
        assert table["roc_auc"][target] == pytest.approx(auc)
    for columns in (None, np.array([2, 0])):
        points = metrics.operating_points(labels, scores, columns=columns, weights=weights)
        chosen = [0, 1, 2] if columns is None else columns
        given = labels[:, chosen].ravel(), scores[:, chosen].ravel()
        each = np.repeat(weights, len(chosen))
        ap = sklearn.metrics.average_precision_score(*given, sample_weight=each)
        auc = sklearn.metrics.roc_auc_score(*given, sample_weight=each)
        assert metrics.average_precision(points) == pytest.approx(ap)
        assert metrics.roc_auc(points) == pytest.approx(auc)
    counts = metrics.at_threshold(labels, scores, 0.3, weights=weights)
    flat = labels.ravel(), scores.ravel() >= np.float32(0.3)
    each = np.repeat(weights, 3)
    for name in ("precision", "recall", "f1", "accuracy"):
        ours, score = getattr(counts, name), getattr(sklearn.metrics, f"{name}_score")
        assert ours == pytest.approx(score(*flat, sample_weight=each)), name


def test_a_weight_is_a_number_of_equal_windows_also_for_intervals() -> None:
    labels, scores, _ = sample(targets=1)
    weights = np.where(labels[:, 0], 1, np.arange(len(labels)) % 3 + 1)
    blocks = np.arange(len(labels)) // 20
    repeated = np.repeat(np.arange(len(labels)), weights)
    weighted = metrics.weighted_areas(labels, scores, weights, blocks=blocks)
    equal = metrics.score_targets(labels[repeated], scores[repeated], blocks=blocks[repeated])
    assert weighted.effects is not None
    assert equal.effects is not None
    np.testing.assert_allclose(
        weighted.effects.average_precision, equal.effects.average_precision, rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(
        weighted.effects.roc_auc, equal.effects.roc_auc, rtol=1e-4, atol=1e-7
    )
    assert weighted.table["average_precision"][0] == pytest.approx(
        equal.table["average_precision"][0]
    )


def test_weights_of_one_change_no_bit() -> None:
    labels, scores, weights = sample()
    plain = metrics.score_targets(labels, scores).table
    ones = metrics.weighted_areas(labels, scores, np.ones_like(weights)).table
    pd.testing.assert_frame_equal(plain[list(ones)], ones, check_exact=True)


def test_false_positives_of_a_random_sample_are_on_average_those_of_all_bins() -> None:
    random = np.random.default_rng(4)
    labels, scores, _ = sample(rows=2000)
    is_background = ~labels.any(axis=1)
    kept, others = np.flatnonzero(~is_background), np.flatnonzero(is_background)
    whole = metrics.at_threshold(labels, scores, 0.45)
    estimates = []
    for _ in range(300):
        rows = np.concatenate([kept, random.choice(others, 150, replace=False)])
        weights = np.where(is_background[rows], len(others) / 150, 1.0)
        counts = metrics.at_threshold(labels[rows], scores[rows], 0.45, weights=weights)
        assert counts.negatives == pytest.approx(whole.negatives)
        assert counts.true_positives == whole.true_positives
        estimates.append(counts.false_positives)
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert error < 0.02 * whole.false_positives
    assert abs(np.mean(estimates) - whole.false_positives) < 4 * error


@pytest.mark.parametrize(
    "bad", [np.ones(3), np.full(400, -1.0), np.full(400, np.nan), "x", np.ones((400, 1))]
)
def test_wrong_weights_are_refused(bad: object) -> None:
    labels, scores, _ = sample()
    with pytest.raises(Exception, match="weights"):
        metrics.operating_points(labels, scores, weights=bad)


def make_data(
    folder: Path, *, bins: int | None, keep: str = "any", drawn: str = "random:1"
) -> Dataset:
    """Two targets; windows every 2,000 bases, some of them positive for none."""
    random = np.random.default_rng(8)
    options = {"keep": keep, "background": drawn}
    described = Description("peaks", 60, 20, "half", contigs=("chr1",), options=options)
    with new_dataset(folder, described, pd.DataFrame({"name": ["a", "b"]})) as writer:
        for name in ("train", "valid", "test"):
            rows = KEPT + BACKGROUND
            codes = random.integers(0, 4, (rows, 60)).astype(np.uint8)
            is_a = random.random(rows) < (codes == 0).mean(axis=1) * 2
            labels = np.stack([is_a, ~is_a | (random.random(rows) < 0.1)], axis=1)
            labels[random.permutation(rows)[:BACKGROUND]] = False
            starts = np.stack([np.zeros(rows, int), np.arange(rows) * 2000], axis=1)
            with writer.split(name, all_bins=bins) as split:
                split.append(codes, pack_labels(labels), starts)
    return open_dataset(folder)


def make_run(folder: Path, data: Dataset) -> Path:
    torch.manual_seed(1)
    model = build_model("bioq", targets=2, window_bp=60, sizes=SIZES)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
    runs.create_run(folder, model=model.architecture, training={}, data=data)
    save_weights(model, folder / runs.BEST)
    runs.write_history(folder, [{"epoch": 1, "train_loss": 0.5, "valid_loss": 0.4}])
    return folder


def evaluated(tmp_path: Path, **how: object) -> tuple[Dataset, Path, Evaluation]:
    data = make_data(tmp_path / "data", **how)  # type: ignore[arg-type]
    run = make_run(tmp_path / "run", data)
    return data, run, bioq.evaluate(run, data)


def test_an_evaluation_gives_the_scores_of_all_bins_beside_those_of_the_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bins = KEPT + 5 * BACKGROUND
    data, run, _ = evaluated(tmp_path, bins=bins)
    assert main(["evaluate", str(run), str(data.path), "--force"]) == 0
    evaluation = read_evaluation(run)
    shown = capsys.readouterr().out
    labels, scored = data["test"].labels(), predict_split(load(run), data["test"])
    weights = np.where(labels.any(axis=1), 1, 5)
    table, entry = evaluation.per_target, evaluation.summary["all_bins"]
    assert entry is not None
    for target in range(2):
        given = labels[:, target], scored[:, target]
        assert table["average_precision_all_bins"][target] == pytest.approx(
            sklearn.metrics.average_precision_score(*given, sample_weight=weights)
        )
        assert table["positive_rate_all_bins"][target] == pytest.approx(given[0].sum() / bins)
        assert table["average_precision"][target] == pytest.approx(
            sklearn.metrics.average_precision_score(*given)
        )
    scores = entry["scores"]
    each = np.repeat(weights, 2)
    assert scores["micro"]["average_precision"] == pytest.approx(
        sklearn.metrics.average_precision_score(labels.ravel(), scored.ravel(), sample_weight=each)
    )
    assert scores["macro"]["roc_auc"] == pytest.approx(table["roc_auc_all_bins"].mean())
    low, high = scores["micro"]["average_precision_interval"]  # type: ignore[misc]
    assert 0 < low < scores["micro"]["average_precision"] < high < 1
    assert scores["constant"]["macro"]["average_precision"] == pytest.approx(
        labels.sum() / 2 / bins
    )
    assert scores["thresholds"][0]["precision"] == pytest.approx(
        sklearn.metrics.precision_score(labels.ravel(), scored.ravel() >= 0.5, sample_weight=each)
    )
    assert (entry["bins"], entry["background"], scores["weight"]) == (bins, BACKGROUND, 5)
    rate = labels.sum() / 2 / bins
    assert entry["positive_rate"] == pytest.approx(rate)
    micro, constant = scores["micro"]["average_precision"], scores["constant"]["micro"]
    assert f"{micro:.4f} [{low:.3f}, {high:.3f}]" in shown
    (line,) = (line for line in shown.splitlines() if line.startswith("average precision, all"))
    assert f"{constant['average_precision']:.4f}" in line
    assert f"{100 * labels.mean():.3g} % of the labels are positive in test" in shown
    assert f"({100 * rate:.3g} % of all {bins:,} bins of its contigs" in shown
    assert "each of the 200 windows without a positive stands for 5.0 bins" in shown
    page = (run / "evaluation/report.html").read_text()
    assert "all, in all bins" in page
    assert f"<td>{micro:.4f} <span" in page
    assert "windows without a positive stands for 5.0 bins." in page
    assert f"<td>{scores['thresholds'][0]['precision']:.4f}</td>" in page


def test_a_window_that_stands_for_many_bins_gives_no_interval_and_says_so(tmp_path: Path) -> None:
    _, _, evaluation = evaluated(tmp_path, bins=KEPT + 11 * BACKGROUND)
    entry = evaluation.summary["all_bins"]
    assert entry is not None
    assert entry["scores"]["micro"]["average_precision_interval"] is None
    assert evaluation.per_target["average_precision_all_bins_low"].isna().all()
    assert evaluation.summary["micro"]["average_precision_interval"] is not None
    (line,) = rate_remarks(evaluation.summary)
    rough = "rough and often too high, because a window stands for more than 10 bins. For exact"
    assert f"stands for 11.0 bins. The estimate is {rough}" in line
    assert "build the data set with --all-bins test (with --folds: --keep all)" in line


@pytest.mark.parametrize(
    ("how", "remark"),
    [
        ({"bins": KEPT + BACKGROUND}, "test has every bin of its contigs, so average precision"),
        ({"bins": None}, "depend on this share, and hold for it alone"),
        ({"bins": 9000, "keep": "a"}, "(that of all bins is not known: --keep left bins out); av"),
        ({"bins": 9000, "drawn": "matched:1"}, "usually too low, because these windows are"),
    ],
)
def test_every_evaluation_says_the_rate_and_what_follows(
    tmp_path: Path, how: dict, remark: str
) -> None:
    data, run, evaluation = evaluated(tmp_path, **how)
    (line,) = rate_remarks(evaluation.summary)
    assert remark in line
    assert f"{100 * data['test'].labels().mean():.3g} %" in line
    assert evaluation_remarks(evaluation.summary)[0] == line
    has_scores = "scores" in (evaluation.summary["all_bins"] or {})
    assert has_scores == ("drawn" in how)
    assert ("average_precision_all_bins" in evaluation.per_target) == has_scores
    metrics_json = json.loads((run / "evaluation/metrics.json").read_text())
    assert (metrics_json["all_bins"] is None) == (how["bins"] is None)


def test_a_split_without_background_has_no_estimate(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", bins=9000)
    labels = np.ones((len(data["test"]), 2), np.uint8)
    found = sample_of(data, "test", labels)
    assert found is not None
    assert found.weights is None
    assert not found.background
    run = make_run(tmp_path / "run", data)
    summary = bioq.evaluate(run, data).summary
    assert summary["all_bins"] is not None
    del summary["all_bins"]["scores"]
    (line,) = rate_remarks(summary)
    assert "for those build the data set with --background, or with --all-bins test" in line
