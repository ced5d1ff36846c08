"""Contig names: files differ in their name of the same contig, for example chr1 and 1."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.files.text import read_text
from bioq.genome.bed import Bed
from bioq.genome.fasta import Genome, some

_NONE: Mapping[str, str] = {}
_MOST_OVERHANG_BP = 1000
_Bases = TypeVar("_Bases", int, npt.NDArray[Any])


class ContigNames:
    """Finds a contig of a genome by its name in another file.

    In this order: by the alias table, by the same name, and by the name without `chr`, where M
    and MT are equal (chr1 = 1, chrM = M = chrMT = MT). Two contigs of the genome that differ only
    in `chr` are found only by their exact names.
    """

    def __init__(self, genome: Genome, alias: Mapping[str, str] = _NONE):
        self.genome = genome
        self.contigs = tuple(genome.lengths)
        """The names in the genome, in file order."""
        self.alias = alias
        """A name in another file -> the name in the genome."""
        self._number = {name: number for number, name in enumerate(self.contigs)}
        bare = [_bare(name) for name in self.contigs]
        count = Counter(bare)
        self._number_of_bare = {
            name: number for number, name in enumerate(bare) if count[name] == 1
        }

    def find(self, name: str) -> int | None:
        """Return the number of the contig called `name`, or None if the genome has none."""
        name = self.alias.get(name, name)
        number = self._number.get(name)
        return number if number is not None else self._number_of_bare.get(_bare(name))

    def require(self, name: str, where: str) -> int:
        """Return the number of a contig. Raises BioqError, which begins with `where`, if the genome
        does not have it."""
        number = self.find(name)
        if number is None:
            raise BioqError(
                f"{where}: {self.genome.path} has no contig {name!r}; "
                f"it has {some(self.genome.lengths)}"
            )
        return number


def _bare(name: str) -> str:
    bare = name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name
    return "MT" if bare.upper() in ("M", "MT") else bare


def read_chrom_alias(path: str | Path) -> dict[str, str]:
    """Read a table of two tab-separated columns: a name in other files, the name in the genome.

    Blank lines and lines that begin with # are skipped. Raises BioqError, with the line, for
    another number of columns or a name with two different genome names.
    """
    path = Path(path)
    try:
        lines = read_text(path, "a table of contig names").splitlines()
    except UnicodeDecodeError as error:
        raise BioqError(f"{path}: is not a readable UTF-8 table of contig names") from error
    alias: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        names = [name.strip() for name in line.split("\t", maxsplit=2)]
        if len(names) != 2 or not all(names):
            raise BioqError(
                f"{path}:{number}: expected two names separated by a tab (the peak files' and the "
                f"genome's), found {line[:60]!r}"
            )
        if alias.setdefault(names[0], names[1]) != names[1]:
            raise BioqError(
                f"{path}:{number}: {names[0]!r} is {names[1]!r} here and {alias[names[0]]!r} "
                "above; a name can stand for one contig only"
            )
    return alias


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

    A block without a base on its contig is left out. Raises BioqError, with the line, for an
    interval or item that is not an overhang: see `is_overhang`.
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
        f"{where}: {side} of {name}, which has {length} bases in {genome.path}; "
        "is the file of another genome build?"
    )
