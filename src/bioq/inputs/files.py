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

    Standard input, `-`, is copied to a temporary file, because an input is read twice: first to
    check and count it.
    """
    if source != STDIN:
        yield source, str(source)
        return
    with tempfile.NamedTemporaryFile(prefix="bioq-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name), "stdin"
