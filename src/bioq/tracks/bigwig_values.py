"""The range of the values of a bigWig, and its first bases with values."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bioq.genome.bigwig import damaged_bigwig, open_bigwig

_VIEW_BP = 10_000
"""The most bases that a browser shows first: bars of 200 bp are still apart."""
_STEP_BP = 1 << 20


def value_range(path: Path) -> tuple[float, float]:
    """Return the smallest and the largest value of a bigWig; 0, 0 if it has none.

    Raises BioqError if it is not a bigWig. The range in the header is not used: pyBigWig 0.3.25
    returns whole numbers.
    """
    with _open(path) as file:
        ranges = [_range(file, contig) for contig in file.chroms()]
        known = [each for each in ranges if each is not None]
        lows, highs = zip(*known, strict=True) if known else ((0.0,), (0.0,))
        return min(lows), max(highs)


def first_region(path: Path) -> str:
    """Return the first bases with values, as CONTIG:START-END from 1; empty if there are none.

    Raises BioqError if it is not a bigWig.
    """
    with _open(path) as file:
        for contig, length in file.chroms().items():
            if _range(file, contig) is not None:
                return _first(file, contig, length)
    return ""


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    with contextlib.closing(open_bigwig(path)) as file:
        try:
            yield file
        except (RuntimeError, OverflowError) as error:
            raise damaged_bigwig(path) from error


def _range(file: Any, contig: str) -> tuple[float, float] | None:
    """Return the range of the values on a contig; None if there are none."""
    (low,), (high,) = (file.stats(contig, type=kind) for kind in ("min", "max"))
    return None if low is None or high is None else (low, high)


def _first(file: Any, contig: str, length: int) -> str:
    """Return the first bases of a contig with values, up to the first gap."""
    for at in range(0, length, _STEP_BP):
        found = file.intervals(contig, at, min(at + _STEP_BP, length))
        if not found:
            continue
        start, end = found[0][:2]
        for next_start, next_end, _ in found[1:]:
            if next_start > end or end - start >= _VIEW_BP:
                break
            end = next_end
        return f"{contig}:{start + 1}-{min(end, start + _VIEW_BP)}"
    return ""
