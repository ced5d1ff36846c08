"""A stream of windows in batches, with columns that describe each window."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from bioq import dna

N_SHARE = "n_share"
"""A column of every input: the share of unknown bases in the window."""


@dataclass(frozen=True)
class WindowBatch:
    """Consecutive windows, in input order."""

    columns: Mapping[str, npt.NDArray[Any]]
    """Column name -> `(n,)`."""
    codes: dna.Bytes
    """uint8 `(n, window_bp)`; see `dna`."""

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, start: int, end: int) -> "WindowBatch":
        columns = {name: values[start:end] for name, values in self.columns.items()}
        return WindowBatch(columns, self.codes[start:end])


class Windows(Protocol):
    """Windows that can be read any number of times, in small memory."""

    columns: ClassVar[dict[str, Literal["text", "integer", "number"]]]

    def count(self) -> int:
        """Return the number of windows, after a check of the whole input."""
        ...

    def batches(self, size: int) -> Iterator[WindowBatch]:
        """Yield every window in order, `size` at a time; the last batch may be smaller."""
        ...


def in_batches(stretches: Iterable[WindowBatch], size: int) -> Iterator[WindowBatch]:
    """Cut and join stretches of windows into batches of `size`, with the column `n_share`."""
    waiting: list[WindowBatch] = []
    free = size
    for stretch in stretches:
        start = 0
        while start < len(stretch):
            part = stretch.rows(start, start + free)
            waiting.append(part)
            free -= len(part)
            start += len(part)
            if not free:
                yield _joined(waiting)
                waiting, free = [], size
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[WindowBatch]) -> WindowBatch:
    codes = np.concatenate([part.codes for part in parts])
    columns = {
        name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns
    }
    columns[N_SHARE] = (codes == dna.UNKNOWN).mean(axis=1)
    return WindowBatch(columns, codes)
