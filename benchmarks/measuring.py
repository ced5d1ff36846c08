"""What the benchmarks share: options, clocks, turns, memory, processes, the machine, failures.

Every script has `--tiny`: it runs completely, in seconds, at sizes whose numbers mean nothing.
Every script ends with exit status 1 if a part of it failed, after the other parts have run.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that every script has."""
    result = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument(
        "--tiny",
        action="store_true",
        help="only whether this script works: seconds, and numbers that mean nothing",
    )
    return result


def parse(
    options: argparse.ArgumentParser,
    *,
    tiny: Mapping[str, object],
    words: Sequence[str] | None = None,
) -> argparse.Namespace:
    """Return the options of a command line; with --tiny those that are not given have the values
    of `tiny`."""
    words = sys.argv[1:] if words is None else words
    if "--tiny" in words:
        options.set_defaults(**tiny)
    return options.parse_args(words)


def flags_after_dashes() -> tuple[list[str], list[str]]:
    """Return the words of the command line before `--`, and those after it, for `bioq train`."""
    words = sys.argv[1:]
    if "--" not in words:
        return words, []
    return words[: words.index("--")], words[words.index("--") + 1 :]


@dataclass(frozen=True)
class Taken:
    """The time that something took."""

    seconds: float
    """By the clock."""
    cpu_s: float
    """Of all threads of this process."""


def timed(work: Callable[[], object]) -> Taken:
    """Return the time that a call takes."""
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - started, time.process_time() - cpu_started)


def in_turns(names: Iterable[str], rounds: int) -> Iterator[str]:
    """Yield every name once a round, in reversed order every other round."""
    names = list(names)
    for number in range(rounds):
        yield from names[:: -1 if number % 2 else 1]


def peak_mib() -> float | None:
    """Return the peak memory of this process so far, libraries included; None where the system
    does not report it. getrusage would also count the memory of the parent before exec."""
    return status_mib("VmHWM")


def own_peak_mib() -> float | None:
    """Return the peak memory without the pages of mapped files."""
    peak, mapped = status_mib("VmHWM"), status_mib("RssFile")
    return None if peak is None or mapped is None else peak - mapped


def status_mib(field: str, process: int | str = "self") -> float | None:
    """Return a line of the memory in /proc/PID/status (Linux), in MiB; None without it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return None


def in_own_process(script: str, *words: object, **environment: str) -> Any:
    """Run a script in a process of its own, so that its memory and caches are its own; return the
    JSON in the last line of its output."""
    command = [sys.executable, script, *map(str, words)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env={**os.environ, **environment}
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_bioq(*words: object) -> None:
    """Run a command of BioQ in this process; what it prints goes to stderr."""
    from bioq.cli import main

    with contextlib.redirect_stdout(sys.stderr):
        status = main([str(word) for word in words])
    if status:
        raise RuntimeError(f"bioq {words[0]} ended with exit status {status}")


def machine() -> dict[str, Any]:
    """Return what a result depends on: the date, the processor and versions."""
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "processors": processors(),
        "system": platform.system(),
        "python": platform.python_version(),
        "bioq": version_of("bioq"),
        "torch": version_of("torch"),
    }
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        result["processor"] = name.split(":", 1)[1].strip()
    with contextlib.suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        result["memory_gib"] = round(memory / 2**30, 1)
    return result


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def version_of(package: str) -> str:
    """Return the version of an installed distribution, "" if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def load_average() -> float | None:
    """Return how many processes waited for a processor in the last minute; None if unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def print_heads(*heads: str) -> None:
    """Print the first two lines of a Markdown table."""
    print_row(*heads)
    print_row(*["---"] * len(heads))


def print_row(*cells: object) -> None:
    """Print a line of a Markdown table, at once: a table may take hours."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


def reason(error: BaseException) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


@dataclass
class Failures:
    """What failed; the rest of the script goes on, and `end` makes the script fail."""

    found: dict[str, str] = field(default_factory=dict)
    """Name -> the reason."""

    def add(self, name: str, why: str) -> None:
        """Record a failure and print it."""
        self.found[name] = why
        say(f"{name} failed: {why}")

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Record an error that is raised in the block, and go on after it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 `end` names it
            self.add(name, reason(error))

    def end(self) -> None:
        """Exit with status 1 and name what failed, if anything did."""
        if self.found:
            named = "; ".join(f"{name} ({why})" for name, why in self.found.items())
            sys.exit(f"failed: {named}")
