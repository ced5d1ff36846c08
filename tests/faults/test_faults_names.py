"""Names from files that try to steer a terminal: the bytes that commands print."""

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trained_run import TrainedRun

from bioq.cli import main

HOSTILE = (
    "a\x1b[2Jb",
    "a\x1b]52;c;ZXZpbA==\x07",
    "a\x1b]8;;http://x\x1b\\b",
    "a\x9b2Jb",
    "a\u202eb",
    "a\u2066b",
    "a\x08\x08b",
    "a\x7fb",
)
"""Clear the screen, write to the clipboard, a link, the same as C1, turned text, erased text."""


def hostile_run(trained: TrainedRun, folder: Path, name: str) -> Path:
    run = folder / "run"
    shutil.copytree(trained.run, run)
    table = run / "targets.tsv"
    header, first, *rest = table.read_text().splitlines()
    assert header.split("\t")[0] == "name"
    renamed = "\t".join([name, *first.split("\t")[1:]])
    table.write_text("\n".join([header, renamed, *rest]) + "\n")
    return run


def commands(run: Path, trained: TrainedRun, name: str) -> list[list[str]]:
    folder = run.parent
    (folder / "good.fa").write_text(f">{name}\n{'ACGT' * 50}\n")
    (folder / "bad.fa").write_text(f">{name}\n{'AC!T' * 50}\n")
    (folder / "bad.toml").write_text('"\\u001b[2J" = 1\n')
    good = str(folder / "good.fa")
    return [
        ["summary", str(run)],
        ["targets", str(run), f"none{name}*"],
        ["predict", str(run), good, "--out", str(folder / "out.tsv")],
        ["predict", str(run), str(folder / "bad.fa"), "--out", str(folder / "out2.tsv")],
        ["mutagenesis", str(run), good, "--out", str(folder / "m.tsv")],
        ["evaluate", str(run), str(trained.data), "--force"],
        ["data", "info", f"none{name}"],
        [f"none{name}"],
        ["train", "none", "--out", "r", "--config", str(folder / "bad.toml")],
        ["train", "none", f"--none{name}"],
    ]


def test_no_command_prints_a_hostile_name_raw(
    trained: TrainedRun,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    trials: int,
    counted: Callable[[str, str, int], None],
) -> None:
    tried = 0
    for name in HOSTILE[: max(min(trials, len(HOSTILE)), 2)]:
        folder = tmp_path / str(tried)
        folder.mkdir()
        run = hostile_run(trained, folder, name)
        for tokens in commands(run, trained, name):
            main(tokens)
            for printed in capfd.readouterr():
                assert all(line.isprintable() for line in printed.split("\n")), tokens
            tried += 1
    counted("names that steer a terminal, printed by a command", "shown escaped", tried)


def test_targets_on_a_terminal_are_escaped_and_in_a_pipe_unchanged(
    trained: TrainedRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = HOSTILE[0]
    run = hostile_run(trained, tmp_path, name)
    assert main(["targets", str(run)]) == 0
    assert f"\n{name}\n" in capfd.readouterr().out
    terminal, of_command = pty.openpty()
    command = [sys.executable, "-m", "bioq", "targets", str(run)]
    process = subprocess.Popen(command, stdout=of_command, stderr=subprocess.DEVNULL)
    os.close(of_command)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    assert process.wait() == 0
    assert rb"a\x1b[2Jb" in shown
    assert b"\x1b" not in shown
