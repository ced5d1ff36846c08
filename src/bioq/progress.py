"""Progress on stderr: a bar on a terminal, otherwise a plain line every 10 s."""

import contextlib
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

PLAIN_LINE_EVERY_S = 10.0
_is_quiet = ContextVar("_is_quiet", default=False)


class Advance(Protocol):
    """Reports that `done` more units are complete; `note` is shown at the end of the line."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextlib.contextmanager
def progress(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show the progress of a job of `total` units; yield a function that reports completed units.

    On a terminal: a bar with rate and time left. Otherwise a plain line every 10 s, and no line for
    a job that ends within 10 s. If `total` is None, the line has no total and no time left.
    """
    if _is_quiet.get():
        yield lambda done, note="": None
    elif sys.stderr.isatty():
        with _bar(label, total, unit) as advance:
            yield advance
    else:
        yield _plain(label, total, unit)


@contextlib.contextmanager
def no_progress() -> Iterator[None]:
    """Show no progress inside this block, on this thread: a server reports it on its pages."""
    before = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(before)


def say(line: str) -> None:
    """Print one line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bar(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(
            "{task.completed:,.0f}{task.fields[of_total]} {task.fields[unit]}", markup=False
        ),
        TextColumn("{task.fields[rate]}{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        of_total = "" if total is None else f"/{total:,}"
        task = bar.add_task(label, total=total, unit=unit, of_total=of_total, rate="", note="")

        def advance(done: int, note: str = "") -> None:
            completed = bar.tasks[task].completed + done
            rate = completed / max(time.monotonic() - started, 1e-9)
            bar.update(task, advance=done, rate=_per_second(rate), note=note and f", {note}")

        yield advance


def _plain(label: str, total: int | None, unit: str) -> Advance:
    started = printed = time.monotonic()
    completed = 0

    def advance(done: int, note: str = "") -> None:
        nonlocal completed, printed
        completed += done
        now = time.monotonic()
        if now - printed >= PLAIN_LINE_EVERY_S:
            printed = now
            rate = completed / (now - started)
            ending = note and f", {note}"
            of_total = left = ""
            if total is not None:
                left_s = max(total - completed, 0) / rate if rate else 0
                of_total, left = f"/{total:,}", f", {left_s:,.0f} s left"
            say(f"{label}: {completed:,}{of_total} {unit}, {_per_second(rate)}{left}{ending}")

    return advance


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
