"""Intervals on the contigs of a genome: which parts of them are on it, and which are an error."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.genome.bed import Bed
from bioq.genome.builds import which_build
from bioq.genome.contigs import ContigNames
from bioq.genome.fasta import Genome

_MOST_OVERHANG_BP = 1000
_Bases = TypeVar("_Bases", int, npt.NDArray[Any])


@dataclass(frozen=True)
class Located:
    """The parts of the intervals of a BED file that are on the contigs of a genome."""

    rows: npt.NDArray[np.int64]
    """`(n,)` rows of the BED file whose contig the genome has, in file order."""
    contig: npt.NDArray[np.int64]
    """`(n,)` the contig number of each of these rows in the genome."""
    start: npt.NDArray[np.int64]
    """`(n,)` the first base of each of these rows that is on the contig."""
    end: npt.NDArray[np.int64]
    """`(n,)` the end of its last base on the contig, not included."""
    is_clipped: npt.NDArray[np.bool_]
    """`(n,)` whether the interval reaches past an end of its contig."""
    blocks_outside: int
    """Blocks without a base on their contig, of items that reach past an end of it."""
    absent: dict[str, int]
    """Contig name in the file -> number of intervals, for contigs that the genome lacks."""


def locate(bed: Bed, names: ContigNames) -> Located:
    """Find the genome's contig of every interval of a BED file, and clip it to the contig.

    Args:
        bed: The intervals.
        names: The names of the genome's contigs.

    Returns:
        The intervals on the contigs. A block without a base on its contig is left out.

    Raises:
        BioqError: With the line, for an interval or item that is not an overhang: see
            `is_overhang`.
    """
    numbers = [names.find(name) for name in bed.contigs]
    counts = np.bincount(bed.contig, minlength=len(numbers))
    absent = {
        name: int(count)
        for name, number, count in zip(bed.contigs, numbers, counts, strict=True)
        if number is None and count
    }
    number_of = np.array([-1 if number is None else number for number in numbers], dtype=np.int64)
    contig = number_of[bed.contig]
    known = contig >= 0
    length = np.array([*names.genome.lengths.values(), 0], dtype=np.int64)[contig]
    first, last = bed.extents()
    wrong = np.flatnonzero(known & ~is_overhang(first, last, length))
    if len(wrong):
        row = int(wrong[0])
        where, name = f"{bed.path}:{bed.line(row)}", names.contigs[contig[row]]
        raise not_on_contig(where, int(first[row]), int(last[row]), name, names.genome)
    is_on_contig = known & (bed.start < length) & (bed.end > 0)
    rows = np.flatnonzero(is_on_contig)
    start, end, length = bed.start[rows], bed.end[rows], length[rows]
    return Located(
        rows=rows,
        contig=contig[rows],
        start=np.maximum(start, 0),
        end=np.minimum(end, length),
        is_clipped=(start < 0) | (end > length),
        blocks_outside=int((known & ~is_on_contig).sum()),
        absent=absent,
    )


def is_overhang(start: _Bases, end: _Bases, length: _Bases) -> _Bases:
    """Return whether intervals are on their contig, as far as intervals of the right build are.

    They may reach past its two ends, because peak callers extend reads and other tools extend
    peaks; by no more than the contig's length and 1,000 bases (a fragment on a short contig). An
    interval without a base on the contig, or further past its end, is of another build.
    """
    most = length + _MOST_OVERHANG_BP
    answer: _Bases = (start < length) & (end > 0) & (end - length <= most) & (-start <= most)
    return answer


def not_on_contig(where: str, start: int, end: int, name: str, genome: Genome) -> BioqError:
    """Return the error, which begins with `where`, for an interval that is not an overhang."""
    length = genome.lengths[name]
    if start >= length:
        side = f"start {start} is past the end"
    elif end > length:
        side = f"end {end} is far past the end"
    else:
        side = f"start {start} is far before the first base"
    return BioqError(
        f"{where}: {side} of {name}, which has {length} bases in {genome.title}; "
        f"{which_build(name, start, genome.build)}"
    )
