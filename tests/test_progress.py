"""Tests of bioq.progress: plain lines where stderr is no terminal, a bar where it is."""

import io
import re

import pytest

from bioq import progress as module
from bioq.cli.tables import print_line, print_table
from bioq.errors import BioqError, NotWrittenError
from bioq.progress import duration, progress, say


class Clock:
    """A clock that moves only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now_s)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_comes_every_ten_seconds_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress("encode", 10_000, "windows") as advance:
        for _ in range(10):
            clock.now_s += 4
            advance(1000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "encode: 3,000/10,000 windows, 250/s, about 28 s left",
        "encode: 6,000/10,000 windows, 250/s, about 16 s left",
        "encode: 9,000/10,000 windows, 250/s, about 4 s left",
    ]


def test_a_note_ends_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress("epoch 1", 10, "windows") as advance:
        clock.now_s += 10
        advance(5, "loss 0.25")
    assert capsys.readouterr().err == "epoch 1: 5/10 windows, 0.5/s, about 10 s left, loss 0.25\n"


def test_a_stream_shows_what_is_done_without_a_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress("variants", None, "alleles") as advance:
        clock.now_s += 10
        advance(2000)
    assert capsys.readouterr().err == "variants: 2,000 alleles, 200/s\n"


def test_the_time_left_is_that_of_the_whole_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)

    def after_s(rate: float) -> float:
        return 6_000 + 900 / rate

    with progress("epoch 1/3", 1000, "windows", done=400, after_s=after_s) as advance:
        clock.now_s += 10
        advance(100)
    # 10 windows per second: 50 s of this line, 6,090 s after it. 400 windows were done before.
    expected = "epoch 1/3: 500/1,000 windows, 10/s, about 1 h 42 min left"
    assert capsys.readouterr().err.splitlines() == [expected]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (99, "99 s"),
        (100, "1 min 40 s"),
        (236, "4 min"),
        (264, "4 min 20 s"),
        (594, "9 min 50 s"),
        (596, "10 min"),
        (934, "16 min"),
        (3569, "59 min"),
        (3571, "1 h 0 min"),
        (6_000, "1 h 40 min"),
        (172_000, "47 h 47 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_time_is_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_short_job_says_nothing_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("encode", 10, "windows") as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("done", [0, 25])
def test_no_units_and_too_many_units_are_counted_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], done: int
) -> None:
    clock = Clock(monkeypatch)
    with progress("read", 0, "rows") as advance:
        clock.now_s += 20
        advance(done)
    left = ", about 0 s left" if done else ""
    assert capsys.readouterr().err == f"read: {done}/0 rows, {done / 20:.2g}/s{left}\n"


def test_a_bar_with_counts_and_rate_is_drawn_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("verify [all]", 4000, "bytes") as advance:
        advance(1000, "fine")
        advance(3000, "fine")
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "verify [all]" in drawn  # a name in brackets is no colour
    assert re.search(r"4,000/4,000 bytes [\d,]+/s, about 0 s left, fine", drawn)
    assert capsys.readouterr().out == ""


def test_a_bar_of_a_stream_shows_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("variants", None, "alleles") as advance:
        advance(2000)
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "2,000 alleles" in drawn


def test_an_error_passes_through_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    with pytest.raises(ValueError, match="mine"), progress("verify", 4, "bytes"):
        raise ValueError("mine")


def test_say_writes_a_line_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_names_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[2J\x9b\u202e\r\n\x00\x07\x08é ü"
    say(hostile)
    shown = "a\\x1b[2J\\x9b\\u202e\\r\\n\\x00\\x07\\x08é ü"
    assert capsys.readouterr().err == shown + "\n"
    assert str(BioqError(hostile)) == shown
    assert shown in str(NotWrittenError(hostile, "no"))
    print_line(hostile)
    print_table([["name"], [hostile]])
    printed = capsys.readouterr().out
    assert printed.count(shown) == 2
    assert all(line.isprintable() for line in printed.split("\n"))


def test_a_long_name_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    long = "https://" + 40 * "a"
    print_table([["name", "model"], ["yeast", "marq"], [long, "danq"]], longest_name=40)
    assert capsys.readouterr().out.splitlines() == [
        "name   model",
        "-----  -----",
        "yeast  marq",
        long,
        "       danq",
    ]


def test_a_line_and_its_end_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed between two writes would leave half a line to the next process."""
    writes = list[str]()
    monkeypatch.setattr(module.sys.stderr, "write", writes.append)
    say("one")
    assert [text for text in writes if text] == ["one\n"]
