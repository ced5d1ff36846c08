"""A small world on disk, BioQ's commands on it, and processes that can be killed."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_commands import (
    COMMANDS,
    Answer,
    Command,
    Counted,
    Processes,
    Undisturbed,
    Whole,
    World,
    make_world,
)

TRIALS = int(os.environ.get("BIOQ_FAULT_TRIALS", "1"))


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> int:
    """How often each fault is tried; `make test-faults` asks for more than `make test`."""
    callspec = getattr(request.node, "callspec", None)
    command = callspec.params.get("command") if callspec else None
    return max(TRIALS // 4, 1) if command is not None and command.is_slow else TRIALS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "command" in metafunc.fixturenames:
        tried = [command for command in COMMANDS if TRIALS > 1 or not command.is_slow]
        metafunc.parametrize("command", tried, ids=[command.name for command in tried])


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
    )
    assert server.stdin is not None
    assert server.stdout is not None
    to_server, from_server = server.stdin, server.stdout

    def ask(*runs: list[str], **how: object) -> list[Answer]:
        print(json.dumps({"runs": runs, **how}), file=to_server, flush=True)
        return [Answer(**answer) for answer in json.loads(from_server.readline())]

    yield ask
    to_server.close()
    server.wait()
    from_server.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, processes: Processes) -> World:
    return make_world(tmp_path_factory.mktemp("world"), processes)


@pytest.fixture(scope="session")
def undisturbed(
    world: World, processes: Processes, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """Return what a command leaves when nobody disturbs it."""

    @functools.cache
    def find(command: Command) -> Whole:
        return Whole(world, command, tmp_path_factory.mktemp("whole") / "out", processes)

    return find


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Counted:
    """Say how many trials of a fault a test has made, for the summary at the end."""

    def count(fault: str, promise: str, trials: int) -> None:
        record_property("fault", json.dumps([fault, promise, trials]))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    totals: dict[tuple[str, str], int] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "fault" and report.when == "call":
                fault, promise, count = json.loads(str(value))
                totals[fault, promise] = totals.get((fault, promise), 0) + count
    if not totals:
        return
    failed = len(terminalreporter.getreports("failed"))
    terminalreporter.section("faults")
    for (fault, promise), count in sorted(totals.items()):
        terminalreporter.write_line(f"{fault:34} {count:>7,} trials, none lost: {promise}")
    if failed:
        terminalreporter.write_line(f"{failed} tests failed; they are not counted above")
