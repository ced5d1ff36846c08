"""Contenders take turns at one job, each in a process of its own, so that all meet one machine.

A script names its contenders and its cases and calls `main`. Every contender prepares a case,
answers it once, and is timed only if its answer is the first contender's; then all are timed in
turns, in reversed order every other round. `report` makes a table of it.
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from results import Result, as_markdown, as_report, load_average, processors

Call = Callable[[], Any]
"""Does the job once and returns its answer, an array."""

_LEAST_S = 0.3
"""Seconds that a turn lasts at least: shorter jobs are repeated within it."""
_REST_S = 0.2
"""Seconds before every turn, in which the threads of the one before fall asleep."""


@dataclass(frozen=True)
class Contender:
    """One way to do a job."""

    name: str
    prepare: Callable[[argparse.Namespace, str], Call]
    """Options and a case -> what is timed."""
    packages: tuple[str, ...] = ()
    """Distributions whose versions belong to the result."""
    tolerance: float = 1e-4
    """Largest difference from the first contender's answer."""
    ours: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def parser(description: str, *, rounds: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=rounds, help="turns of every contender")
    options.add_argument("--threads", type=int, default=processors(), help="of each contender")
    options.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: on a machine that does other work, together with --threads 1",
    )
    options.add_argument("--only", nargs="+", help="contenders whose names contain one of these")
    options.add_argument("--out", type=Path, help="folder for the table and the JSON")
    options.add_argument("--folder", type=Path, help="where generated files lie (removed after)")
    options.add_argument("--turns-of", type=int, help=argparse.SUPPRESS)
    return options


def main(
    options: argparse.Namespace,
    contenders: Sequence[Contender],
    cases: Mapping[str, float],
    *,
    subject: str,
    unit: str,
    generate: Callable[[Path, argparse.Namespace], None] | None = None,
) -> None:
    """Run every case; `cases` says how many `unit` are done in one call. The first contender is
    what the others are compared with. `generate` writes the files that all of them read."""
    if options.turns_of is not None:
        _serve(contenders[options.turns_of], options)
        return
    chosen = [
        number
        for number, contender in enumerate(contenders)
        if number == 0
        or not options.only
        or any(word.lower() in contender.name.lower() for word in options.only)
    ]
    load = load_average()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if generate is not None:
            _say(f"{subject}: generating")
            generate(Path(folder), options)
        contesting = [contenders[number] for number in chosen]
        results = _contest(contesting, chosen, cases, options, folder)
    report = as_report(results, cases, options, subject=subject, unit=unit, load_before=load)
    text = as_markdown(report)
    print(text, flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / subject.replace(" ", "-")
        path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        path.with_suffix(".md").write_text(text + "\n")


def _contest(
    contenders: Sequence[Contender],
    numbers: Sequence[int],
    cases: Iterable[str],
    options: argparse.Namespace,
    folder: str,
) -> list[Result]:
    results = []
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(_started(contender, number, options, folder))
            for contender, number in zip(contenders, numbers, strict=True)
        ]
        for case in cases:
            computed = _answers(case, contenders, processes)
            results += computed
            running = [
                (result, process)
                for result, process in zip(computed, processes, strict=True)
                if not result.error
            ]
            for turn in range(options.rounds):
                for result, process in running[:: -1 if turn % 2 else 1]:
                    _take_turn(result, process)
                _say(f"{case}: round {turn + 1} of {options.rounds}")
    return results


def _answers(
    case: str, contenders: Sequence[Contender], processes: Sequence["_Process"]
) -> list[Result]:
    """Have every contender prepare a case and answer it; compare the answers."""
    results: list[Result] = []
    expected = None
    for contender, process in zip(contenders, processes, strict=True):
        _say(f"{case}: {contender.name} prepares")
        result = Result(contender.name, case, contender.ours, contender.packages)
        results.append(result)
        reply = process.ask(case)
        if "error" in reply:
            result.error = reply["error"]
        else:
            answer = np.load(reply["answer"])
            expected = answer if expected is None else expected
            _compare(result, answer, expected, contender.tolerance)
        if expected is None:
            raise SystemExit(f"{contender.name}: {result.error}; nothing to compare with")
        if result.error:
            _say(f"{case}: {contender.name}: {result.error}")
    return results


def _take_turn(result: Result, process: "_Process") -> None:
    time.sleep(_REST_S)
    reply = process.ask("")
    if "error" in reply:
        raise SystemExit(f"{result.name}, {result.case}: {reply['error']}")
    result.seconds.append(reply["seconds"])
    result.cpu_s.append(reply["cpu_s"])
    result.memory_mib = reply["memory_mib"]


def _compare(result: Result, answer: Any, expected: Any, tolerance: float) -> None:
    if answer.shape != expected.shape:
        result.error = f"wrong answer: shape {answer.shape}, expected {expected.shape}"
        return
    result.difference = float(np.max(np.abs(answer - expected), initial=0))
    if not result.difference <= tolerance:
        result.error = f"wrong answer: differs by {result.difference:.2g}, allowed {tolerance:.0e}"


class _Process:
    """A contender at work; asked one line at a time."""

    def __init__(self, process: Any, log: Path):
        self._process = process
        self._log = log

    def ask(self, case: str) -> dict[str, Any]:
        """Have it prepare and answer a case or, with no case, time the one before."""
        try:
            self._process.stdin.write(case + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if line:
            return dict(json.loads(line))
        printed = self._log.read_text(errors="replace").strip().splitlines() or ["no message"]
        return {"error": f"ended with status {self._process.wait()}: {printed[-1]}"}


@contextlib.contextmanager
def _started(
    contender: Contender, number: int, options: argparse.Namespace, folder: str
) -> Iterator[_Process]:
    contender_folder = Path(folder) / f"contender-{number}"
    contender_folder.mkdir()
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
    environment = {
        **os.environ,
        **{f"{name}_NUM_THREADS": str(options.threads) for name in names},
        "CUDA_VISIBLE_DEVICES": "",  # cards are the subject of benchmarks/gpu.py
        **contender.environment,
    }
    with (
        open(contender_folder / "log", "w") as log,
        subprocess.Popen(
            [sys.executable, *sys.argv, "--turns-of", str(number), "--folder", folder],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        yield _Process(process, contender_folder / "log")  # which ends with its input


def _serve(contender: Contender, options: argparse.Namespace) -> None:
    """Answer the lines of `_Process.ask` until there are no more."""
    if hasattr(os, "sched_setaffinity"):  # holds libraries to it that read no variable
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    answer = options.folder / f"contender-{options.turns_of}" / "answer.npy"
    call: Call = list
    repeats = 1
    for line in sys.stdin:
        reply: dict[str, Any]
        try:
            if case := line.strip():
                call = contender.prepare(options, case)
                np.save(answer, np.asarray(call()))
                repeats = max(1, math.ceil(_LEAST_S / _timed(call, 1)[0]))
                reply = {"answer": str(answer)}
            else:
                seconds, cpu_s = _timed(call, repeats)
                reply = {"seconds": seconds, "cpu_s": cpu_s, "memory_mib": _peak_mib()}
        except Exception as error:  # noqa: BLE001 a peer may fail in any way; the table has the error
            text = str(error).strip().splitlines() or [""]
            reply = {"error": f"{type(error).__name__}: {text[0][:160]}"}
        print(json.dumps(reply), file=replies, flush=True)


def _timed(call: Call, repeats: int) -> tuple[float, float]:
    started, cpu_started = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        call()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    return seconds / repeats, cpu_s / repeats


def _peak_mib() -> float | None:
    """Return the peak memory of this process so far; None if the system does not report it."""
    with contextlib.suppress(OSError):  # Linux; getrusage would count the parent's before exec too
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        return int(status["VmHWM"].split()[0]) / 1024
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
