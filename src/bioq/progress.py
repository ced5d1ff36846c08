"""Progress on stderr: a bar on a terminal, otherwise a plain line every 10 s."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from bioq.errors import escaped

PLAIN_LINE_EVERY_S = 10.0
_is_quiet = ContextVar("_is_quiet", default=False)
_then = ContextVar("_then", default=(0.0, 0.0))  # start of a part of a job; what comes after it


class Advance(Protocol):
    """Reports that `done` more units are complete; `note` is shown at the end of the line."""

    def __call__(self, done: int, note: str = "") -> None: ...


AfterS = Callable[[float], float]
"""`(units per second)` -> seconds that the command needs after the units of this line."""


def _nothing_after(_rate: float) -> float:
    return 0.0


@contextlib.contextmanager
def progress(
    label: str, total: int | None, unit: str, *, done: int = 0, after_s: AfterS = _nothing_after
) -> Iterator[Advance]:
    """Show the progress of a job of `total` units; yield a function that reports completed units.

    On a terminal: a bar with rate and time left. Otherwise a plain line every 10 s, and no line for
    a job that ends within 10 s. If `total` is None, the line has no total and no time left. `done`
    units were completed before and do not count for the rate. The time left is that of the whole
    command: of the units of this line, and of `after_s`.
    """
    if _is_quiet.get():
        yield lambda done, note="": None
        return
    line = _Line(total, done, after_s)
    if sys.stderr.isatty():
        with _bar(label, line, unit) as advance:
            yield advance
    else:
        yield _plain(label, line, unit)


def duration(seconds: float) -> str:
    """Return a time as a person says it: `45 s`, `4 min 20 s`, `12 min`, `1 h 40 min`, `3 d 4 h`.

    It is rounded by at most 5 %.
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    tens = round(seconds / 10)
    if tens < 60:
        return f"{tens // 6} min" + (f" {tens % 6 * 10} s" if tens % 6 else "")
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"


@contextlib.contextmanager
def no_progress() -> Iterator[None]:
    """Show no progress inside this block, on this thread: a server reports it on its pages."""
    before = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(before)


@contextlib.contextmanager
def followed_by(share: float) -> Iterator[None]:
    """Inside this block, which is a part of a job, the time left is that of the whole job: what
    comes after the block takes `share` of the time of the block."""
    before = _then.set((time.monotonic(), share))
    try:
        yield
    finally:
        _then.reset(before)


def say(line: str) -> None:
    """Print one line to stderr; what is not printable in it is shown escaped.

    The line and its end are one write, so that lines of several processes never share a line.
    """
    print(f"{escaped(line)}\n", end="", file=sys.stderr, flush=True)


@dataclass
class _Line:
    """The numbers of one line of progress."""

    total: int | None
    completed: int
    after_s: AfterS
    before: int = field(init=False)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.completed
        self.started = time.monotonic()

    @property
    def rate(self) -> float:
        """Units per second since the start."""
        return (self.completed - self.before) / max(time.monotonic() - self.started, 1e-9)

    def left(self) -> str:
        """Return the time left, as text; empty if it is not known."""
        rate = self.rate
        if self.total is None or rate <= 0:  # nothing is done yet
            return ""
        seconds = max(self.total - self.completed, 0) / rate + self.after_s(rate)
        started, share = _then.get()
        if share:
            seconds += share * (time.monotonic() - started + seconds)
        return f"about {duration(seconds)} left"


@contextlib.contextmanager
def _bar(label: str, line: _Line, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(
            "{task.completed:,.0f}{task.fields[of_total]} {task.fields[unit]}", markup=False
        ),
        TextColumn("{task.fields[rate]}{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        of_total = "" if line.total is None else f"/{line.total:,}"
        task = bar.add_task(
            escaped(label),
            total=line.total,
            completed=line.completed,
            unit=unit,
            of_total=of_total,
            rate="",
            note="",
        )

        def advance(done: int, note: str = "") -> None:
            line.completed += done
            rest = escaped("".join(f", {text}" for text in (line.left(), note) if text))
            bar.update(task, advance=done, rate=_per_second(line.rate), note=rest)

        yield advance


def _plain(label: str, line: _Line, unit: str) -> Advance:
    printed = line.started

    def advance(done: int, note: str = "") -> None:
        nonlocal printed
        line.completed += done
        now = time.monotonic()
        if now - printed >= PLAIN_LINE_EVERY_S:
            printed = now
            of_total = "" if line.total is None else f"/{line.total:,}"
            rest = "".join(f", {text}" for text in (line.left(), note) if text)
            say(f"{label}: {line.completed:,}{of_total} {unit}, {_per_second(line.rate)}{rest}")

    return advance


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
