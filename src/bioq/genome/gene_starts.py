"""Starts of transcription, and the distance of a position to the nearest of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError, shown
from bioq.files.text import open_content
from bioq.genome import ContigNames

_STRANDS = (b"+", b"-")
_MOST_DIGITS = 18
"""A position with more digits is in no genome, and may be too large to be converted."""
_EXPECTED = "genes: GTF, GFF or BED with six columns (contig, start, end, name, score, strand)"


@dataclass(frozen=True)
class Starts:
    """Starts of transcription on a genome."""

    of_contig: dict[str, npt.NDArray[np.int64]]
    """Contig of the genome -> sorted positions, 0-based."""

    def distance(self, contig: str, position: int) -> float:
        """Return the bases to the nearest start on the contig; NaN if the contig has none."""
        starts = self.of_contig.get(contig)
        if starts is None:
            return float("nan")
        after = int(np.searchsorted(starts, position))
        return float(np.abs(starts[max(after - 1, 0) : after + 1] - position).min())


def read_starts(path: Path, names: ContigNames) -> Starts:
    """Read the starts of transcription of GTF, GFF or BED, compressed or not.

    Of GTF and GFF: of the transcripts, or of the genes if it has no transcripts. Of BED: of every
    line. The start is the first base on the strand of the gene. Raises BioqError, with the line,
    for a line that is in none of these formats, and if no line is on a contig of the genome.
    """
    found: dict[str, dict[str, list[int]]] = {}
    for contig, feature, position in _lines(path):
        number = names.find(contig)
        if number is not None:
            starts = found.setdefault(feature, {})
            starts.setdefault(names.contigs[number], []).append(position)
    for feature in ("transcript", "mRNA", "gene"):
        if feature in found:
            return Starts({name: np.unique(each) for name, each in found[feature].items()})
    raise BioqError(
        f"{path}: has no transcript and no gene on a contig of {names.genome.title}; "
        f"expected {_EXPECTED}"
    )


def _lines(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (contig, feature, start of transcription) of every line; a line of BED is a
    transcript."""
    with open_content(path, _EXPECTED) as content:
        for number, line in enumerate(content.text(), start=1):
            if line.startswith((b"#", b"track", b"browser")) or line.isspace():
                continue
            where, cells = f"{content.label}:{number}", line.rstrip(b"\r\n").split(b"\t")
            contig = cells[0].decode("utf-8", "replace")
            if len(cells) >= 8 and _are_positions(cells[3:5]):
                if cells[6] in _STRANDS:
                    at = int(cells[3]) if cells[6] == b"+" else int(cells[4])
                    yield contig, cells[2].decode("utf-8", "replace"), at - 1
            elif len(cells) >= 6 and _are_positions(cells[1:3]):
                if cells[5] not in _STRANDS:
                    found = shown(cells[5].decode("utf-8", "replace"))
                    raise BioqError(
                        f"{where}: the sixth column is {found}; expected the strand, + or -"
                    )
                at = int(cells[1]) if cells[5] == b"+" else int(cells[2]) - 1
                yield contig, "transcript", at
            else:
                raise BioqError(f"{where}: is not a line of {_EXPECTED}")


def _are_positions(cells: list[bytes]) -> bool:
    return all(cell.isdigit() and len(cell) <= _MOST_DIGITS for cell in cells)
