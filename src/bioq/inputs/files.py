"""The file of an input, or standard input as a file."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bioq.files.text import STDIN, is_pipe


@contextlib.contextmanager
def input_file(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, its name in messages) of an input.

    Standard input, `-`, and a pipe are copied to a temporary file, because an input is read twice:
    first to check and count it.
    """
    if source != STDIN and not is_pipe(source):
        yield source, str(source)
        return
    with tempfile.NamedTemporaryFile(prefix="bioq-") as file:
        if source == STDIN:
            shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            with open(source, "rb") as pipe:
                shutil.copyfileobj(pipe, file)
        file.flush()
        yield Path(file.name), "stdin" if source == STDIN else str(source)
