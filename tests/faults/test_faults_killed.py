"""Processes that are killed, stopped or in each other's way, at random moments."""

import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from fault_commands import (
    Answer,
    Command,
    Counted,
    Processes,
    Undisturbed,
    Whole,
    World,
    content,
    is_begun,
    leftover,
)

_SLACK = 1.05
"""Moments are drawn from so many times the command's own time: some come after its end."""


def go_on(world: World, command: Command, out: Path, processes: Processes) -> Answer | None:
    """Try the command again, resuming where it does; None if there is nothing left to do."""
    if command.name.startswith("train"):
        resume = is_begun(out)
    else:
        resume = command.resumes and bool(list(out.glob("*.partial/manifest.json")))
    names = ("data", "motifs", "motif-effects", "ensemble", "imported", "rank")
    new_folders = [out / name for name in names]
    if any(folder.exists() for folder in new_folders):  # whole, as was checked
        return None
    (answer,) = processes(world.arguments(command, out, resume=resume))
    return answer


def assert_nothing_half(command: Command, whole: Whole, out: Path) -> None:
    result = content(out)
    if not command.name.startswith("train"):  # whose files are replaced, epoch by epoch
        for name, checksum in result.items():
            assert checksum in (whole.content.get(name), whole.before.get(name)), name
    if command.at_once:
        assert result in (whole.before, whole.content)


def test_kill_9_at_any_moment_loses_nothing_and_blocks_nothing(
    command: Command,
    world: World,
    processes: Processes,
    undisturbed: Undisturbed,
    tmp_path: Path,
    trials: int,
    counted: Counted,
) -> None:
    whole = undisturbed(command)
    moments = random.Random(command.name)
    for trial in range(trials):
        out = world.prepare(command, tmp_path / f"killed{trial}")
        for _ in range(3):
            processes(
                world.arguments(
                    command, out, resume=command.name.startswith("train") and is_begun(out)
                ),
                signal=signal.SIGKILL,
                after_s=moments.uniform(0, whole.seconds * _SLACK),
            )
            assert_nothing_half(command, whole, out)
            if command.at_once and content(out) == whole.content:
                break
        again = go_on(world, command, out, processes)
        assert again is None or again.code == 0, again.errors
        assert content(out) == whole.content
    counted("kill -9", "nothing half-written, nothing in the way, the same result", 3 * trials)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_stopped_command_says_so_and_leaves_what_it_can_go_on_with(
    command: Command,
    how: signal.Signals,
    world: World,
    processes: Processes,
    undisturbed: Undisturbed,
    tmp_path: Path,
    trials: int,
    counted: Counted,
) -> None:
    whole = undisturbed(command)
    moments = random.Random(command.name + how.name)
    for trial in range(trials):
        out = world.prepare(command, tmp_path / f"stopped{trial}")
        (answer,) = processes(
            world.arguments(command, out),
            signal=how,
            after_s=moments.uniform(0.03, whole.seconds),
        )
        assert answer.code in (0, 128 + how), answer.errors
        if answer.code:
            printed = "interrupted" if how == signal.SIGINT else "terminated"
            assert len(answer.complaints) == 1, answer.errors
            assert answer.complaints[0].startswith(f"bioq: {printed}")
            assert "Traceback" not in answer.errors
        assert_nothing_half(command, whole, out)
        left = {path.relative_to(out) for path in out.rglob("*")}
        assert not [path for path in left if path.name.endswith(".part")]
        if not command.resumes:
            assert not [path for path in left if leftover(path)]
        again = go_on(world, command, out, processes)
        assert again is None or again.code == 0, again.errors
        assert content(out) == whole.content
    counted(f"{how.name}", "one line, its own exit status, no temporary file, resumed", trials)


def other(command: Command) -> Command:
    """The same command on another input: its output differs."""
    changes = {
        "--seed 3": "--seed 4",
        "data simulate": "data simulate --seed 9",
        "data peaks": "data peaks --label any",
        "data deepsea --train {in}/train.mat": "data deepsea --train {in}/other/train.mat",
        "evaluate {out}/run {in}/data": "evaluate {out}/run {in}/data --strands forward",
        "ensemble {in}/run {in}/run-2": "ensemble {in}/run {in}/run-3",
        "import {in}": "import --second-lstm forward {in}",
        "r.bed": "other.bed",
        "chr1:100-200": "chr2:300-450",
        "v.vcf": "other.vcf",
        "s.fa": "other.fa",
        "--licence MIT": "--licence CC0-1.0",
        "motifs {in}/run": "motifs {in}/run --windows 20",
        "rank fit": "rank fit --strands forward",
        "--windows 8": "--windows 9",
    }
    words = command.words
    for old, new in changes.items():
        words = words.replace(old, new, 1) if old in words else words
    assert words != command.words
    return replace(command, words=words)


def test_of_two_that_write_the_same_output_one_wins_whole(
    command: Command,
    world: World,
    processes: Processes,
    undisturbed: Undisturbed,
    tmp_path: Path,
    trials: int,
    counted: Counted,
) -> None:
    both = (command, other(command))
    wholes = [
        Whole(world, one, tmp_path / f"w{n}", processes).content for n, one in enumerate(both)
    ]
    for trial in range(trials):
        out = world.prepare(command, tmp_path / f"both{trial}")
        answers = processes(*(world.arguments(one, out) for one in both))
        assert 0 in {answer.code for answer in answers}, [answer.errors for answer in answers]
        for answer in answers:
            assert "Traceback" not in answer.errors
            assert answer.code in (0, 1, 2)
            assert len(answer.complaints) == (answer.code != 0), answer.errors
            assert "unexpected" not in answer.errors
        if command.one_wins:
            assert content(out) in wholes
        else:
            assert all(
                file in wholes[0].items() | wholes[1].items() for file in content(out).items()
            )
        assert not [path for path in out.rglob("*") if leftover(path.relative_to(out))]
    counted("two writers of one output", "one wins whole, never a mixture", trials)
