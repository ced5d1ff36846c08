"""Contenders take turns at one job, each in a process of its own, so that all meet one machine.

A script names its contenders and its cases and calls `main`. Every contender prepares a case,
answers it once, and is timed only if its answer is the first contender's; then all are timed in
turns, in reversed order every other round. The table names the contenders that are not installed.
One that fails is named too, and the script ends with exit status 1, after the others were measured
and written.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))  # for the modules that all benchmarks share
import measuring
from measuring import Failures, in_turns, load_average, processors, reason, say, version_of
from results import Result, as_markdown, as_report

TINY = {"rounds": 2, "threads": 1}
"""Values of the shared options with --tiny."""
Call = Callable[[], Any]
"""Does the job once and returns its answer, an array."""

_LEAST_S = 0.3
"""Seconds that a turn lasts at least: shorter jobs are repeated within it."""
REST_S = 0.2
"""Seconds before every turn, in which the threads of the one before fall asleep."""
_SHORT_S = 1.0
"""A shorter job is done once before each turn is timed: to wake threads on a virtual machine took
0.05 to 0.1 s, for every contender (docs/log/performance.md, 2026-11-30)."""


@dataclass(frozen=True)
class Contender:
    """One way to do a job."""

    name: str
    prepare: Callable[[argparse.Namespace, str], Call]
    """Options and a case -> what is timed."""
    packages: tuple[str, ...] = ()
    """Distributions that it needs, whose versions belong to the result."""
    programs: tuple[str, ...] = ()
    """Programs that it needs."""
    tolerance: float = 1e-4
    """Largest difference from the first contender's answer."""
    ours: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """What it needs and is not installed."""
        absent = [name for name in self.packages if not version_of(name)]
        return ", ".join([*absent, *(name for name in self.programs if not shutil.which(name))])


def parser(description: str, *, rounds: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    options = measuring.parser(description)
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
    absent = {
        contenders[number].name: contenders[number].missing
        for number in chosen
        if contenders[number].missing
    }
    present = {number: contenders[number] for number in chosen if not contenders[number].missing}
    for name, what in absent.items():
        say(f"{name} is left out: {what} is not installed")
    load = load_average()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if generate is not None:
            say(f"{subject}: generating")
            generate(Path(folder), options)
        results = _contest(present, cases, options, folder)
    report = as_report(
        results, cases, options, subject=subject, unit=unit, load_before=load, absent=absent
    )
    text = as_markdown(report)
    print(text, flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / subject.replace(" ", "-")
        path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        path.with_suffix(".md").write_text(text + "\n")
    Failures({f"{one.name}, {one.case}": one.error for one in results if one.error}).end()


def _contest(
    contenders: Mapping[int, Contender],
    cases: Iterable[str],
    options: argparse.Namespace,
    folder: str,
) -> list[Result]:
    results = []
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(_started(contender, number, options, folder))
            for number, contender in contenders.items()
        ]
        for case in cases:
            computed = _answers(case, list(contenders.values()), processes)
            results += computed
            process_of = dict(zip((one.name for one in computed), processes, strict=True))
            result_of = {one.name: one for one in computed if not one.error}
            for name in in_turns(result_of, options.rounds):
                _take_turn(result_of[name], process_of[name])
            say(f"{case}: {options.rounds} rounds")
    return results


def _answers(
    case: str, contenders: Sequence[Contender], processes: Sequence["_Process"]
) -> list[Result]:
    """Have every contender prepare a case and answer it; compare the answers."""
    results: list[Result] = []
    expected = None
    for contender, process in zip(contenders, processes, strict=True):
        say(f"{case}: {contender.name} prepares")
        result = Result(contender.name, case, contender.ours, contender.packages)
        results.append(result)
        reply = process.ask(case)
        if "error" in reply:
            result.error = reply["error"]
        else:
            answer = np.load(reply["answer"])
            expected = answer if expected is None else expected
            _compare(result, answer, expected, contender.tolerance)
        if result.error:
            say(f"{case}: {contender.name}: {result.error}")
    return results


def _take_turn(result: Result, process: "_Process") -> None:
    if result.error:
        return
    time.sleep(REST_S)
    reply = process.ask("")
    if "error" in reply:
        result.fail(reply["error"])
        say(f"{result.case}: {result.name}: {result.error}")
        return
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
    use_processors(options.threads)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    answer = options.folder / f"contender-{options.turns_of}" / "answer.npy"
    call: Call = list
    repeats, once = 1, 0.0
    for line in sys.stdin:
        reply: dict[str, Any]
        try:
            if case := line.strip():
                call = contender.prepare(options, case)
                np.save(answer, np.asarray(call()))
                once = _timed(call, 1)[0]
                repeats = 1 if options.tiny else max(1, math.ceil(_LEAST_S / once))
                reply = {"answer": str(answer)}
            else:
                if once < _SHORT_S and not options.tiny:
                    call()
                seconds, cpu_s = _timed(call, repeats)
                reply = {"seconds": seconds, "cpu_s": cpu_s, "memory_mib": measuring.peak_mib()}
        except Exception as error:  # noqa: BLE001 a peer may fail in any way; the table has the error
            reply = {"error": reason(error)}
        print(json.dumps(reply), file=replies, flush=True)


def use_processors(most: int) -> None:
    """Let this process use at most so many processors: some libraries read no variable for it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:most])


def _timed(call: Call, repeats: int) -> tuple[float, float]:
    taken = measuring.timed(lambda: [call() for _ in range(repeats)])
    return taken.seconds / repeats, taken.cpu_s / repeats
