"""The mean of several runs, evaluated as one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from calibrated_run import floor, give_calibration

import bioq
from bioq import BioqError, UsageError
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset
from bioq.evaluation.files import read_evaluation
from bioq.runs.trained_model import load
from bioq.runs.weights import save_weights


@pytest.fixture
def other(run: Path, tmp_path: Path) -> Path:
    """A second run, of other weights."""
    folder = Path(shutil.copytree(run, tmp_path / "other"))
    torch.manual_seed(5)
    model = load(folder)
    with torch.no_grad():
        for part in model.parameters():
            part.add_(torch.randn_like(part) * part.std())
    save_weights(model.network, folder / "model.safetensors")
    return folder


def test_several_runs_are_scored_by_their_mean_probability(
    run: Path, other: Path, masked_data: Dataset, tmp_path: Path
) -> None:
    give_calibration(other, floor(0.125))
    result = bioq.evaluate([run, other], masked_data, out=tmp_path / "both")
    test = masked_data["test"].read(slice(None))
    mean = (bioq.predict(load(run), test.windows) + bioq.predict(load(other), test.windows)) / 2
    for target in range(2):
        assert result.per_target["roc_auc"][target] == pytest.approx(
            sklearn.metrics.roc_auc_score(test.labels[:, target], mean[:, target])
        )
    assert result.summary["micro"]["brier"] == pytest.approx(((mean - test.labels) ** 2).mean())
    assert result.summary["members"] == ["run", "other"]
    assert result.summary["calibrated"] is False
    assert "1 of the 2 runs are calibrated, the rest not" in result.summary["notes"]
    assert read_evaluation(tmp_path / "both").summary["members"] == ["run", "other"]
    assert not (run / "evaluation").exists()


def test_a_single_run_may_be_evaluated_elsewhere(
    run: Path, masked_data: Dataset, tmp_path: Path
) -> None:
    away = bioq.evaluate(run, masked_data, out=tmp_path / "away")
    here = bioq.evaluate(run, masked_data)
    np.testing.assert_array_equal(away.per_target["brier"], here.per_target["brier"])


def test_the_command_writes_a_report_that_names_the_members(
    run: Path, other: Path, masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both"
    assert main(["evaluate", str(run), str(other), str(masked_data.path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"report: {out / 'evaluation' / 'report.html'}\n")
    page = (out / "evaluation" / "report.html").read_text()
    assert "The mean probability of 2 runs, <b>run</b>, <b>other</b>" in page
    assert "<h2>Training</h2>" not in page


def test_runs_and_places_that_do_not_go_together_are_refused(
    run: Path, other: Path, masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(run), str(other), str(masked_data.path)]
    assert main(["evaluate", *both]) == 2
    assert "2 runs: give the folder for their evaluation with --out" in capsys.readouterr().err
    with pytest.raises(UsageError, match="run: is named twice; an ensemble is of different runs"):
        bioq.evaluate([run, run], masked_data, out=tmp_path / "both")
    with pytest.raises(UsageError, match="other: is a run folder, which holds its own evaluation"):
        bioq.evaluate([run, other], masked_data, out=other)
    with pytest.raises(BioqError, match="could not be made: No such file"):
        bioq.evaluate([run, other], masked_data, out=tmp_path / "no" / "both")


def test_every_run_must_fit_the_data_set(
    run: Path, other: Path, masked_data: Dataset, tmp_path: Path
) -> None:
    table = load(run).targets.assign(name=["first", "third"])
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(tmp_path / "third", description, table):
        pass
    table.to_csv(other / "targets.tsv", sep="\t", index=False)
    third = open_dataset(tmp_path / "third")
    with pytest.raises(BioqError, match=r"target 2 is 'third', in the run .*run it is 'second'"):
        bioq.evaluate([other, run], third, out=tmp_path / "both")
    assert not (tmp_path / "both").exists()
