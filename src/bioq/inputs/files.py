"""The file of an input, or standard input as a file."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bioq.files.text import STDIN


@contextlib.contextmanager
def input_file(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, its name in messages) of an input.

    Standard input, `-`, and a pipe are copied to a temporary file, because an input is read twice:
    first to check and count it.
    """
    is_stdin = source == STDIN
    if not is_stdin and not source.is_fifo():
        yield source, str(source)
        return
    with contextlib.ExitStack() as stack:
        stream = sys.stdin.buffer if is_stdin else stack.enter_context(source.open("rb"))
        file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bioq-"))
        shutil.copyfileobj(stream, file)
        file.flush()
        yield Path(file.name), "stdin" if is_stdin else str(source)
