"""The input's file, or standard input as one."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bioq.text import STDIN


@contextlib.contextmanager
def input_file(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield the input's file and what messages call it; `-`, stdin, goes to a temporary file first,
    because an input is read twice: once to check and count it."""
    if source != STDIN:
        yield source, str(source)
        return
    with tempfile.NamedTemporaryFile(prefix="bioq-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name), "stdin"
