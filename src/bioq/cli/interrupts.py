"""Ctrl-C and SIGTERM: how they end a command, and the line that the command prints."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from bioq.errors import UsageError
from bioq.files import remove_temporaries

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, so that temporary files are removed."""


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Add to an interrupt in this block that the command continues with --resume.

    For outputs in parts: what was not saved yet is computed again, also if that is everything.
    """
    try:
        yield
    except UsageError:  # nothing was begun
        raise
    except BaseException as error:  # also the errors that libraries raise in place of an interrupt
        error.add_note("the same command with --resume goes on from what is saved")
        raise


def describe(error: KeyboardInterrupt) -> tuple[str, int]:
    """Return the line that a command ends with, and its exit status."""
    is_terminated = isinstance(error, Terminated)
    word, status = ("terminated", TERMINATED) if is_terminated else ("interrupted", INTERRUPTED)
    return "; ".join([word, *_notes(error)]), status


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raise Terminated at SIGTERM, unless the calling program has set a handler of its own.

    Libraries written in C replace the exception of a signal handler by an error of their own, or
    by KeyboardInterrupt: every exception after a signal is raised as that of the signal.
    """
    received: list[type[KeyboardInterrupt]] = []
    raised = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}

    def leave(number: int, _: object) -> None:
        received.append(raised[signal.Signals(number)])
        raise received[-1]

    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in raised if is_main and signal.getsignal(number) == usual[number]]
    try:
        for number in ours:
            signal.signal(number, leave)
        yield
    except BaseException as error:
        if not received:
            raise
        remove_temporaries()
        interrupt = received[0]()
        for note in _notes(error):
            interrupt.add_note(note)
        raise interrupt from error
    finally:
        for number in ours:
            signal.signal(number, usual[number])


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])
