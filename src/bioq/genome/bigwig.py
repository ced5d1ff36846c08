"""bigWig tracks, such as conservation: a value for each allele."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bioq.errors import BioqError, UsageError, reason_of, some
from bioq.files import sha256
from bioq.genome import ContigNames
from bioq.genome.builds import bare_name, compare_lengths
from bioq.genome.libraries import pyBigWig

_KINDS = ((0x888FFC26).to_bytes(4, "little"), (0x888FFC26).to_bytes(4, "big"))
"""The first bytes of a bigWig, in the two orders of bytes."""


@dataclass(frozen=True)
class Track:
    """An open bigWig."""

    path: Path
    name: str
    """The file's name without its ending."""
    sha256: str
    file: Any
    contigs: Mapping[str, str]
    """Contig of the genome -> contig of the track."""

    def value(self, contig: str, start: int, end: int) -> float:
        """Return the mean of the track on the bases start to end; NaN where it has no value.

        Raises BioqError if the file is damaged there.
        """
        name = self.contigs.get(contig)
        end = min(end, 0 if name is None else self.file.chroms(name))
        if start >= end:  # the track may have the beginning of the contig only
            return float("nan")
        try:
            values = np.array(self.file.values(name, start, end))
        except (RuntimeError, OverflowError) as error:
            raise damaged_bigwig(self.path) from error
        known = values[np.isfinite(values)]
        return float(known.mean()) if len(known) else float("nan")


@contextlib.contextmanager
def open_tracks(paths: Sequence[Path], names: ContigNames) -> Iterator[list[Track]]:
    """Yield the bigWigs of `paths`, in their order.

    Raises BioqError for a file that is not a bigWig, has no contig of the genome, or has a contig
    of another length than the genome, and UsageError for two files of one name.
    """
    stems = [path.name.rsplit(".", 1)[0] for path in paths]
    for stem in stems:
        if stems.count(stem) > 1:
            raise UsageError(
                f"--track: two files are called {stem!r}, by which they are named in the result; "
                "rename one of them"
            )
    with contextlib.ExitStack() as stack:
        tracks = []
        for path, stem in zip(paths, stems, strict=True):
            file = open_bigwig(path)
            stack.callback(file.close)
            tracks.append(Track(path, stem, sha256(path), file, _contigs(path, file, names)))
        yield tracks


def open_bigwig(path: Path) -> Any:
    """Return an open bigWig, to be closed. Raises BioqError for any other file."""
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError as error:
        raise BioqError(f"{path}: could not be read: {reason_of(error)}; expected a bigWig") from (
            error
        )
    if head not in _KINDS:
        raise BioqError(
            f"{path}: is not a bigWig; 'wigToBigWig' or 'bedGraphToBigWig' of UCSC makes one"
        )
    try:
        file = pyBigWig.open(str(path))
        file.chroms()
    except (RuntimeError, OverflowError) as error:
        raise damaged_bigwig(path) from error
    return file


def damaged_bigwig(path: Path) -> BioqError:
    """Return the error of a bigWig that cannot be read to its end."""
    return BioqError(f"{path}: the bigWig is damaged or cut short; copy it again")


def _contigs(path: Path, file: Any, names: ContigNames) -> dict[str, str]:
    """Return {contig of the genome: contig of the track}."""
    lengths: Mapping[str, int] = file.chroms()
    found: dict[str, str] = {}
    for name, bp in lengths.items():
        number = names.find(name)
        if number is None:
            continue
        contig = names.contigs[number]
        genome_bp = names.genome.lengths[contig]
        if compare_lengths(bare_name(contig), bp, genome_bp) == "different":
            raise BioqError(
                f"{path}: {name} has {bp:,} bases, and {genome_bp:,} in {names.genome.path.name}; "
                "give a track of the same genome build"
            )
        found.setdefault(contig, name)
    if not found:
        raise BioqError(f"{path}: has no contig of {names.genome.title}; it has {some(lengths, 3)}")
    return found
