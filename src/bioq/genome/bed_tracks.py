"""The `track` lines of a BED file: the build and the type that they name.

Source: UCSC, "Displaying your own annotations in the Genome Browser", track lines.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bioq.genome.bed_lines import is_interval
from bioq.genome.builds import build_named
from bioq.genome.fasta import Genome

_DB = re.compile(rb"track\s.*\bdb=[\"']?([A-Za-z0-9._-]+)")
_TYPE = re.compile(rb"track\s.*\btype=[\"']?(bedGraph|wiggle_?0?)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Tracks:
    """What the track lines before the first interval of a file name."""

    db: str = ""
    """UCSC's name of a build, such as hg19; empty if there is none."""
    line: int = 0
    """The line of `db`, counted from 1."""
    is_signal: bool = False
    """Whether the type is bedGraph or wiggle: a value for every interval."""

    def about_build(self, label: str | Path, genome: Genome, what: str) -> str:
        """Return a warning if the file named `label` is of another build than a genome; or nothing.

        `what` are the file's intervals, in plural.
        """
        named, build = build_named(self.db) if self.db else None, genome.build
        if named is None or build is None or named.has_chromosomes_of(build):
            return ""
        return (
            f"warning: {label}:{self.line}: the track line says {named.name}, {genome.path} is "
            f"{build.name}; check that the {what} are those of the genome"
        )


def tracks_of(lines: Iterable[bytes]) -> Tracks:
    """Return the tracks of the lines up to the first interval."""
    db, line_of_db, is_signal = "", 0, False
    for number, line in enumerate(lines, start=1):
        if is_interval(line):
            break
        match = _DB.match(line)
        if match is not None and not db:
            db, line_of_db = match[1].decode(), number
        is_signal = is_signal or _TYPE.match(line) is not None
    return Tracks(db, line_of_db, is_signal)
