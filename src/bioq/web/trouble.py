"""Trouble of the machine: a full disk, no free descriptor, removed temporary files.

It ends one request, not the server; the visitor gets a sentence, and the terminal at most one line
per minute and kind.
"""

import errno
import threading
import time

from bioq.progress import say

SECONDS_BETWEEN = 60.0
_DISK = (errno.ENOSPC, errno.EDQUOT)
_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_lock = threading.Lock()
_said: dict[str, float] = {}


def say_seldom(line: str) -> None:
    """Print a line to stderr, unless the same line was printed in the last minute."""
    now = time.monotonic()
    with _lock:
        if now - _said.get(line, -SECONDS_BETWEEN) < SECONDS_BETWEEN:
            return
        _said[line] = now
    say(line)


def trouble_of(error: BaseException | None) -> tuple[int, str] | None:
    """Return the HTTP status and the sentence for an error of the machine; None for another."""
    if not isinstance(error, OSError):
        return None
    if error.errno in _DISK:
        return 507, "the server's temporary disk is full; try again later, or with less"
    if error.errno in _DESCRIPTORS:
        return 503, "the server has too many open files; try again in some seconds"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return 503, "the server's temporary files of this request were removed; send it again"
    return None


def report_trouble(error: BaseException | None) -> tuple[int, str] | None:
    """Return `trouble_of` an error, and print its sentence to stderr, at most once per minute."""
    trouble = trouble_of(error)
    if trouble is not None:
        say_seldom(f"bioq serve: {trouble[1]}")
    return trouble
