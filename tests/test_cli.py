"""The command line: help, exit statuses, one-line errors, and the way from files to a run."""

import inspect
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bioq
import bioq.cli
from bioq.cli import main
from bioq.cli.first_steps import program
from bioq.cli.help_text import GROUPS
from bioq.dataset import Dataset
from bioq.errors import ReportedElsewhere
from bioq.runs.folder import read_config, read_history
from bioq.runs.named import resolve_run
from bioq.tables import ENDINGS, FLAT_ENDINGS

COMMANDS = [
    ["demo"], ["completion"], ["data"], ["train"], ["ensemble"], ["import"], ["evaluate"],
    ["calibrate"], ["predict"], ["variants"], ["background"], ["rank"], ["mutagenesis"],
    ["attribution"], ["motifs"], ["motif-effects"], ["models"], ["targets"], ["summary"],
    ["card"], ["serve"],
    *(["data", name] for name in ("fetch", "deepsea", "peaks", "simulate", "info", "verify")),
    *(["rank", name] for name in ("fit", "apply")),
]  # fmt: skip
"""Every command, in the order of the work, as the help lists them."""
PARENTS = [["data"], ["rank"]]
"""Commands that have commands of their own."""
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
    if command not in PARENTS:
        assert "For example:" in shown, "a help text shows how the command is typed"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command[0] in shown for command in COMMANDS)


@pytest.mark.parametrize("parent", [[], *PARENTS], ids=["bioq", "bioq data", "bioq rank"])
def test_commands_are_listed_in_the_order_of_the_work(
    parent: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*parent, "--help"]) == 0
    listed = re.findall(r"^│ ([a-z][\w-]*) ", capsys.readouterr().out, re.M)
    assert listed == [command[-1] for command in COMMANDS if command[:-1] == parent]


def test_help_groups_the_commands_by_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    groups = [
        *("Start", "Data", "Train and evaluate", "Predict and variants", "Explain", "Look up"),
        *("Share", "Options"),
    ]
    assert re.findall(r"^╭─ (.*?) ─", shown, re.M) == groups
    panels = dict(zip(groups, shown.split("╭─")[1:], strict=True))
    for name, group in {"demo": "Start", "rank": "Predict and variants", "card": "Share"}.items():
        assert re.search(rf"^│ {name} ", panels[group], re.M), (name, group)


def test_bioq_alone_says_what_to_do_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 15
    assert bioq.__version__ in shown
    for command in ("demo", "variants yeast", "import beluga", "data peaks", "summary", "--help"):
        assert f"bioq {command}" in shown
    report = Path("bioq-demo") / "run" / "evaluation" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert f"    {report}\n" in shown
    assert "bioq demo" not in shown


@pytest.mark.parametrize("on_path", [True, False])
def test_commands_are_printed_as_they_can_be_typed(
    on_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my env" / "bioq"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.setenv("PATH", str(script.parent) if on_path else str(tmp_path))
    assert program() == ("bioq" if on_path else f"'{script}'")


def test_help_groups_options_under_the_same_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predict", "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^╭─ (.*?) ─", shown, re.M) == list(GROUPS)
    panels = dict(zip(GROUPS, shown.split("╭─")[1:], strict=True))
    for option, group in {
        "RUN": "Input", "INPUT": "Input", "--genome": "Input",
        "--out": "Output", "--top": "Output", "--resume": "Output",
        "--targets": "What to compute", "--strands": "What to compute",
        "--batch-size": "How fast", "--device": "How fast", "--ray": "How fast",
    }.items():  # fmt: skip
        assert re.search(rf"^│ [ *]*{option} ", panels[group], re.M), (option, group)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_options_in_named_groups_only(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    titles = re.findall(r"^╭─ (.*?) ─", capsys.readouterr().out, re.M)
    expected = ["Commands"] if command in PARENTS else list(GROUPS)
    assert titles
    assert titles == [title for title in expected if title in titles]


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        (["predict"], "'CTCF*'"),
        (["predict"], "* and ? are"),
        (["mutagenesis"], "'CTCF*'"),
        (["attribution"], "'CTCF*'"),
        (["variants"], "; * and ? are"),
        (["data", "peaks"], "'*Tfbs*'"),
    ],
)
def test_help_keeps_the_asterisks_of_patterns(
    command: list[str], pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    assert pattern in capsys.readouterr().out


def test_no_help_text_loses_an_asterisk(capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever the source of a help text has an asterisk, `--help` prints it."""
    for command in COMMANDS:
        if command in PARENTS:
            continue
        app = bioq.cli._make_app(command)
        for word in command:
            app = app[word]
        collection = app.assemble_argument_collection(parse_docstring=True)
        arguments = [argument for argument in collection if argument.show]
        description = inspect.cleandoc(app.help).partition("\nParameters\n")[0]
        texts = [description, *(argument.parameter.help for argument in arguments)]
        written = sum((text or "").count("*") for text in texts)
        required = sum(bool(argument.required) for argument in arguments)
        assert main([*command, "--help"]) == 0
        assert capsys.readouterr().out.count("*") == written + required, command


@pytest.mark.parametrize("width", ["60", "100"])
def test_help_fills_paragraphs_and_keeps_examples_on_one_line(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["predict", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    examples = [line for line in lines if line.startswith("    ")]
    assert len(examples) == 7
    prose = lines[2 : lines.index("For example:")]
    assert max(map(len, prose)) <= int(width)
    assert any("--targets 'cell=K562'" in line for line in examples)


def test_top_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bioq.cli import main; main(['--help']); "
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'h5py'} & set(sys.modules); "
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        (["targets", "yeast"], {"torch", "matplotlib", "h5py"}),
        (
            ["predict", "yeast", "in.fa", "--out", "out.tsv"],
            {"matplotlib", "torch._dynamo", "triton"},
        ),
        (["data", "verify", "yeast"], {"torch", "matplotlib"}),
        (["summary", "danq"], {"matplotlib", "torch._dynamo", "triton", "sympy"}),
        (["models"], {"torch", "pandas", "pyarrow", "matplotlib"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_short_command_loads_only_what_it_needs(
    tmp_path: Path, words: list[str], idle: set[str]
) -> None:
    (tmp_path / "in.fa").write_text(">a\n" + "ACGTT" * 200 + "\n")
    code = (
        "import sys; from bioq.cli import main; main(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "numpy" in loaded
    assert not idle & loaded


def test_at_its_end_a_command_says_nothing_of_objects_that_are_left(tmp_path: Path) -> None:
    # PyTorch loads Triton where it is installed, whose last words would be about each of them.
    pytest.importorskip("triton")
    code = "import sys, triton; from bioq.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "summary", "danq"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


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
        (["data", "peaks", "--genome", "g.fa"], "bioq: --targets is missing. Try"),
        (["variants"], "bioq: RUN is missing. Try 'bioq variants --help'."),
        (["variants", "run", "1:1:A>C"], "bioq: --genome is missing. Try"),
        (
            ["variants", "run", "1:1:A>C", "--out", "o.tsv", "--genom", "g.fa"],
            "Unknown option: --genom. Did you mean --genome?",
        ),
        (["variants", "run", "1:1:A>C", "--genome"], "bioq: --genome has no value after it. Try"),
        (["motif-effects", "run", "--pair", "CTCF"], "bioq: --pair needs 2 values. Try"),
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
        (
            ["summary", "marqq"],
            "marqq: is not a model and no folder; did you mean marq? expected bioq, danq, ",
        ),
        (["summary", "."], ".: holds no config.json"),
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
    assert (
        "options.toml: unknown option speed; did you mean seed? expected some of model, "
        in one_line(capsys)
    )
    options.write_text("speed\n")
    assert main([*tokens, "--config", str(options)]) == 1
    assert "is not a readable TOML file" in one_line(capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('select_by = "macro"', "select_by = 'macro', expected valid_loss, valid_macro_average_"),
        ('lr = "fast"', "lr = 'fast', expected a number, more than 0"),
        ("lr = nan", "lr = nan, expected a number, more than 0"),
        (
            'data_in = "disc"',
            "data_in = 'disc', did you mean disk? expected auto, disk, memory or device",
        ),
        ('precision = "16"', "precision = '16', did you mean bf16? expected 32, tf32 or bf16"),
        ("epochs = true", "epochs = True, expected a whole number, 1 or more"),
        ("devices = 1.0", "devices = 1.0, expected a whole number, 1 to 4,096"),
        ("checkpoint_min = inf", "checkpoint_min = inf, expected a number, 0 or more"),
        ('output_bias = "no"', "output_bias = 'no', expected true or false"),
        ('freeze = "no"', "freeze = 'no', expected true or false"),
        ("model = 1", "model = 1, expected text"),
        ("from = 1", "from = 1, expected text"),
        (
            "epoch = 3",
            "unknown option epoch; did you mean epochs? expected some of model, motifs, ",
        ),
    ],
)
def test_a_wrong_value_in_a_file_is_named_before_any_work(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tmp_path / "options.toml"
    options.write_text(f"{line}\n")
    tokens = ["train", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    assert main([*tokens, "--config", str(options)]) == 2
    printed = one_line(capsys)
    assert message in printed
    assert not (tmp_path / "run").exists()


def test_an_error_that_another_process_reports_is_not_printed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ReportedElsewhere

    monkeypatch.setattr("bioq.cli.train.run_training", fail)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr() == ("", "")


def test_summary_prints_the_published_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", "bioq"]) == 0
    assert "49,391,759 parameters" in capsys.readouterr().out
    assert main(["summary", "danq", "--out", "layers.txt"]) == 2
    assert "expected a name ending in .png, .svg or .pdf" in capsys.readouterr().err
    figure = tmp_path / "layers.svg"
    figure.write_text("mine")
    assert main(["summary", "danq", "--out", str(figure)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "layers.svg: exists already; give another name, or --force" in printed.err
    assert main(["summary", "danq", "--out", str(figure), "--force"]) == 0
    assert "<svg" in figure.read_text()


def test_only_commands_with_resume_say_that_they_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("bioq.cli.predict.predict_file", interrupt)
    monkeypatch.setattr("bioq.cli.variants.write_variants", interrupt)
    monkeypatch.setattr("bioq.cli.variants.write_variants_on_ray", interrupt)
    variants = ["variants", "run", "x.vcf", "--genome", "g.fa", "--out", "o"]
    advice = "the same command with --resume goes on from what is saved"
    for tokens, line in (
        (["predict", "run", "x.fa", "--out", "o.tsv"], f"bioq: interrupted; {advice}"),
        (variants, "bioq: interrupted"),
        ([*variants, "--ray", "local"], f"bioq: interrupted; {advice}"),
    ):
        assert main(tokens) == 130
        assert one_line(capsys) == line


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_that_a_library_makes_of_sigterm_keeps_the_advice(
    kind: type[BaseException],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise kind("write failed") from None

    monkeypatch.setattr("bioq.training.train.open_data", stop)
    assert main(["train", "data", "--out", str(tmp_path / "run")]) == 143
    assert one_line(capsys) == "bioq: terminated; nothing was written"


def test_wrong_options_do_not_say_that_the_command_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bioq.UsageError) as caught:
        main(["predict", "run", "x.fa", "--out", "o.csv", "--debug"])
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize(
    ("command", "endings"),
    [
        ("predict", ENDINGS),
        ("variants", ENDINGS),
        ("mutagenesis", FLAT_ENDINGS),
        ("attribution", FLAT_ENDINGS),
    ],
)
def test_help_names_every_format_of_tables(
    command: str, endings: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert not [ending for ending in endings if f" {ending}" not in shown]


def test_a_summary_says_that_a_folder_has_the_name_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(resolve_run("yeast") / "members" / "fold-1", "danq")
    assert main(["summary", "danq"]) == 0
    shown = capsys.readouterr()
    assert "320 filters" in shown.out
    assert shown.err.rstrip() == (
        "note: this is the model; the run in the folder danq is 'bioq summary ./danq'"
    )
    assert main(["summary", "./danq"]) == 0
    shown = capsys.readouterr()
    assert "399" in shown.out
    assert "320 filters" not in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "run"], "run: holds no dataset.json but a config.json, as a run does; expected"),
        (["train", "sheet.tsv"], "sheet.tsv: is a file, not a folder; expected a data set made by"),
        (
            ["evaluate", "data", "data"],
            "data: holds no config.json but a dataset.json, as a data set does; expected a run",
        ),
        (["card", "sheet.tsv"], "sheet.tsv: is a file, not a folder; expected a run folder"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_run_for_a_data_set_and_the_reverse_are_named(
    words: list[str],
    message: str,
    tmp_path: Path,
    masked_data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(resolve_run("yeast") / "members" / "fold-1", "run")
    Path("sheet.tsv").write_text("name\tpeaks\n")
    out = ["--out", "new"] if words[0] == "train" else []
    assert main([*words, *out]) == 1
    assert message in one_line(capsys)
