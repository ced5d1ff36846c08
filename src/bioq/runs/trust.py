"""Which networks of other people may be executed: the files that the user trusts.

A run may have a network of its author's, a Python file. The user reads it and trusts it once, by
`--trust` or `trust=True`; a file is known by its SHA-256, so a changed file is another one.
"""

import codecs
import contextlib
import os
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from bioq.errors import BioqError, counted, escaped, reason_of, short
from bioq.progress import say

if TYPE_CHECKING:
    from bioq.models.source import Source

FILE = "trusted-networks"
_MOST_BYTES = 1 << 24

_trusting: ContextVar[bool] = ContextVar("trusting", default=False)
_trusted: set[str] = set()
"""SHA-256 of the files that this process may execute, also if they cannot be remembered."""


@contextlib.contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """Trust every network that is built in the block, if `trust`; else change nothing."""
    token = _trusting.set(trust or _trusting.get())
    try:
        yield
    finally:
        _trusting.reset(token)


def is_trusting() -> bool:
    """Return whether the caller trusts every network."""
    return _trusting.get()


def require_trust(source: "Source") -> None:
    """Raise BioqError unless the user trusts the file of a network, which is then executed."""
    if source.sha256 in _trusted:
        return
    if is_trusting():
        remember(source)
    elif source.sha256 in _remembered():
        _trusted.add(source.sha256)
    else:
        raise BioqError(
            f"{source.file}: this run has a network of its author's: "
            f"{counted(source.lines, 'line')} of Python that would be executed; read them, then "
            "add --trust (in Python: bioq.load(run, trust=True)), once for this file"
        )


def remember(source: "Source") -> None:
    """Trust a file, in this process and in later ones of this user."""
    if source.sha256 in _trusted:
        return
    _trusted.add(source.sha256)
    if source.sha256 in _remembered():
        return
    file, where = source.file, ""
    try:
        trusted = trusted_file()
        where = f" in {trusted}"
        trusted.parent.mkdir(parents=True, exist_ok=True)
        line = f"{source.sha256}  {escaped(short(os.path.abspath(file)))}\n".encode(
            errors="replace"
        )
        before = _listed()
        if before and not before.endswith((b"\n", b"\r")):  # as an editor may leave it
            line = b"\n" + line
        # O_NONBLOCK: a pipe is an error and is not waited for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(trusted, flags, 0o600)
        try:
            os.write(descriptor, line)  # one call: lines of two processes do not mix
        finally:
            os.close(descriptor)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        say(
            f"note: {file} is trusted by this command only, it is not remembered{where}: "
            f"{reason_of(error)}"
        )


def trusted_file() -> Path:
    """Return the file of the user that lists what is trusted; it may not exist."""
    xdg = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (xdg if xdg.is_absolute() else Path("~/.config").expanduser()) / "bioq" / FILE


def _remembered() -> set[str]:
    """Return the SHA-256 of the files that earlier commands trusted. Raises as `_listed`."""
    # Bytes: of text, more characters end a line, and the path of a file may have them.
    lines = _listed().removeprefix(codecs.BOM_UTF8).splitlines()
    return {word.decode("ascii", errors="replace") for line in lines for word in line.split()[:1]}


def _listed() -> bytes:
    """Return the list of trusted files; empty if it cannot be read.

    Raises BioqError if others can write the list, because it decides what is executed.
    """
    try:
        file = trusted_file()
        if not file.is_file():  # a pipe would be waited for
            return b""
        with open(file, "rb") as opened:
            status = os.fstat(opened.fileno())
            is_mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
            if not is_mine or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise BioqError(
                    f"{file}: others can write this list of trusted networks; expected mode 600 "
                    f"and yourself as owner: remove it, or 'chmod 600 {file}' if you know its lines"
                )
            return opened.read(_MOST_BYTES)
    except (OSError, RuntimeError):
        return b""
