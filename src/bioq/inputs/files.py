"""The file of an input that is read twice, by position or by another library."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bioq.files.streams import kept_streams, label_of, stored


@contextlib.contextmanager
def input_file(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, its name in messages) of an input.

    Standard input, `-`, and every other stream are copied to a temporary file, because an input is
    read twice: first to check and count it. `kept_streams` holds inside the block.
    """
    with kept_streams():
        yield stored(source), label_of(source)
