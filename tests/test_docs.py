"""The documentation is true: its Python runs, its commands parse, its links lead somewhere."""

import importlib
import inspect
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

import bioq.interpretation
from bioq.cli import _COMMANDS, _DATA_COMMANDS, _HELP, _RANK_COMMANDS, _make_app, main
from bioq.files import download
from bioq.runs.named import RUNS

ROOT = Path(__file__).parents[1]
_NESTED = [f"data {name}" for name in _DATA_COMMANDS] + [f"rank {name}" for name in _RANK_COMMANDS]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.fixture(autouse=True)
def without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that downloads ends at once, also on a machine with a network and a cache."""

    def no_answer(*_: object) -> None:
        raise URLError(socket.gaierror(socket.EAI_NONAME, "no network in this test"))

    monkeypatch.setattr(download, "_open", no_answer)
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def test_the_python_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs" / "how-to" / "python.md", "python")
    names: dict[str, object] = {}
    exec(compile(code, "docs/how-to/python.md", "exec"), names)
    assert "(3, 4, 1000)" in capsys.readouterr().out
    assert names["probability"].shape == names["batch"].labels.shape  # type: ignore[attr-defined]


def commands(page: Path) -> list[list[str]]:
    text = "\n".join(blocks(page, "(?:sh|console|bash)?")).replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("bioq ")]


def help_examples() -> Iterator[tuple[str, list[str]]]:
    """Yield (command, tokens) of every `bioq` command that a help text shows, also after a pipe."""
    commands = _COMMANDS | _DATA_COMMANDS | _RANK_COMMANDS
    modules = {path.split(":")[0] for path, _ in commands.values()}
    texts = {"bioq --help": _HELP}
    for name in sorted(modules):
        for function in vars(importlib.import_module(name)).values():
            if inspect.isfunction(function) and function.__module__ == name:
                shown, _, _ = (inspect.getdoc(function) or "").partition("\nParameters\n")
                texts[f"{name}:{function.__name__}"] = shown
    for name, text in texts.items():
        for line in text.replace("\\\n", " ").splitlines():
            command = re.fullmatch(r"    (?:.*\| )?bioq (.*)", line)
            if command:
                yield name, shlex.split(command[1].split(" > ")[0])


def runs_without_input(tokens: list[str]) -> bool:
    """Whether a command needs no input file, so that it would do its work where nothing exists."""
    alone = ("demo", "models", "summary", "completion", "--version")
    return tokens[0] in alone or tokens[:2] in (
        ["data", "simulate"],
        ["data", "fetch"],
        *(["targets", run.name] for run in RUNS),
    )


def test_examples_in_the_help_are_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run where nothing exists, an example fails on its input, not on its usage."""
    monkeypatch.chdir(tmp_path)
    for name, tokens in help_examples():
        if runs_without_input(tokens):
            app = _make_app(tokens)
            app.parse_args(tokens, exit_on_error=False, print_error=False)
        else:
            assert main(tokens) == 1, (name, tokens, capsys.readouterr().err)


def test_every_command_has_an_example_in_its_help() -> None:
    shown = {" ".join(tokens) for _, tokens in help_examples()}
    for command in [*_COMMANDS, *_NESTED]:
        assert any(f"{line} ".startswith(f"{command} ") for line in shown), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_commands_are_understood(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run where nothing exists, a documented command fails on its input, not on its usage."""
    monkeypatch.chdir(tmp_path)
    for tokens in commands(page):
        if "..." in tokens or "--help" in tokens or runs_without_input(tokens):
            continue
        assert main(tokens) == 1, (page.name, tokens, capsys.readouterr().err)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)", page.read_text("utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named_files(text: str) -> Iterator[str]:
    """Yield the paths and patterns in backticks, as they are in the repository; NEW is a file that
    the reader writes."""
    for name in re.findall(r"`([\w./*-]+/|[\w./*-]+\.(?:py|md|toml|txt|cff|json))`", text):
        if "NEW" in name or name.startswith(".."):
            continue
        if name.startswith("test_"):
            yield f"tests/{name}"
        elif (ROOT / name).exists() or name.startswith(("src/", "tests/", "docs/")):
            yield name
        else:
            yield f"src/bioq/{name}"


def test_the_python_page_names_what_interpretation_exports() -> None:
    page = (ROOT / "docs/how-to/python.md").read_text("utf-8")
    prose = re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)
    names = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", prose))))
    assert sorted(set(bioq.interpretation.__all__) - names) == []


def test_files_named_for_contributors_exist() -> None:
    page, _, _ = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("\n## Words\n")
    names = set(named_files(page))
    assert len(names) > 60
    design = (ROOT / "docs/explanation/design.md").read_text("utf-8")
    names |= {name for name in named_files(design) if name.endswith(".py")}
    assert [name for name in sorted(names) if not list(ROOT.glob(name))] == []
    assert list(named_files("`test_gone.py`, `gone/`, `src/bioq/models/NEW.py`")) == [
        "tests/test_gone.py",
        "src/bioq/gone/",
    ]
