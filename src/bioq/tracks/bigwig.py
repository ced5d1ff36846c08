"""bigWig files, one per target: at each base the mean value of the bins that cover it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bioq.dataset.targets import target_paths
from bioq.errors import NotWrittenError, UsageError
from bioq.files import new_file
from bioq.genome.libraries import pyBigWig

_Genome = TypeVar("_Genome")

ENDING = ".bw"
_FILES_AT_ONCE = 64
_MAGIC = (0x888FFC26).to_bytes(4, sys.byteorder)

Bins = tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.floating]]
"""(contig, start `(n,)`, end `(n,)`, value `(n, targets)`)."""


def bigwig_paths(out: Path, names: Sequence[str]) -> list[Path]:
    """Return the bigWig of every target; see `dataset.targets.target_paths`."""
    return target_paths(out, names, ENDING)


def is_bigwig(out: Path) -> bool:
    """Return whether the name of an output is that of bigWigs."""
    return out.name.lower().endswith(ENDING)


def require_positions(out: Path, genome: _Genome | None) -> _Genome:
    """Return the genome. Raises UsageError without one, as sequences have no positions, and without
    the package that writes bigWigs."""
    if genome is None:
        raise UsageError(
            f"{out}: bigWig needs positions on a genome; give regions (BED) and --genome"
        )
    _ = pyBigWig.open  # now, and not after hours: the first use is the error
    return genome


def write_bigwigs(
    paths: Sequence[Path], lengths: Mapping[str, int], read: Callable[[], Iterator[Bins]]
) -> None:
    """Write one bigWig per target; each appears complete or not at all.

    `read` yields bins of equal length, by contig in the order of `lengths`, then by start; it is
    called once per 64 targets. Raises NotWrittenError if a file cannot be written.
    """
    for first in range(0, len(paths), _FILES_AT_ONCE):
        chosen = slice(first, first + _FILES_AT_ONCE)
        with contextlib.ExitStack() as stack:
            files = []
            for path in paths[chosen]:
                partial = stack.enter_context(new_file(path))
                files.append(stack.enter_context(_opened(partial, path)))
            for file in files:
                file.addHeader(list(lengths.items()))
            averages = _Averages(lengths)
            for contig, start, end, values in read():
                _write(files, *averages.add(contig, start, end, values[:, chosen]))
            _write(files, *averages.finish())


Segments = tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass
class _Averages:
    """Converts a stream of overlapping bins to segments that do not overlap."""

    lengths: Mapping[str, int]
    contig: str = ""
    start: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    end: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    done: int = 0
    """The segments before this base of the contig have been returned."""

    def add(
        self,
        contig: str,
        start: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        values: npt.NDArray[np.floating],
    ) -> list[Segments]:
        """Add bins of one contig; return the segments that no later bin can change."""
        finished = []
        if contig != self.contig:
            finished = self.finish()
            self.contig, self.done = contig, 0
            self.values = np.empty((0, values.shape[1]))
        inside = start < self.lengths[contig]
        self.start = np.concatenate([self.start, start[inside]])
        self.end = np.concatenate([self.end, end[inside]])
        self.values = np.concatenate([self.values, values[inside].astype(np.float64)])
        if len(self.start):
            finished += self._segments(int(self.start[-1]))
            needed = self.end > self.done
            self.start, self.end = self.start[needed], self.end[needed]
            self.values = self.values[needed]
        return finished

    def finish(self) -> list[Segments]:
        """Return the remaining segments of the contig."""
        finished = self._segments(self.lengths[self.contig]) if len(self.start) else []
        self.start = self.end = np.empty(0, dtype=np.int64)
        self.values = self.values[:0]
        return finished

    def _segments(self, until: int) -> list[Segments]:
        """Return the segments from `done` to `until`; the starts ascend, and so do the ends."""
        edges = np.unique(np.concatenate([self.start, self.end, [self.done, until]]))
        edges = edges[(edges >= self.done) & (edges <= until)]
        self.done = until
        left, right = edges[:-1], edges[1:]
        first = np.searchsorted(self.end, left, side="right")
        last = np.searchsorted(self.start, left, side="right")
        covered = np.flatnonzero(last > first)
        if not len(covered):
            return []
        sums = np.concatenate([np.zeros((1, self.values.shape[1])), self.values.cumsum(axis=0)])
        first, last = first[covered], last[covered]
        means = (sums[last] - sums[first]) / (last - first)[:, None]
        return [(self.contig, left[covered], right[covered], means)]


def _write(files: Sequence[Any], *segments: Segments) -> None:
    """Append segments, each with its start and end: 12 bytes per segment.

    The 4-byte form for adjacent bins of equal length is not used: if it follows the 12-byte form in
    a file, pyBigWig 0.3.29 writes wrong positions.
    """
    for contig, start, end, means in segments:
        starts = [contig] * len(start), start.tolist()
        ends = end.tolist()
        for file, values in zip(files, means.T, strict=True):
            file.addEntries(*starts, ends=ends, values=values.tolist())


@contextlib.contextmanager
def _opened(partial: Path, path: Path) -> Iterator[Any]:
    """Yield a bigWig to write to `partial`; messages call it `path`.

    If the disk is full, pyBigWig raises RuntimeError, or none, which Python makes a SystemError; or
    nothing, when it closes the file. A complete file ends with the magic number that it begins
    with.
    """
    file = pyBigWig.open(str(partial), "w")
    try:
        yield file
        file.close()
        if not _ends_with(partial, _MAGIC):
            raise RuntimeError("its end is missing")
    except (RuntimeError, SystemError) as error:
        is_named = isinstance(error, RuntimeError)
        reason = " ".join(str(error).split()) if is_named else "pyBigWig could not add to it"
        raise NotWrittenError(path, f"{reason} (is the disk full?)") from error
    finally:
        file.close()


def _ends_with(path: Path, ending: bytes) -> bool:
    with open(path, "rb") as file:
        file.seek(-min(len(ending), path.stat().st_size), os.SEEK_END)
        return file.read() == ending
