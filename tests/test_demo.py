import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from bioq.builders.simulation.build import SimulationOptions
from bioq.builders.simulation.grammar import TARGETS
from bioq.builders.simulation.truth import compare_with_truth
from bioq.cli import main
from bioq.cli.demo import _DEMO, run_demo, shown
from bioq.cli.first_steps import program
from bioq.dataset import open_dataset
from bioq.evaluation.files import read_evaluation
from bioq.files import require_absent
from bioq.models import ModelSizes
from bioq.runs.folder import read_history
from bioq.training.recipes import TrainConfig

TINY_GENOME = SimulationOptions(train_contigs=1, contig_bp=12_000, element_rate=1.0)
TINY_MODEL = ModelSizes(
    filters=4, filter_width=20, pool_width=50, lstm_units=4, lstm_layers=1, dense_units=4
)


def test_demo_leaves_data_run_and_report_and_prints_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("deep folder") / "demo"
    run_demo(out, TINY_GENOME, TINY_MODEL, TrainConfig(epochs=1, patience=0, device="cpu"))
    data, result = open_dataset(out / "data"), read_evaluation(out / "run")
    assert len(read_history(out / "run")) == 1
    table = compare_with_truth(data, "test", result.per_target)
    printed, progress = capsys.readouterr()
    for target, row in zip(TARGETS, table.itertuples(), strict=True):
        line = next(line for line in printed.splitlines() if line.startswith(f"{target.name}  "))
        assert target.rule in line
        for score in (row.roc_auc, row.truth_roc_auc, row.average_precision):
            assert f"{score:.3f}" in line or pd.isna(score)
    report = out / "run" / "evaluation" / "report.html"
    assert f"The report: {report}" in printed
    assert report.resolve().as_uri() in printed
    page = report.read_text(encoding="utf-8")
    assert "The model compared with the truth" in page
    assert "motifs AP" in page
    assert [line[:3] for line in progress.splitlines() if line[1:3] == "/4"] == [
        "1/4",
        "2/4",
        "3/4",
        "4/4",
    ]
    commands = [shlex.split(line) for line in printed.splitlines() if line.startswith("    ")]
    typed = shlex.split(program())
    assert [command[: len(typed)] for command in commands] == [typed] * 3
    assert [command[len(typed)] for command in commands] == ["variants", "mutagenesis", "data"]
    subprocess.run([*typed, "--version"], check=True, stdout=subprocess.DEVNULL)
    assert [main(command[len(typed) :]) for command in commands] == [0, 0, 0]
    assert len((out / "scores.tsv").read_text().splitlines()) == 2
    assert (out / "variant.png").stat().st_size > 10_000
    assert open_dataset(out / "peaks").targets["name"].tolist() == [each.name for each in TARGETS]
    require_absent(out, replaces=_DEMO)  # --force replaces the demo with what these wrote


def test_demo_refuses_a_folder_that_exists_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path)]) == 1
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.count("\n") == 1
    assert f"{tmp_path}: exists already" in error


def test_only_a_demo_is_replaced_and_only_with_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bioq.cli.demo.simulate", interrupt)
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--force"]) == 1
    assert "is not replaced: it has no data/dataset.json" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"
    old = tmp_path / "demo"
    (old / "data").mkdir(parents=True)
    (old / "data" / "dataset.json").write_text("{}")
    assert main(["demo", "--out", str(old)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["demo", "--out", str(old), "--force"]) == 130
    assert not old.exists()


def test_a_score_that_is_not_defined_is_shown_as_a_dash() -> None:
    scores = {
        "roc_auc": [float("nan")],
        "truth_roc_auc": [0.98765],
        "motifs_roc_auc": [0.5],
        "average_precision": [0.25],
        "truth_average_precision": [1.0],
        "motifs_average_precision": [0.0],
        "positive_rate": [0.125],
    }
    table = shown(pd.DataFrame({"name": ["one"], "rule": ["a site"], **scores}))
    assert table.iloc[0].to_list() == [
        "one",
        "a site",
        "-",
        "0.988",
        "0.125",
        "0.250",
        "1.000",
        "0.000",
    ]
