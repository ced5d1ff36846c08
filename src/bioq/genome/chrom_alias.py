"""Tables of contig names: which names in other files mean which contig of a genome.

Each line of a table has names of one contig, separated by tabs. Five layouts are read: two columns
in either order, which blanks may separate ('bcftools annotate --rename-chrs'); UCSC's
bigZips/DB.chromAlias.txt, with and without the names of its columns; the table chromAlias of UCSC's
databases (alias, chrom, source); and NCBI's assembly_report.txt.
The names of the genome decide which contig a line is of, in every layout.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bioq.errors import BioqError, some
from bioq.files.text import read_text, split_lines
from bioq.genome.contigs import NO_ALIAS, ContigNames
from bioq.genome.fasta import Genome, open_genome
from bioq.genome.notation import MOST_DIGITS
from bioq.options import path_to
from bioq.progress import say

_HEADERS = {
    # NCBI's assembly_report.txt has "na" in place of a missing name.
    "Sequence-Name": ("Sequence-Name", "GenBank-Accn", "RefSeq-Accn", "UCSC-style-name"),
    "alias": ("alias", "chrom"),
}
"""First column of a header -> the columns that have names of contigs."""
_NO_NAME = "na"
_SOURCE = re.compile("[a-z-]{3,}(,[a-z-]{3,})*")
"""The third column of UCSC's database tables, such as `assembly,ensembl`."""
_MOST_COLUMNS = 1000
_MOST_NUMBER, _MOST_NUMBER_PER_LINE = 99, 10
"""The largest number that is the name of a contig: numbers of scaffolds have few gaps."""
_INDEX_COLUMNS = 5
_MOST_SHOWN = 40


class Line(NamedTuple):
    """A line of a table of contig names."""

    number: int
    """From 1."""
    cells: tuple[str, ...]
    """Its columns with names; a cell may be empty."""


@dataclass(frozen=True)
class ChromAlias:
    """The lines of a table of contig names."""

    path: Path
    lines: tuple[Line, ...]
    is_pairs: bool
    """Whether the table has two columns, whose author knows the names of the genome."""

    def of(self, genome: Genome) -> dict[str, str]:
        """Return the contig of a genome for each other name of it.

        The contig of a line is the one that the genome has. If the genome has several names of a
        line, it is the one in the second column, and in a table of two columns the first name
        stands for it too. A cell on the lines of several contigs, such as a source, is not a name.
        Raises BioqError, with the line, for a name with two contigs in a table of two columns,
        if the genome has no contig of the table, and for a table of contig lengths.
        """
        self._refuse_lengths(genome)
        contig_of = self._contigs(self.lines, {name: name for name in genome.lengths})
        rest = [line for line in self.lines if line not in contig_of]
        if all(len(line.cells) <= 2 for line in self.lines):  # 1 = chr1 and chr1 = NC_000001.11
            known, _ = self._names_of_contigs(contig_of, genome)
            contig_of |= self._contigs(rest, known)
            rest = [line for line in rest if line not in contig_of]
        contig_of |= self._contigs(
            rest, _similar(rest, ContigNames(genome), set(contig_of.values()))
        )
        if self.lines and not contig_of:
            raise BioqError(
                f"{self.path}: no line has a contig of {genome.path}: the table has "
                f"{some(self._names())}; the genome has {some(genome.lengths)}; "
                "is it the table of another genome?"
            )
        alias, shared = self._names_of_contigs(contig_of, genome)
        return {name: contig for name, contig in alias.items() if name not in shared}

    def _names_of_contigs(
        self, contig_of: Mapping[Line, str], genome: Genome
    ) -> tuple[dict[str, str], set[str]]:
        """Return the contig of each other name in these lines, the first one if it has several,
        and the names that have several."""
        alias: dict[str, str] = {}
        shared: set[str] = set()
        for line, contig in contig_of.items():
            for name in line.cells:
                if not name or name == contig or (name in genome.lengths and not self.is_pairs):
                    continue
                known = alias.setdefault(name, contig)
                if known == contig:
                    continue
                if self.is_pairs:
                    raise BioqError(
                        f"{self.path}:{line.number}: {name!r} is {contig!r} here and {known!r} "
                        "above; a name can stand for one contig only"
                    )
                shared.add(name)
        return alias, shared

    def _contigs(self, lines: Iterable[Line], contig_of: Mapping[str, str]) -> dict[Line, str]:
        """Return the contigs of the lines that have a name of `contig_of`."""
        contigs = {}
        for line in lines:
            found = {contig_of[name]: None for name in line.cells if name in contig_of}
            if not found:
                continue
            contig = next(iter(found))
            if len(found) > 1:
                second = line.cells[1]
                if second not in contig_of:
                    raise BioqError(
                        f"{self.path}:{line.number}: has {len(found)} contigs of the genome, "
                        f"{some(found)}; a line has names of one contig; remove the other names"
                    )
                contig = contig_of[second]
            contigs[line] = contig
        return contigs

    def _refuse_lengths(self, genome: Genome) -> None:
        """Raise BioqError for a table whose columns after the first are numbers and not names:
        numbers that are names are small, as 23 for X, or part of the other name, as 120 for
        scaffold_120, or names in the genome."""
        others = [cell for line in self.lines for cell in line.cells[1:]]
        if not others or any(len(line.cells) < 2 for line in self.lines):
            return
        if not all(cell.isdecimal() and cell not in genome.lengths for cell in others):
            return
        most = max(_MOST_NUMBER, _MOST_NUMBER_PER_LINE * len(self.lines))
        if any(
            int(cell[: MOST_DIGITS + 1]) > most and not line.cells[0].endswith(cell)
            for line in self.lines
            for cell in line.cells[1:]
        ):
            what = "contig lengths (chrom.sizes)"
            if all(len(line.cells) >= _INDEX_COLUMNS for line in self.lines):
                what = "a FASTA index (.fai)"
            raise BioqError(
                f"{self.path}:{self.lines[0].number}: the columns after the first are numbers: the "
                f"file seems to be {what}, not a table of contig names; expected the names of one "
                "contig per line, separated by tabs"
            )

    def _names(self) -> list[str]:
        """Return the names of the table for a message."""
        return [name[:_MOST_SHOWN] for line in self.lines for name in line.cells if name]


def _similar(lines: Iterable[Line], names: ContigNames, taken: Set[str]) -> dict[str, str]:
    """Return the contigs of the names in lines that `ContigNames` finds, such as 1 for chr1.

    The contigs `taken`, whose exact names are on other lines, are left out.
    """
    numbers = {name: names.find(name) for line in lines for name in line.cells if name}
    contigs = {
        name: names.contigs[number] for name, number in numbers.items() if number is not None
    }
    return {name: contig for name, contig in contigs.items() if contig not in taken}


@contextlib.contextmanager
def open_names(genome: Path, chrom_alias: Path | None = None) -> Iterator[ContigNames]:
    """Open a genome together with other names of its contigs.

    Args:
        genome: FASTA or 2bit, see `open_genome`.
        chrom_alias: Table of names, see `read_chrom_alias`; by default the genome's names only.

    Yields:
        The names; the genome is closed when the block ends.

    Raises:
        BioqError: As `open_genome` and `read_chrom_alias` do.
    """
    aliases = None if chrom_alias is None else read_chrom_alias(chrom_alias)
    with open_genome(genome) as opened:
        yield ContigNames(opened, NO_ALIAS if aliases is None else aliases.of(opened))


def read_chrom_alias(path: str | Path) -> ChromAlias:
    """Read a table of contig names.

    Args:
        path: Tab-separated, one contig per line, or pairs with blanks. Blank lines and lines that
            begin with # have no names.

    Returns:
        The names of each line, which a genome chooses from by its own names.

    Raises:
        BioqError: With the line, for names that are not separated by tabs and for more than 1,000
            columns.
    """
    path = path_to("path", path)
    text = split_lines(read_text(path, "a table of contig names"))
    split = _by_blanks if _has_pairs_by_blanks(text) else _by_tabs
    columns: list[int] | None = None
    lines = []
    for number, line in enumerate(text, start=1):
        cells = split(line)
        if len(cells) > _MOST_COLUMNS:
            raise BioqError(
                f"{path}:{number}: has more than {_MOST_COLUMNS:,} columns; expected the names of "
                "one contig, separated by tabs"
            )
        header = [cells[0].lstrip("# "), *cells[1:]]
        if header[0] in _HEADERS and set(_HEADERS[header[0]]) <= set(header):
            columns = [header.index(name) for name in _HEADERS[header[0]]]
        elif line.strip() and not line.startswith("#"):
            lines.append(Line(number, _names_of(f"{path}:{number}", cells, columns)))
    if not lines:
        say(f"warning: {path}: holds no contig names; expected the names of one contig per line")
    if lines and all(len(line.cells) == 3 and _SOURCE.fullmatch(line.cells[2]) for line in lines):
        return ChromAlias(path, tuple(Line(line.number, line.cells[:2]) for line in lines), False)
    is_pairs = columns is None and all(len(line.cells) <= 2 for line in lines)
    return ChromAlias(path, tuple(lines), is_pairs)


def _by_tabs(line: str) -> list[str]:
    return [cell.strip() for cell in line.rstrip().split("\t", _MOST_COLUMNS)]


def _by_blanks(line: str) -> list[str]:
    return line.split() or [""]


def _has_pairs_by_blanks(lines: Iterable[str]) -> bool:
    """Return whether every line with names has two, separated by blanks and not by a tab, as for
    'bcftools annotate --rename-chrs'."""
    pairs = [line for line in lines if line.strip() and not line.startswith("#")]
    return all("\t" not in line and len(line.split()) == 2 for line in pairs)


def _names_of(where: str, cells: list[str], columns: list[int] | None) -> tuple[str, ...]:
    """Return the names in the cells of a line; `columns` are those that have names, None: all."""
    if len(cells) == 1 and len(cells[0].split()) > 1:
        raise BioqError(
            f"{where}: expected two names separated by a tab (one of them the genome's), found "
            f"{cells[0][:_MOST_SHOWN]!r}"
        )
    if columns is None:
        return tuple(cells)
    chosen = [cells[column] for column in columns if column < len(cells)]
    return tuple("" if cell == _NO_NAME else cell for cell in chosen)
