"""Contig names: files differ in their name of the same contig, for example chr1 and 1."""

from collections.abc import Mapping

from bioq.errors import MOST_NAMES, BioqError, did_you_mean, nearest, short, some
from bioq.genome.builds import Accession, about_accession, bare_name, find_accession
from bioq.genome.fasta import Genome
from bioq.genome.notation import Interval, parse_region

NO_ALIAS: Mapping[str, str] = {}


class ContigNames:
    """Finds a contig of a genome by its name in another file.

    In this order: by the alias table, by the same name, and by the name without `chr`, where M
    and MT are equal (chr1 = 1, chrM = M = chrMT = MT), in the genome and then in the alias table.
    Two names that differ only in `chr` but are of two contigs are found only if they are exact.
    An accession (NC_000001.11, CM000663.2) is the chromosome of a genome that has its sequence, by
    the genome's build or the contig's length.
    """

    def __init__(self, genome: Genome, alias: Mapping[str, str] = NO_ALIAS):
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
                f"{where}: {self.genome.title} has no contig {short(name)!r}; "
                f"{self._nearest(name)}it has {some(self.genome.lengths)}{ending}"
            )
        return number

    def _nearest(self, name: str) -> str:
        """Return the contigs whose names are nearest, where a message does not show all names."""
        if len(self.contigs) <= MOST_NAMES:
            return ""
        return did_you_mean(nearest(name, self.contigs))


def find_region(text: str, genome: Genome, where: str = "") -> Interval | None:
    """Read a region that a person has written.

    The names of the genome decide: a text that is the name of a contig, such as the `chr1:1-100` of
    'samtools faidx', is the whole contig.

    Args:
        text: Such as `chr1:1,001-2,000`; positions are counted from 1.
        genome: The open genome.
        where: Beginning of an error, such as the name of an option.

    Returns:
        The region, 0-based and half-open; None for a text in another form.

    Raises:
        BioqError: For a text that is also a region of another contig, and for a position of more
            than 18 digits.
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
