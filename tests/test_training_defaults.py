"""Every default of a training is visible: `--plan`, `--help` and
docs/reference/training-defaults.md agree with the code."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from test_training import QUICK, SMALL

import bioq
from bioq import TrainConfig
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.errors import UsageError
from bioq.models.families import PUBLISHED
from bioq.models.recipe import Recipe
from bioq.runs.folder import read_config
from bioq.training import loop as loop_module
from bioq.training.first_lines import default_model_note
from bioq.training.pace import Pace, threads_remark
from bioq.training.plan import MEASURED_WINDOWS, TrainingRequest, make_plan, recorded_plan
from bioq.training.recipes import RECIPES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "training-defaults.md"


def markdown(heading: str, columns: Mapping[str, Mapping[str, object]]) -> str:
    """Return a table: one column per mapping, one row per key, as in the page."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [[heading, *(f"`{column}`" for column in columns)], ["---"] * (len(columns) + 1)]
    rows += [[f"`{name}`", *(text(c.get(name, "")) for c in columns.values())] for name in names]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def test_the_page_has_every_value_of_every_recipe() -> None:
    named = {"beta2": "beta2 ¹", "learning_rate": "--lr"}
    recipes = {
        name: {
            named.get(option, f"--{option.replace('_', '-')}"): value
            for option, value in asdict(recipe).items()
        }
        for name, recipe in RECIPES.items()
    }
    table = markdown("option", recipes)
    assert table in PAGE.read_text("utf-8"), f"{PAGE}: expected\n{table}"


def test_the_page_has_every_size_of_every_model() -> None:
    sizes = {
        name: {f"--{size.replace('_', '-')}": value for size, value in asdict(published).items()}
        for name, published in PUBLISHED.items()
    }
    table = markdown("option", sizes)
    assert table in PAGE.read_text("utf-8"), f"{PAGE}: expected\n{table}"


def test_the_default_suits_the_data_and_the_line_says_it(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["train", str(masked_data.path), "--out", str(tmp_path / "run"), "--epochs", "1"]
    assert main([*tokens, "--filters", "16"]) == 0
    line = capsys.readouterr().err.splitlines()[0]
    weights = sum(parameter.numel() for parameter in bioq.load(tmp_path / "run").parameters())
    assert line.startswith(f"model marq ({weights:,} weights), the default for 40 windows and 2 ")
    assert "--model bioq trains BioQ as published (11,838,617 weights)" in line
    assert "not measured" not in line
    config = read_config(tmp_path / "run")
    assert (config.model["name"], config.model["sizes"]["filters"]) == ("marq", 16)
    assert config.training["model"] == "marq"
    assert main([*tokens[:3], str(tmp_path / "bioq"), "--epochs", "1", "--model", "danq"]) == 0
    assert "the default for" not in capsys.readouterr().err


def test_auto_is_recorded_as_the_model_that_was_chosen(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    tokens = ["train", str(masked_data.path), "--out", str(run), "--epochs", "1", "--filters", "8"]
    assert main([*tokens, "--model", "auto"]) == 0
    assert "the default for" in capsys.readouterr().err
    config = read_config(run)
    assert (config.model["name"], config.training["model"]) == ("marq", "marq")
    bioq.train(masked_data, run, model="auto", resume=True)
    bioq.train(masked_data, run, model="marq", resume=True)
    with pytest.raises(UsageError, match="model 'marq', not 'danq'"):
        bioq.train(masked_data, run, model="danq", resume=True)
    assert main(["train", str(masked_data.path), "--plan", "--model", "auto"]) == 0
    assert "model: marq, " in capsys.readouterr().out


def test_the_line_says_where_the_default_was_not_measured(masked_data: Dataset) -> None:
    plan = make_plan(TrainingRequest(), masked_data)
    larger = replace(plan, data=replace(plan.data, train_windows=MEASURED_WINDOWS + 1))
    assert f"not measured above {MEASURED_WINDOWS:,} windows" in default_model_note(larger)


def test_a_run_that_records_no_model_is_a_bioq(masked_data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bioq.train(masked_data, run, model="bioq", sizes=SMALL, config=replace(QUICK, epochs=1))
    config = json.loads((run / "config.json").read_text())
    del config["training"]["model"]
    (run / "config.json").write_text(json.dumps(config))
    assert recorded_plan(run).model == "bioq"
    bioq.train(masked_data, run, resume=True)


def plan_of(
    capsys: pytest.CaptureFixture[str], *tokens: str
) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Return the facts, and {option: (value, from)}, that `bioq train ... --plan` prints."""
    assert main(["train", *tokens, "--plan"]) == 0
    facts, _, table = capsys.readouterr().out.partition("\n\n")
    rows = [re.split(r"  +", line) for line in table.splitlines()[2:]]
    return (
        dict(line.split(": ", 1) for line in facts.splitlines()),
        {row[0]: (row[1], row[2]) for row in rows},
    )


@pytest.fixture
def quick_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bioq.training.preview._MEASURED_S", 0.01)


@pytest.mark.usefixtures("quick_estimate")
def test_plan_prints_every_value_and_where_it_comes_from_and_writes_nothing(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "options.toml"
    file.write_text("lr = 0.5\nlstm_units = 4\n")
    before = sorted(tmp_path.rglob("*"))
    facts, options = plan_of(
        capsys, str(masked_data.path), "--config", str(file), "--filters", "8", "--epochs", "2"
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert facts["data"].endswith("40 windows of 200 bp to train, 20 to validate; 2 targets")
    assert re.fullmatch(r"marq, [\d,]+ weights", facts["model"])
    assert re.fullmatch(r"about \d+ s: an estimate from \d+ steps? now .*", facts["time"])
    assert re.fullmatch(r"about [\d,]+ MB: an estimate", facts["memory"])
    assert options["--model"] == ("marq", "default")
    assert options["--filters"] == ("8", "--filters")
    assert options["--lstm-units"] == ("4", str(file))
    assert options["--dense-units"] == ("128", "marq as published")
    assert options["--recipe"] == ("marq", "auto")
    assert options["--lr"] == ("0.5", str(file))
    assert options["--epochs"] == ("2", "--epochs")
    assert options["--average"] == ("0.995", "recipe marq")
    names = {f"--{field.name.replace('_', '-')}" for field in fields(Recipe)}
    assert names - {"--learning-rate", "--beta2"} <= options.keys()
    _, options = plan_of(capsys, str(masked_data.path), "--config", str(file), "--filters", "8")
    assert options["--epochs"] == ("200", "few training windows")


@pytest.mark.usefixtures("quick_estimate")
def test_plan_of_a_run_to_start_from_and_of_a_run_to_resume(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = tmp_path / "run", str(masked_data.path)
    once = replace(QUICK, epochs=1)
    bioq.train(masked_data, run, model="danq", sizes=SMALL, config=once)
    files = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    facts, options = plan_of(capsys, data, "--from", str(run))
    assert facts["start"].endswith("2 of 2 targets keep their output")
    assert options["--model"] == ("danq", "--from")
    assert options["--lr"] == ("0.0003", "--from")
    facts, options = plan_of(capsys, data, "--out", str(run), "--resume")
    assert facts["resume"] == "finished"
    assert options["--lr"] == ("0.005", "the run")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == files
    assert main(["train", data, "--out", str(run), "--plan"]) == 1
    assert "has a finished training" in capsys.readouterr().err
    assert main(["train", data, "--plan", "--resume"]) == 2
    assert "--out is missing" in capsys.readouterr().err


def test_help_shows_where_the_defaults_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    assert "--plan prints all of them" in shown
    assert "[default: by --recipe: 0.004 (marq), 0.001 (small, large, deepatt)" in shown
    assert "[default: by --model: 64 (marq), 320 (bioq, danq, deepsea, beluga)" in shown


def test_a_long_training_is_told_with_what_would_be_faster(
    masked_data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bioq.training.pace._ESTIMATE_AFTER_S", 0.0)
    monkeypatch.setattr(loop_module, "LONG_S", 0.0)
    config = replace(QUICK, epochs=8, device="cpu")
    bioq.train(masked_data, tmp_path / "run", model="danq", config=replace(config, epochs=2))
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: the t")]
    assert len(told) == 1
    assert re.match(r"note: the training takes about \d+ (s|min|h).* more; faster: ", told[0])
    assert "the default model (omit --model and its sizes: marq, " in told[0]
    assert "--epochs 1 or a GPU (--device cuda)" in told[0]


@pytest.mark.parametrize(
    ("seconds", "remark"),
    [
        ({4: 0.08, 2: 0.02, 1: 0.03}, "4 threads take 4 times as long as 2 now"),
        ({4: 0.09, 2: 0.07, 1: 0.03}, "4 threads take 3 times as long as 1 now"),
        ({4: 0.02, 2: 0.03, 1: 0.05}, None),
        ({4: 0.05, 2: 0.04, 1: 0.03}, None),
    ],
)
def test_threads_that_wait_for_one_another_are_remarked(
    seconds: dict[int, float], remark: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter([0.1])  # one round of a computer that did something else for a moment

    def measured(threads: int) -> float:
        return seconds[threads] + (next(late, 0.0) if threads == 4 else 0.0)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr("bioq.training.pace._product_seconds", measured)
    shown = threads_remark(torch.device("cpu"))
    assert shown is None if remark is None else shown is not None and shown.startswith(remark)


@pytest.mark.parametrize(("of_two", "rounds"), [(0.02, 20), (0.2, 10), (9.0, 3)])
def test_the_measurement_of_threads_ends_after_some_seconds(
    of_two: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def seconds(threads: int) -> float:
        measured.append(threads)
        return of_two if threads == 2 else 0.02

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("bioq.training.pace._product_seconds", seconds)
    threads_remark(torch.device("cpu"))
    assert measured == [2, 1] * rounds


def test_a_training_whose_threads_wait_for_one_another_says_so(
    masked_data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bioq.training.pace._ESTIMATE_AFTER_S", 0.0)
    monkeypatch.setattr(loop_module, "threads_remark", lambda _: "9 threads take ...")
    config = replace(QUICK, epochs=2, device="cpu")
    bioq.train(masked_data, tmp_path / "run", model="danq", config=config)
    assert capsys.readouterr().err.splitlines().count("note: 9 threads take ...") == 1


def test_one_thread_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(_: int) -> float:
        raise AssertionError("one thread does not wait for others")

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr("bioq.training.pace._product_seconds", measured)
    assert threads_remark(torch.device("cpu")) is None


def test_to_measure_threads_changes_no_threads_and_no_random_numbers() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        threads_remark(torch.device("cpu"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_time_left_counts_all_epochs_and_their_validation(masked_data: Dataset) -> None:
    config = TrainConfig(epochs=4, batch_size=8, strands="both", patience=0)
    pace = Pace(make_plan(TrainingRequest(config=config), masked_data), valid_windows=30)
    # 80 windows are shown per epoch; at 10 windows/s a step of 8 takes 0.8 s, an epoch 8 s, and
    # validation, 1.5 times as fast, 2 s.
    assert pace.left_s(0, 0, 10) == pytest.approx(4 * 8 + 4 * 2)
    assert pace.left_s(1, 5, 10) == pytest.approx(4 + 2 * 8 + 3 * 2)
    pace.epoch_s = 7.0  # an epoch was measured: the rate is that of a few steps
    assert pace.left_s(1, 5, 10) == pytest.approx(4 + 2 * 7 + 3 * 2)
    pace.validation_s = 5.0
    assert pace.left_s(3, 10, 10) == pytest.approx(5)
    assert "at most" not in pace.advice(3600, torch.device("cpu"))
