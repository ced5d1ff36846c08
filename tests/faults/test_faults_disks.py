"""Disks that are full, and files and folders that may not be read or written."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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

EARLIER = b"from an earlier day"
NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that makes a file system of so many kB and returns its folder."""
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs"]
        if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
            pytest.skip("root may not mount anything here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def assert_one_line(answer: Answer) -> None:
    assert answer.code in (1, 2), answer
    assert len(answer.complaints) == 1, answer.errors
    assert "unexpected" not in answer.errors
    assert "Traceback" not in answer.errors


def put_earlier(command: Command, whole: Whole, out: Path) -> dict[str, bytes]:
    """Put files of an earlier day where a command replaces files."""
    if any("/" in name for name in whole.content):  # a new folder
        return {}
    for name in whole.content:
        (out / name).write_bytes(EARLIER)
    return dict.fromkeys(whole.content, EARLIER)


def assert_earlier_or_whole(
    command: Command, whole: Whole, out: Path, earlier: dict[str, bytes]
) -> None:
    result = content(out)
    for name in earlier:
        is_earlier = (out / name).read_bytes() == EARLIER
        assert is_earlier or result[name] == whole.content[name], name
    if not earlier and not command.name.startswith("train"):
        for name, checksum in result.items():
            assert checksum in (whole.content.get(name), whole.before.get(name)), name
    left = [path.relative_to(out) for path in out.rglob("*") if leftover(path.relative_to(out))]
    assert not [path for path in left if path.name.endswith(".part")]
    if not command.resumes:
        assert not left


def kilobytes(folder: Path) -> int:
    """Return what a folder takes on a file system of 4 kB blocks."""
    return sum(4 * (1 + path.stat().st_size // 4096) for path in folder.rglob("*"))


def test_a_full_disk_is_one_line_and_what_was_there_is_kept(
    command: Command,
    world: World,
    processes: Processes,
    undisturbed: Undisturbed,
    small_disk: Callable[[int], Path],
    trials: int,
    counted: Counted,
    tmp_path: Path,
) -> None:
    whole = undisturbed(command)
    shares = random.Random(command.name)
    needed = kilobytes(whole.folder)
    refused = 0
    for _ in range(trials):
        earlier_kb = 4 * len(whole.content)
        at_start = kilobytes(world.folder / "run") if command.into_run else 4 + earlier_kb
        size = at_start + 4 + int((needed - at_start) * shares.uniform(0, 0.8)) // 4 * 4
        disk = small_disk(size)
        out = world.prepare(command, disk / "o")
        earlier = put_earlier(command, whole, out)
        (answer,) = processes(world.arguments(command, out))
        if answer.code:
            assert_one_line(answer)
            refused += 1
        assert_earlier_or_whole(command, whole, out, earlier)
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        resume = command.name.startswith("train") and is_begun(out)
        resume = resume or bool(list(out.glob("*.partial/manifest.json")))
        if answer.code:
            (again,) = processes(world.arguments(command, out, resume=resume))
            assert again.code == 0, again.errors
        assert content(out) == whole.content
    # Of an output of some pages the smallest disk holds everything.
    assert refused or trials < 5 or needed - at_start < 64
    counted("a full disk", "one line, the earlier output kept, then the same result", trials)


def test_a_file_that_may_not_grow_is_one_line_and_what_was_there_is_kept(
    command: Command,
    world: World,
    processes: Processes,
    undisturbed: Undisturbed,
    tmp_path: Path,
    trials: int,
    counted: Counted,
) -> None:
    whole = undisturbed(command)
    before = content(world.folder) if command.into_run else {}
    written = [name for name in whole.content if whole.content[name] != before.get(name)]
    largest = max((whole.folder / name).stat().st_size for name in written)
    shares = random.Random(command.name)
    for trial in range(trials):
        out = world.prepare(command, tmp_path / f"full{trial}")
        earlier = put_earlier(command, whole, out)
        limit = 4096 + int(largest * shares.uniform(0, 0.9))  # messages go to a file too
        (answer,) = processes(world.arguments(command, out), file_bytes=limit)
        if answer.code or limit < largest:
            assert_one_line(answer)
        assert_earlier_or_whole(command, whole, out, earlier)
    counted("a file that may not grow", "one line, the earlier output kept", trials)


@pytest.fixture
def open_world(world: World) -> Iterator[World]:
    """The world where anybody can go, with a folder `mine` that only its owner can."""
    if os.geteuid():
        pytest.skip("only root can run a command as somebody else")
    folder = Path(tempfile.mkdtemp(prefix="bioq-open-"))
    shutil.copytree(world.folder, folder, dirs_exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield World(folder)
    shutil.rmtree(folder)


def inputs_of(command: Command) -> list[str]:
    """Return the names of the inputs on a command line."""
    named = [word.removeprefix("{in}/") for word in command.words.split() if "{in}" in word]
    inside = {"data": "data/test/labels.npy", "run": "run/model.safetensors"}
    return named + [inside[name] for name in named if name in inside]


def test_what_may_not_be_read_is_one_line_that_names_it(
    command: Command, open_world: World, processes: Processes, counted: Counted
) -> None:
    out = open_world.folder / "out"
    for name in inputs_of(command):
        open_world.prepare(command, out)
        for path in (out, *out.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        folder = open_world.folder / name
        before = folder.stat().st_mode
        folder.chmod(0)
        (answer,) = processes(open_world.arguments(command, out), uid=NOBODY)
        folder.chmod(before)
        assert_one_line(answer)
        assert folder.name in answer.complaints[0] or str(folder) in answer.complaints[0]
        assert not [path for path in out.rglob("*") if leftover(path.relative_to(out))]
        shutil.rmtree(out)
    counted("inputs that may not be read", "one line that names them", len(inputs_of(command)))


def test_a_folder_that_may_not_be_written_is_one_line(
    command: Command, open_world: World, processes: Processes, counted: Counted
) -> None:
    out = open_world.prepare(command, open_world.folder / "out")
    before = content(out)
    (answer,) = processes(open_world.arguments(command, out), uid=NOBODY)
    assert_one_line(answer)
    assert content(out) == before
    counted("folders that may not be written", "one line, nothing changed", 1)
