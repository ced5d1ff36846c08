"""Contig names: files differ in their name of the same contig, for example chr1 and 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.genome.bed import Bed
from bioq.genome.builds import Accession, about_accession, bare_name, find_accession, which_build
from bioq.genome.fasta import Genome, some
from bioq.genome.notation import Interval, parse_region

_NONE: Mapping[str, str] = {}
_MOST_OVERHANG_BP = 1000
_Bases = TypeVar("_Bases", int, npt.NDArray[Any])


class ContigNames:
    """Finds a contig of a genome by its name in another file.

    In this order: by the alias table, by the same name, and by the name without `chr`, where M
    and MT are equal (chr1 = 1, chrM = M = chrMT = MT), in the genome and then in the alias table.
    Two names that differ only in `chr` but are of two contigs are found only if they are exact.
    An accession (NC_000001.11, CM000663.2) is the chromosome of a genome that has its sequence, by
    the genome's build or the contig's length.
    """

    def __init__(self, genome: Genome, alias: Mapping[str, str] = _NONE):
        self.genome = genome
        self.contigs = tuple(genome.lengths)
        """The names in the genome, in file order."""
        self.alias = alias
        """A name in another file -> the name in the genome."""
        self._number = {name: number for number, name in enumerate(self.contigs)}
        other = {name: self._number[own] for name, own in alias.items() if own in self._number}
        self._number_of_bare = _by_bare_name(other) | _by_bare_name(self._number)

    def find(self, name: str) -> int | None:
        """Return the number of the contig called `name`, or None if the genome has none."""
        name = self.alias.get(name, name)
        number = self._number.get(name)
        if number is not None:
            return number
        number = self._number_of_bare.get(bare_name(name))
        accession = find_accession(name)
        if number is None or accession is None or self._has(accession, number):
            return number
        return None

    def _has(self, accession: Accession, number: int) -> bool:
        """Return whether a contig has the sequence of an accession."""
        if self.genome.build is not None and self.genome.build.name not in accession.builds:
            return False
        return self.genome.lengths[self.contigs[number]] == accession.bp

    def require(self, name: str, where: str) -> int:
        """Return the number of a contig. Raises BioqError, which begins with `where`, if the genome
        does not have it."""
        number = self.find(name)
        if number is None:
            about = about_accession(name)
            ending = f"; {about}" if about else ""
            raise BioqError(
                f"{where}: {self.genome.title} has no contig {name!r}; "
                f"it has {some(self.genome.lengths)}{ending}"
            )
        return number


def find_region(text: str, genome: Genome, where: str = "") -> Interval | None:
    """Return a region that a person has written; None for a text in another form.

    The names of the genome decide: a text that is the name of a contig, such as the `chr1:1-100`
    of 'samtools faidx', is the whole contig. Raises BioqError, which begins with `where`, for a
    text that is also a region of another contig, and for a position of more than 18 digits.
    """
    region, name = parse_region(text, where), text.strip()
    if region is None or name not in genome.lengths:
        return region
    whole = Interval(name, 0, genome.lengths[name])
    if ContigNames(genome).find(region.contig) is None:
        return whole
    raise BioqError(
        f"{where}{name!r} is a contig of {genome.title}, and also the bases "
        f"{region.start + 1} to {region.end} of its contig {region.contig}; "
        f"write {str(whole)!r} for the contig, "
        f"or '{region.contig}:{region.start + 1} - {region.end}' for the bases"
    )


def _by_bare_name(number_of: Mapping[str, int]) -> dict[str, int | None]:
    """Return {name without chr: number}; None for a name of several contigs."""
    numbers: dict[str, int | None] = {}
    for name, number in number_of.items():
        bare = bare_name(name)
        numbers[bare] = number if numbers.get(bare, number) == number else None
    return numbers


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
        f"{where}: {side} of {name}, which has {length} bases in {genome.title}; "
        f"{which_build(name, start, genome.build)}"
    )
