"""Tests of bioq.files: files appear whole or not at all, and every failure is one line."""

import errno
import hashlib
import os
import pickle
import signal
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import pytest

from bioq.cli.interrupts import stoppable
from bioq.errors import BioqError, NotWrittenError, UsageError
from bioq.files import (
    FolderKind,
    locked,
    new_file,
    new_folder,
    read_json,
    refuse_input,
    require_absent,
    sha256,
    uninterrupted,
    write_json,
)
from bioq.files.typed import OneLine, require_types

New = Callable[[Path], AbstractContextManager[Path]]
BOTH = pytest.mark.parametrize("new", [new_file, new_folder])


def test_a_new_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.txt") as partial:
        partial.write_text("whole")
        assert partial.parent == tmp_path
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_new_file_replaces_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with new_file(tmp_path / "a.txt") as partial:
        partial.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_new_folder_appears_when_the_block_ends_and_makes_its_parents(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "out"
    with new_folder(target) as partial:
        (partial / "inside").write_text("whole")
        assert not target.exists()
    assert (target / "inside").read_text() == "whole"
    assert os.listdir(target.parent) == ["out"]


@BOTH
def test_permissions_are_what_the_umask_leaves(tmp_path: Path, new: New) -> None:
    before = os.umask(0o027)
    try:
        with new(tmp_path / "out"):
            pass
    finally:
        os.umask(before)
    expected = 0o640 if new is new_file else 0o750
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == expected


@BOTH
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, BioqError, OSError])
def test_nothing_is_left_after_an_error_and_it_passes_through(
    tmp_path: Path, new: New, error: type[BaseException]
) -> None:
    with pytest.raises(error, match="mine"), new(tmp_path / "out") as partial:
        (partial / "inside" if partial.is_dir() else partial).write_text("half")
        raise error("mine")
    assert os.listdir(tmp_path) == []


def test_an_old_file_outlives_a_failed_replacement(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ValueError, match="mine"), new_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise ValueError("mine")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_a_new_folder_refuses_a_target_that_exists(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(BioqError, match=r"out: exists already; give"), new_folder(target):
        pytest.fail("the block must not run")
    assert os.listdir(tmp_path) == ["out"]


def test_a_new_folder_refuses_a_target_that_came_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(BioqError, match=r"out: could not be written: .*not empty"):
        with new_folder(target):
            target.mkdir()
            (target / "theirs").touch()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(target) == ["theirs"]


@BOTH
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, new: New) -> None:
    message = rf"^{tmp_path}/out: could not be written: No space left on device; nothing was left"
    with pytest.raises(BioqError, match=message), new(tmp_path / "out"):
        with open("/dev/full", "wb", buffering=0) as full:  # every write fails with ENOSPC
            full.write(b"0")
    assert os.listdir(tmp_path) == []


@BOTH
def test_no_permission_is_one_line(
    tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(args[0]))

    # Tests may run as root, whom no permission stops.
    monkeypatch.setattr("os.open", refuse)
    monkeypatch.setattr("os.mkdir", refuse)
    with pytest.raises(BioqError, match=r"out: could not be written: Permission denied; nothing"):
        with new(tmp_path / "out"):
            pytest.fail("the block must not run")


def test_a_new_file_in_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match=r"no/out: could not be written: No such file"):
        with new_file(tmp_path / "no" / "out"):
            pytest.fail("the block must not run")


def test_a_new_folder_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BioqError, match=r"file/out: could not be written: "):
        with new_folder(tmp_path / "file" / "out"):
            pytest.fail("the block must not run")


@BOTH
def test_an_input_that_cannot_be_read_is_named_as_such(tmp_path: Path, new: New) -> None:
    message = r"^/no/such/input: could not be used: No such file or directory; .*out was not writt"
    with pytest.raises(BioqError, match=message), new(tmp_path / "out"):
        Path("/no/such/input").read_bytes()
    assert os.listdir(tmp_path) == []


def test_a_folder_is_held_by_one_until_it_lets_go(tmp_path: Path) -> None:
    with locked(tmp_path) as first, locked(tmp_path, wait=False) as second:
        assert first
        assert not second
    with locked(tmp_path, wait=False) as later, locked(tmp_path / "absent") as nothing:
        assert later
        assert nothing


def test_sha256_agrees_with_hashlib_over_chunk_borders(tmp_path: Path) -> None:
    for size in (0, 1, (1 << 22) - 1, 1 << 22, (1 << 22) + 1):
        content = os.urandom(size)
        (tmp_path / "a").write_bytes(content)
        assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_an_error_of_writing_travels_between_processes() -> None:
    error = NotWrittenError(Path("out.tsv"), "No space left on device", "the parts are kept")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "out.tsv: could not be written: No space left on device; the parts are kept"
    assert (copy.path, copy.reason, copy.kept) == (error.path, error.reason, error.kept)


def test_json_is_written_in_one_step_and_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    content = {"format": "x", "format_version": 1, "rows": [1, None]}
    write_json(file, content)
    write_json(file, content)
    assert read_json(file, what="x", kind="x", version=1, remedy="stop") == content
    assert file.read_text().endswith("]\n}\n")
    with pytest.raises(NotWrittenError, match=r"a.json/b: could not be written: "):
        write_json(file / "b", content)
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_new_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    monkeypatch.setattr("bioq.files.sync", lambda path: steps.append(("sync", path.read_text())))
    replace = os.replace
    monkeypatch.setattr(
        "bioq.files.os.replace", lambda *paths: (steps.append(("rename", "")), replace(*paths))
    )
    with new_file(tmp_path / "a.txt") as partial:
        partial.write_text("whole")
    assert steps == [("sync", "whole"), ("rename", "")]


@pytest.mark.parametrize("new", [new_file, new_folder])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_just_before_a_block_leaves_no_temporary_file(
    new: New, number: signal.Signals, tmp_path: Path
) -> None:
    writing = new(tmp_path / "out")  # kept, as a traceback may keep it: Python does not close it
    with pytest.raises(KeyboardInterrupt), stoppable():
        writing.__enter__()
        assert len([*tmp_path.iterdir()]) == 1
        signal.raise_signal(number)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_an_uninterrupted_block(number: signal.Signals) -> None:
    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(number, stop)
    try:
        steps = []
        with pytest.raises(Stopped), uninterrupted():
            signal.raise_signal(number)
            steps.append("after the signal")
        assert steps == ["after the signal"]
        assert signal.getsignal(number) == stop
    finally:
        signal.signal(number, before)


KIND = FolderKind("made.json", ("data", "part-*"))


def made(folder: Path) -> Path:
    """Make a folder of the kind KIND."""
    (folder / "data").mkdir(parents=True)
    for name in ("made.json", "part-1", ".made.json.0a1b2c3d.part", ".DS_Store"):
        (folder / name).touch()
    return folder


def test_a_folder_of_a_kind_is_replaced(tmp_path: Path) -> None:
    folder = made(tmp_path / "out")
    with new_folder(folder, replaces=KIND) as partial:
        (partial / "new").touch()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(folder) == ["new"]


@pytest.mark.parametrize("mine", ["thesis.txt", "run/config.json", ".git/HEAD"])
def test_a_folder_with_other_files_is_never_replaced(mine: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "out")
    (folder / mine).parent.mkdir(exist_ok=True)
    (folder / mine).write_text("mine")
    message = rf"out: is not replaced: it has files of yours, {mine.split('/')[0]}; move them"
    with pytest.raises(BioqError, match=message), new_folder(folder, replaces=KIND):
        pass
    assert (folder / mine).read_text() == "mine"


def test_neither_a_link_nor_the_working_directory_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "out")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(BioqError, match="link: is not replaced: it is a link to another folder"):
        require_absent(tmp_path / "link", replaces=KIND)
    monkeypatch.chdir(folder / "data")
    for name in ("..", "../../out"):
        with pytest.raises(BioqError, match="the folder in which the command runs"):
            require_absent(Path(name), replaces=KIND)
    monkeypatch.chdir(folder)
    with pytest.raises(BioqError, match=r"^\.: is not replaced: it is the folder in which"):
        require_absent(Path("."), replaces=KIND)


def test_a_signal_does_not_leave_a_replaced_folder_without_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "out")
    rename = os.rename

    def interrupted(old: Path, new: Path) -> None:
        rename(old, new)
        if old == folder:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(folder, replaces=KIND) as partial:
        (partial / "new").touch()
    assert os.listdir(folder) == ["new"]


def test_an_input_is_not_an_output(tmp_path: Path) -> None:
    file, folder = tmp_path / "folder" / "in.tsv", tmp_path / "folder"
    folder.mkdir()
    file.touch()
    (tmp_path / "soft").symlink_to(file)
    (tmp_path / "hard").hardlink_to(file)
    for out in (file, tmp_path / "soft", tmp_path / "hard"):
        with pytest.raises(UsageError, match="is the input; give another name"):
            refuse_input(out, None, "-", file)
    with pytest.raises(UsageError, match=r"folder: has .*in\.tsv, which this command reads"):
        refuse_input(folder, file)
    refuse_input(tmp_path / "other", file)
    refuse_input(tmp_path / "other", tmp_path / "absent")


@pytest.mark.parametrize("value", [["a"], 1, None, "two\nlines"])
def test_what_is_not_a_line_of_text_is_told_in_words(value: object) -> None:
    with pytest.raises(BioqError) as caught:
        require_types(value, Annotated[str, OneLine], "config.json", "train again", at="model.name")
    shown = repr(value)
    assert str(caught.value) == (
        f"config.json: model.name is {shown}, expected one line of text; train again"
    )
