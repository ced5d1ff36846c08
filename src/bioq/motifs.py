"""Motifs as probability matrices, read from JASPAR releases and MEME files."""

import contextlib
import math
import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError, UsageError, did_you_mean, nearest, shown
from bioq.files import new_file
from bioq.files.text import read_text, split_lines
from bioq.options import found, of_type, path_to, text

Floats = npt.NDArray[np.float64]

DEFAULT_RELEASE = "JASPAR2024"
DEFAULT_TAX_GROUP = "vertebrates"
_TAX_GROUPS = {
    "sacCer3": "fungi",
    "ce10": "nematodes",
    "ce11": "nematodes",
    "dm3": "insects",
    "dm6": "insects",
}
"""Genome build -> JASPAR's group of its species; every other build is a vertebrate's."""

_SUM_TOLERANCE = 0.02  # files give two or more decimals: 3 x 0.33 is 0.99


@dataclass(frozen=True, eq=False)
class Motif:
    """The DNA that a factor binds, as the probability of every base at every position."""

    name: str
    """Name of the factor, such as CTCF."""
    matrix_id: str
    """ID of the matrix, such as MA0139.1."""
    probabilities: Floats
    """`(length, 4)`, order A, C, G, T; every row sums to 1."""

    def __post_init__(self) -> None:
        """Raise BioqError for numbers that are not the probabilities of four bases."""
        matrix = self.probabilities
        is_matrix = isinstance(matrix, np.ndarray) and matrix.dtype.kind == "f"
        if not is_matrix or matrix.ndim != 2 or matrix.shape[1] != 4 or not len(matrix):
            raise BioqError(
                f"motif {self.name!r}: probabilities {found(matrix)}; expected floats (length, 4)"
            )
        if not ((matrix >= 0).all() and (abs(matrix.sum(axis=1) - 1) <= _SUM_TOLERANCE).all()):
            raise BioqError(
                f"motif {self.name!r}: a row is not the probabilities of four bases, with sum 1"
            )

    def __len__(self) -> int:
        return len(self.probabilities)

    def reverse_complement(self) -> "Motif":
        """Return the motif of the opposite strand, read 5' to 3'."""
        return Motif(self.name, self.matrix_id, self.probabilities[::-1, ::-1].copy())

    def information_bits(self) -> Floats:
        """Return the information of every position.

        2 minus the entropy; background uniform, no small-sample correction (Schneider & Stephens
        1990).

        Returns:
            Bits `(length,)`, 0 to 2.
        """
        positive = np.where(self.probabilities > 0, self.probabilities, 1.0)
        bits: Floats = 2 + (positive * np.log2(positive)).sum(axis=1)
        return bits


def jaspar_motifs(
    release: str = DEFAULT_RELEASE,
    *,
    collection: str = "CORE",
    tax_group: str = DEFAULT_TAX_GROUP,
) -> list[Motif]:
    """Read the motifs of a JASPAR release.

    The releases are part of pyjaspar; nothing is downloaded. A probability is the count divided by
    the column's sum, without pseudocounts, as in the MEME files of JASPAR.

    Args:
        release: Such as `JASPAR2024`.
        collection: Collection of the release.
        tax_group: Taxonomic group, such as `vertebrates`.

    Returns:
        The latest version of every motif, ordered by matrix ID.

    Raises:
        UsageError: For an unknown release, collection or taxonomic group, and if
            pyjaspar is not installed.
    """
    text("release", release)
    text("collection", collection)
    text("tax_group", tax_group)
    try:
        from pyjaspar import jaspar_releases, jaspardb
    except ImportError as error:
        raise UsageError(
            "motifs of JASPAR need the package pyjaspar; pip install 'bioq[motifs]', or give a "
            "file in MEME format"
        ) from error
    if release not in jaspar_releases:
        raise UsageError(
            f"JASPAR release {release!r} is unknown; "
            f"{did_you_mean(nearest(release, jaspar_releases))}choose one of "
            f"{', '.join(jaspar_releases)}"
        )
    database = jaspardb(release=release)
    with contextlib.closing(database.conn) as connection:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Zero motifs returned")  # raised as an error below
            fetched = database.fetch_motifs(collection=collection, tax_group=[tax_group])
        if not fetched:
            collections = _column(connection, "SELECT DISTINCT collection FROM MATRIX")
            groups = _column(
                connection, "SELECT DISTINCT val FROM MATRIX_ANNOTATION WHERE tag = 'tax_group'"
            )
            wrong, known = (collection, collections)
            if collection in collections:
                wrong, known = (tax_group, groups)
            raise UsageError(
                f"{release} has no motif of collection {collection!r} and taxonomic group "
                f"{tax_group!r}; {did_you_mean(nearest(wrong, known, most=1))}its collections are "
                f"{', '.join(collections)}, its groups {', '.join(groups)}"
            )
    motifs = [
        Motif(
            motif.name, motif.matrix_id, _normalised(np.array([motif.counts[b] for b in "ACGT"]).T)
        )
        for motif in fetched
    ]
    return sorted(motifs, key=lambda motif: motif.matrix_id)


def danq_jaspar_motifs() -> list[Motif]:
    """Return the 525 motifs from which DanQ-JASPAR starts, in its order.

    They are the 519 motifs of JASPAR CORE 2016 for vertebrates, sorted by matrix ID, then the
    reverse complements of motifs 19 and 97 to 101 of that list, counted from 0: GATA1, REST,
    CTCF, GATA1::TAL1, ESRRB and Pou5f1::Sox2.

    Source: DanQ-JASPAR_train.py of Quang & Xie 2016. Their motifs/DanQ-JASPAR_TOMTOM/tomtom.txt
    shows that the order is by matrix ID: filter 97 still matches REST and filter 98 CTCF, and
    filters 520 and 521 match them on the other strand.
    """
    motifs = jaspar_motifs("JASPAR2016")
    return motifs + [motifs[number].reverse_complement() for number in (19, *range(97, 102))]


def collection_for(build: str) -> str:
    """Choose the motifs for the species of a genome build.

    Args:
        build: Name of the build, such as `sacCer3`; may be empty.

    Returns:
        JASPAR's newest release with a taxonomic group, as `motifs_from` takes it: vertebrates if
        the build is not known.

    Raises:
        UsageError: For a build that is not a text.
    """
    return f"{DEFAULT_RELEASE}:{_TAX_GROUPS.get(text('build', build), DEFAULT_TAX_GROUP)}"


def motifs_from(source: str) -> list[Motif]:
    """Read motifs from a source that is given as text.

    Args:
        source: Path of a file, or a release, which may be followed by a taxonomic group:
            `JASPAR2024`, `JASPAR2024:fungi`.

    Returns:
        The motifs of a MEME file in its order, or those of `jaspar_motifs`.

    Raises:
        UsageError: If the text is neither.
        BioqError: If the file cannot be read.
    """
    if os.path.exists(text("source", source)):
        return read_meme(source)
    release, _, group = source.partition(":")
    if release.upper().startswith("JASPAR"):
        return jaspar_motifs(release.upper(), tax_group=group or DEFAULT_TAX_GROUP)
    raise UsageError(
        f"motifs {source!r}: neither a file nor a JASPAR release; expected the path of a MEME "
        f"file, or a release such as {DEFAULT_RELEASE} or {DEFAULT_RELEASE}:fungi"
    )


def read_meme(path: str | Path) -> list[Motif]:
    """Read the motifs of a file in MEME's text format, minimal or full.

    Args:
        path: The file.

    Returns:
        The motifs in file order; their `probabilities` are `(length, 4)`.

    Raises:
        BioqError: If the file is not in this format, not of DNA, or has no motif, or two of one ID.
    """
    # Bio.motifs would round the probabilities to counts of `nsites`.
    path = path_to("path", path)
    lines = split_lines(read_text(path, "motifs in MEME format"))
    if not any(line.startswith("MEME version") for line in lines):
        raise BioqError(f"{path}: is not in MEME format: it has no line 'MEME version ...'")
    motifs: list[Motif] = []
    line_of: dict[str, int] = {}
    matrix_id, name, named_in = "", "", 0
    for number, line in enumerate(lines, start=1):
        words = line.split(maxsplit=3)
        if line.startswith("ALPHABET"):
            _check_alphabet(line, f"{path}:{number}")
        elif words[:1] == ["MOTIF"]:
            matrix_id = words[1] if len(words) > 1 else f"motif {len(motifs) + 1}"
            name = words[2] if len(words) > 2 else matrix_id
            named_in = number
        elif line.startswith("letter-probability matrix:"):
            if matrix_id in line_of:
                raise _twice(path, matrix_id, line_of[matrix_id], named_in, number)
            line_of[matrix_id] = named_in
            below = (lines[index] for index in range(number, len(lines)))
            motifs.append(Motif(name, matrix_id, _matrix(below, f"{path}:{number}", line)))
    if not motifs:
        raise BioqError(f"{path}: holds no motif; expected lines 'letter-probability matrix: ...'")
    return motifs


def _twice(path: Path, matrix_id: str, first: int, second: int, matrix: int) -> BioqError:
    """Return the error for the matrix of a motif that has one; lines are counted from 1.

    MEME's format asks for one identifier per motif: tables and programs name motifs by it.
    """
    if first == second:
        return BioqError(
            f"{path}:{matrix}: is a second matrix under one line MOTIF; expected a line 'MOTIF ID' "
            "before each matrix"
        )
    return BioqError(
        f"{path}:{second}: the motif ID {shown(matrix_id)} is in line {first} too; expected a "
        "different ID for each motif: change or remove one of the two"
    )


def _check_alphabet(line: str, where: str) -> None:
    """Raise BioqError unless the line is `ALPHABET= ACGT` or `ALPHABET "DNA" ...`."""
    given = line.removeprefix("ALPHABET").lstrip("= ").strip()
    if given != "ACGT" and "DNA" not in given:
        raise BioqError(f"{where}: the alphabet is {given!r}; expected DNA, 'ALPHABET= ACGT'")


def _matrix(lines: Iterable[str], where: str, header: str) -> Floats:
    """Read the rows that follow a line `letter-probability matrix: alength= 4 w= 8 ...`."""
    rows = np.fromiter(chain.from_iterable(_rows(lines)), np.float64).reshape(-1, 4)
    width = header.partition("w=")[2].split(maxsplit=1)[:1]
    if width and width[0].isdecimal() and width[0].lstrip("0") != str(len(rows)):
        raise BioqError(
            f"{where}: the matrix has {len(rows)} rows of four numbers, but its first line has "
            f"w= {width[0]}; the file is damaged"
        )
    if not len(rows):
        raise BioqError(f"{where}: the matrix has no rows; expected four numbers per position")
    with np.errstate(over="ignore"):
        wrong = (rows < 0).any(axis=1) | (abs(rows.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BioqError(
            f"{where}: row {row + 1} of the matrix is {' '.join(f'{p:g}' for p in rows[row])}; "
            "expected four probabilities with sum 1"
        )
    return _normalised(rows)


def _rows(lines: Iterable[str]) -> Iterator[list[float]]:
    """Yield rows of four finite numbers, up to the first line that is not such a row."""
    for line in lines:
        try:
            row = [float(word) for word in line.split(maxsplit=4)]
        except ValueError:
            return
        if len(row) != 4 or not all(map(math.isfinite, row)):
            return
        yield row


def _normalised(matrix: Floats) -> Floats:
    rows: Floats = matrix / matrix.sum(axis=1, keepdims=True)
    return rows


def _column(connection: sqlite3.Connection, query: str) -> list[str]:
    return sorted(value for (value,) in connection.execute(query))


def write_meme(path: Path, motifs: Sequence[Motif], sites: Sequence[int]) -> None:
    """Write motifs in MEME's minimal text format.

    Args:
        path: File to write.
        motifs: The motifs.
        sites: Number of sites of each motif.

    Raises:
        UsageError: If these are not equally many.
    """
    path = path_to("path", path)
    for name, items in {"motifs": motifs, "sites": sites}.items():
        of_type(name, items, Sequence, "a list")
    for motif in motifs:
        of_type("an item of motifs", motif, Motif, "bioq.motifs.Motif")
    if len(motifs) != len(sites):
        raise UsageError(f"{len(sites):,} sites for {len(motifs):,} motifs; expected one for each")
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    for motif, count in zip(motifs, sites, strict=True):
        lines += [
            f"MOTIF {motif.matrix_id} {motif.name}",
            f"letter-probability matrix: alength= 4 w= {len(motif)} nsites= {count} E= 0",
            *(" ".join(f"{p:.6f}" for p in row) for row in motif.probabilities),
            "",
        ]
    with new_file(path) as partial:
        partial.write_text("\n".join(lines), encoding="utf-8")
