"""What a hub says about a bigWig: the range of its values, and where they begin."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioq.genome.bigwig import damaged_bigwig, open_bigwig

_VIEW_BP = 10_000
"""The most bases that a browser shows first: bars of 200 bp can be told apart."""
_STEP_BP = 1 << 20


@dataclass(frozen=True)
class BigWigContent:
    """The values of a bigWig, in short."""

    limits: tuple[float, float]
    """The smallest and the largest value."""
    region: str
    """The first bases with values, as CONTIG:START-END from 1; empty without a value."""


def read_content(path: Path) -> BigWigContent:
    """Read the range and the first region of a bigWig. Raises BioqError if it is not one."""
    with contextlib.closing(open_bigwig(path)) as file:
        try:
            head = file.header()
            region = next(filter(None, (_first(file, *each) for each in file.chroms().items())), "")
        except (RuntimeError, OverflowError) as error:
            raise damaged_bigwig(path) from error
    return BigWigContent((float(head["minVal"]), float(head["maxVal"])), region)


def _first(file: Any, contig: str, length: int) -> str:
    """Return the first region of a contig with values, without a gap; empty if there is none."""
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
