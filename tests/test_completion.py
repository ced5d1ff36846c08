"""`bioq completion`: the words that a shell offers after the Tab key."""

import subprocess
from pathlib import Path

import pytest

from bioq.cli import main
from bioq.cli.completion import _NAMES, SHELLS, completion_script

CASES = {
    "tr": {"train"},
    "data p": {"peaks"},
    "rank ": {"fit", "apply"},
    "train data --mo": {"--model", "--motifs"},  # data: a folder that is called like a command
    "train data --recipe s": {"small"},
    "data peaks --label ": {"half", "midpoint", "any"},
    "variants y": {"yeast"},
    "variants yeast x.vcf --genome sac": {"sacCer3"},
    "import bel": {"beluga"},
    "evaluate my": {"my run"},
    "predict yeast pea": {"peaks.fa"},
    "data peaks --genome pe": {"peaks.fa"},
    "completion b": {"bash"},
}
"""What is typed -> what is offered, in a folder with these files."""
FILES = ("my run", "peaks.fa", "data")


OPTIONS = {
    "train": "--recipe",
    "predict": "--held-out",
    "data peaks": "--label",
}
"""Command -> one of its options."""


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {shell: completion_script(shell) for shell in SHELLS}


def test_a_script_has_names_and_files_in_place_of_every_mark(scripts: dict[str, str]) -> None:
    for shell, script in scripts.items():
        assert not [name for name in _NAMES if f"__{name}__" in script], shell
        assert "sacCer3" in script, shell


def test_bash_offers_commands_options_choices_names_and_files(
    scripts: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "bioq.bash"
    file.write_text(scripts["bash"])
    here = tmp_path / "here"
    here.mkdir()
    for name in FILES:
        (here / name).touch()
    lines = [f". {file}"]
    cases = CASES | {f"{command} {option[:-1]}": {option} for command, option in OPTIONS.items()}
    for typed in cases:
        words = ["bioq", *typed.split(" ")]
        quoted = " ".join(f"'{word}'" for word in words)
        lines.append(f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); _bioq")
        lines.append("printf '%s\\t' \"${COMPREPLY[@]}\"; echo")
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)], cwd=here, capture_output=True, text=True
    )
    assert done.stderr == ""
    offered = [set(line.split("\t")) - {""} for line in done.stdout.splitlines()]
    assert dict(zip(cases, offered, strict=True)) == cases


def test_the_script_is_installed_where_the_shell_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("bioq.cli.completion.completion_script", lambda shell: f"# {shell}\n")
    (tmp_path / ".bashrc").write_text("mine\n")
    assert main(["completion", "bash", "--install"]) == 0
    assert main(["completion", "bash", "--install"]) == 0
    file = tmp_path / ".local/share/bash-completion/completions/bioq"
    assert file.read_text() == "# bash\n"
    lines = (tmp_path / ".bashrc").read_text().splitlines()
    assert lines[0] == "mine"
    assert [str(file) in line for line in lines].count(True) == 1
    assert capsys.readouterr().out.count(f"written: {file}") == 2
    assert main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == "# fish\n"
    assert not (tmp_path / ".config").exists()


def test_a_new_zsh_loads_its_completions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ZSH", "ZSH_CUSTOM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("bioq.cli.completion.completion_script", lambda shell: f"# {shell}\n")
    start = tmp_path / ".zshrc"
    start.write_bytes(b"# no compinit yet\nexport NAME=\xe9")  # Latin-1, without a line end
    for _ in range(2):
        assert main(["completion", "zsh", "--install"]) == 0
    lines = start.read_bytes().splitlines()
    assert b"export NAME=\xe9" in lines
    fpath = [line.startswith(b"fpath=") for line in lines].index(True)
    assert lines.index(b"autoload -Uz compinit && compinit") > fpath
    assert sum(b"compinit" in line for line in lines) == 2
    assert capsys.readouterr().out.count("changed: ~/.zshrc") == 1


def test_a_folder_in_the_place_of_the_start_file_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").mkdir()
    assert main(["completion", "bash", "--install"]) == 1
    assert f"{tmp_path / '.bashrc'}: is not a file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [".bashrc"]
