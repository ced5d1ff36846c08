"""The command line: help, exit statuses, one-line errors, and the road from files to a run."""

import subprocess
import sys
from pathlib import Path

import pytest

import bioq
import bioq.cli
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.errors import SaidElsewhere
from bioq.runs.folder import read_config, read_history

COMMANDS = [
    ["demo"], ["train"], ["evaluate"], ["variants"], ["background"], ["summary"], ["data"],
    ["predict"], ["mutagenesis"], ["attribution"], ["motifs"],
    *(["data", name] for name in ("peaks", "deepsea", "simulate", "fetch", "info", "verify")),
]  # fmt: skip
SMALL = ["--filters", "8", "--filter-width", "8", "--pool-width", "10", "--lstm-units", "4",
         "--dense-units", "8"]  # fmt: skip


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line of stderr; a traceback has more."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("bioq: ")
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: bioq " + " ".join(command) in shown
    if command != ["data"]:
        assert "For example:" in shown, "a help text shows how the command is typed"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command[0] in shown for command in COMMANDS)


def test_top_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bioq.cli import main; main(['--help']); "
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'h5py'} & set(sys.modules); "
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert bioq.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["trian"], "Unknown command"),
        (["data", "peeks"], "Unknown command"),
        (["train", "data"], "--out"),
        (["train", "data", "--out", "run", "--lr", "fast"], 'unable to convert "fast" into float'),
        (["train", "data", "--out", "run", "--speed", "9"], "--speed"),
        (["summary", "bioq", "--filters", "0"], "filters"),
        (["data", "peaks", "--genome", "g.fa"], "--targets"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    tokens: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tokens) == 2
    assert message in one_line(capsys)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["train", "nowhere", "--out", "run"], "nowhere: no such folder"),
        (["data", "info", "nowhere"], "nowhere: no such folder"),
        (["evaluate", "nowhere", "nowhere"], "nowhere: no such folder"),
        (["summary", "nowhere"], "nowhere: holds no config.json"),
        (["data", "verify", "."], "holds no dataset.json"),
    ],
)
def test_bad_input_is_one_line_and_status_1(
    tokens: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(tokens) == 1
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(bioq.BioqError, match="no such folder"):
        main(["data", "info", str(tmp_path / "none"), "--debug"])


def test_an_interrupt_is_status_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bioq.cli.data.open_dataset", interrupt)
    assert main(["data", "info", "x"]) == 130
    assert one_line(capsys) == "bioq: interrupted"


def test_an_unexpected_error_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("bioq.cli.data.open_dataset", fail)
    assert main(["data", "info", "x"]) == 1
    assert "run again with --debug to see where: RuntimeError: first line" in one_line(capsys)


def test_info_and_verify_print_what_is_in_a_data_set(
    masked_data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "info", str(masked_data.path)]) == 0
    shown = capsys.readouterr().out
    assert "train: 40 windows" in shown
    assert "8 with unknown bases" in shown
    assert "2 targets" in shown
    assert masked_data.fingerprint in shown
    assert main(["data", "verify", str(masked_data.path)]) == 0
    assert "every checksum and shape is right" in capsys.readouterr().out


def test_train_and_summary_of_the_run(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    options = ["--model", "danq", "--epochs", "2", "--batch-size", "8", *SMALL]
    assert main(["train", str(masked_data.path), "--out", run, *options]) == 0
    assert capsys.readouterr().out == f"{run}\n"
    assert len(read_history(run)) == 2
    assert main(["train", str(masked_data.path), "--out", run, "--resume"]) == 0
    capsys.readouterr()
    assert main(["summary", run, "--out", str(tmp_path / "layers.png")]) == 0
    shown = capsys.readouterr().out
    weights = sum(parameter.numel() for parameter in bioq.load(run).parameters())
    assert f"{weights:,} parameters" in shown
    assert (tmp_path / "layers.png").stat().st_size > 10_000


def test_options_come_from_a_file_and_flags_win(masked_data: Dataset, tmp_path: Path) -> None:
    options = tmp_path / "options.toml"
    options.write_text(
        'model = "danq"\nepochs = 1\nlr = 0.5\nseed = 4\nfilters = 8\nfilter-width = 8\n'
        "pool_width = 10\nlstm_units = 4\ndense_units = 8\n"
    )
    run = tmp_path / "run"
    tokens = ["train", str(masked_data.path), "--out", str(run), "--config", str(options)]
    assert main([*tokens, "--lr", "0.25"]) == 0
    config = read_config(run)
    assert config.model["name"] == "danq"
    assert config.model["sizes"]["filters"] == 8
    assert config.training["resolved"]["learning_rate"] == 0.25
    assert (config.training["resolved"]["epochs"], config.training["seed"]) == (1, 4)


def test_an_unknown_option_in_a_file_is_named(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tmp_path / "options.toml"
    tokens = ["train", str(masked_data.path), "--out", str(tmp_path / "run")]
    options.write_text("speed = 9\n")
    assert main([*tokens, "--config", str(options)]) == 2
    assert "options.toml: unknown option speed; expected some of model, motifs, from, " in one_line(
        capsys
    )
    options.write_text("speed\n")
    assert main([*tokens, "--config", str(options)]) == 1
    assert "is not a readable TOML file" in one_line(capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('select_by = "macro"', "--select-by 'macro', expected valid_loss, valid_macro_average_"),
        ('lr = "fast"', "--lr 'fast', expected a number, more than 0"),
        ("lr = nan", "--lr nan, expected a number, more than 0"),
        ('data_in = "disc"', "--data-in 'disc', expected auto, disk, memory, device"),
        ('precision = "16"', "--precision '16', expected 32, tf32, bf16"),
        ("epochs = true", "--epochs True, expected a whole number, 1 or more"),
        ("devices = 1.0", "--devices 1.0, expected a whole number, 1 or more"),
        ("checkpoint_min = inf", "--checkpoint-min inf, expected a number, 0 or more"),
        ('output_bias = "no"', "--output-bias 'no', expected true or false"),
        ('freeze = "no"', "--freeze 'no', expected true or false"),
        ("model = 1", "--model 1, expected text"),
        ("from = 1", "--from 1, expected a path"),
        ("epoch = 3", "unknown option epoch; expected some of model, motifs, from, freeze, recip"),
    ],
)
def test_a_wrong_value_in_a_file_is_named_before_any_work(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tmp_path / "options.toml"
    options.write_text(f"{line}\n")
    tokens = ["train", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    assert main([*tokens, "--config", str(options)]) == 2
    said = one_line(capsys)
    assert message in said
    assert ("did you mean epochs?" in said) == line.startswith("epoch =")
    assert not (tmp_path / "run").exists()


def test_an_error_that_another_process_reports_is_not_printed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SaidElsewhere

    monkeypatch.setattr("bioq.cli.train.train_model", fail)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr() == ("", "")


def test_summary_prints_the_published_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "bioq"]) == 0
    assert "49,391,759 parameters" in capsys.readouterr().out
    assert main(["summary", "danq", "--out", "layers.txt"]) == 2
    assert "expected a name ending in .png, .svg or .pdf" in capsys.readouterr().err
