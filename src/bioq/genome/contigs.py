"""Contig names: files differ in their name of the same contig, for example chr1 and 1."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.files.text import read_text
from bioq.genome.bed import Bed
from bioq.genome.builds import Accession, about_accession, bare_name, find_accession, which_build
from bioq.genome.fasta import Genome, some

_NONE: Mapping[str, str] = {}


class ContigNames:
    """Finds a contig of a genome by its name in another file.

    In this order: by the alias table, by the same name, and by the name without `chr`, where M
    and MT are equal (chr1 = 1, chrM = M = chrMT = MT). Two contigs of the genome that differ only
    in `chr` are found only by their exact names. An accession (NC_000001.11, CM000663.2) is the
    chromosome of a genome that has its sequence, by the genome's build or the contig's length.
    """

    def __init__(self, genome: Genome, alias: Mapping[str, str] = _NONE):
        self.genome = genome
        self.contigs = tuple(genome.lengths)
        """The names in the genome, in file order."""
        self.alias = alias
        """A name in another file -> the name in the genome."""
        self._number = {name: number for number, name in enumerate(self.contigs)}
        bare = [bare_name(name) for name in self.contigs]
        count = Counter(bare)
        self._number_of_bare = {
            name: number for number, name in enumerate(bare) if count[name] == 1
        }
        self._build = genome.build

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
        if self._build is not None and self._build.name not in accession.builds:
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
    """The contigs of the intervals of a BED file in a genome."""

    rows: npt.NDArray[np.int64]
    """`(n,)` rows of the BED file whose contig the genome has, in file order."""
    contig: npt.NDArray[np.int64]
    """`(n,)` the contig number of each of these rows in the genome."""
    absent: dict[str, int]
    """Contig name in the file -> number of intervals, for contigs that the genome lacks."""


def locate(bed: Bed, names: ContigNames) -> Located:
    """Find the genome's contig of every interval of a BED file.

    Raises BioqError, with the line, for an interval past its contig's end.
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
    rows = np.flatnonzero(contig >= 0)
    contig = contig[rows]
    lengths = np.array(list(names.genome.lengths.values()), dtype=np.int64)
    past = np.flatnonzero(bed.end[rows] > lengths[contig])
    if len(past):
        row = int(rows[past[0]])
        name = names.contigs[contig[past[0]]]
        raise BioqError(
            f"{bed.path}:{bed.line(row)}: end {bed.end[row]} is past the end of {name}, which has "
            f"{names.genome.lengths[name]} bases in {names.genome.title}; "
            f"{which_build(name, int(bed.start[row]), names.genome.build)}"
        )
    return Located(rows, contig, absent)
