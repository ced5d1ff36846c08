"""Genomes on disk: FASTA (plain, bgzip or gzip) and 2bit, recognised by their content.

Plain and bgzip FASTA are read in place with the index of htslib, 2bit in place by `twobit`. A
FASTA in plain gzip has no random access, and htslib cannot read a FASTA whose lines differ in
length or contain blanks: both are read once into memory, with two bits per base.
"""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from bioq import dna
from bioq.errors import BioqError, some
from bioq.files.streams import require_file
from bioq.files.text import BYTE_ORDER_MARK, has_bgzip_end, open_content
from bioq.genome.builds import Build, build_of
from bioq.genome.fasta_index import FastaIndex, read_fresh_index
from bioq.genome.fasta_letters import is_lower
from bioq.genome.libraries import pysam
from bioq.genome.named import genome_file
from bioq.genome.notation import Interval
from bioq.genome.packed_fasta import read_packed_fasta
from bioq.genome.runs import Flags
from bioq.genome.twobit import ReadMasked, byte_order, open_twobit
from bioq.options import path_to, text, whole_number
from bioq.progress import say

_EXPECTED = "a genome (FASTA or 2bit)"
_HEAD_BYTES = 1 << 16
# Indexing a larger file takes more than about 2 s.
_LARGE_BYTES = 200_000_000

GenomeFormat = Literal["fasta", "bgzip", "gzip", "2bit"]


class Genome:
    """An open genome; a context manager. `lengths` maps contig name to bases, in file order."""

    def __init__(
        self,
        path: Path,
        lengths: dict[str, int],
        read: Callable[[str, int, int], dna.Bytes],
        close: Callable[[], None],
        letters: Callable[[str, int, int], str] | None = None,
        read_masked: ReadMasked | None = None,
    ):
        self.path = path
        self.lengths = lengths
        self._read = read
        self._close = close
        self._letters = letters
        self._read_masked = read_masked

    @cached_property
    def build(self) -> Build | None:
        """The build, by the lengths of the contigs; None if they are those of no known build."""
        return build_of(self.lengths)

    @property
    def title(self) -> str:
        """The path and, if it is known, the build, for messages: `hg.fa (GRCh38)`."""
        build = self.build
        return str(self.path) if build is None else f"{self.path} ({build.name})"

    def read(self, contig: str, start: int, end: int) -> dna.Bytes:
        """Return the codes of bases. Letters other than A, C, G, T in either case are unknown.

        Args:
            contig: Name of the contig.
            start: First base, 0-based.
            end: Base after the last.

        Returns:
            uint8 `(end - start,)`, 0 to 4; see `dna`.

        Raises:
            BioqError: For an unknown contig or bases outside it.
        """
        self._check_inside(contig, start, end)
        return self._read(contig, start, end)

    def letters(self, contig: str, start: int, end: int) -> str:
        """Return the letters of the bases `start` to `end` as the file has them, in upper case.

        Letters of IUPAC other than A, C, G, T and N are kept, except in 2bit, which has none of
        them.

        Args:
            contig: Name of the contig.
            start: First base, 0-based.
            end: Base after the last.

        Raises:
            BioqError: As `read`.
        """
        self._check_inside(contig, start, end)
        if self._letters is None:
            return dna.decode(self._read(contig, start, end))
        return self._letters(contig, start, end)

    def read_masked(self, contig: str, start: int, end: int) -> tuple[dna.Bytes, Flags]:
        """Return the codes that `read` returns, and whether the file has each base in lower case,
        as it has repeats in a soft-masked genome: bool `(end - start,)`.

        No base is in lower case in a genome that is not a file. Raises BioqError as `read` does.
        """
        self._check_inside(contig, start, end)
        if self._read_masked is None:
            return self._read(contig, start, end), np.zeros(end - start, dtype=bool)
        return self._read_masked(contig, start, end)

    def _check_inside(self, contig: str, start: int, end: int) -> None:
        if text("contig", contig) not in self.lengths:
            raise BioqError(f"{self.path}: has no contig {contig!r}; it has {some(self.lengths)}")
        start, end = whole_number("start", start), whole_number("end", end)
        if not 0 <= start <= end <= self.lengths[contig]:
            raise BioqError(
                f"{self.path}: bases {start:,} to {end:,} of {contig} do not exist; "
                f"it has bases 0 to {self.lengths[contig]:,}"
            )

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        self._close()

    def __enter__(self) -> "Genome":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_genome(path: str | Path) -> Genome:
    """Open a genome.

    An index beside the file (PATH.fai, PATH.gzi) is used if it fits the file and is not older;
    otherwise an index is made in a temporary folder. Nothing is written beside the genome.

    Args:
        path: FASTA (plain, bgzip or gzip) or 2bit, with any file name; or one of UCSC's names, such
            as hg38, which is downloaded once (see `genome_file`).

    Returns:
        The open genome; close it after use, or use it in a `with` block.

    Raises:
        BioqError: For a file that is empty, cut short, not FASTA, or has a contig twice; and for a
            letter that is not DNA: with an index beside the file, when its contig is first read.
    """
    path = path_to("path", path)
    require_file(path, "a genome")
    path = genome_file(path)
    format = _format_of(path)
    if format == "2bit":
        lengths, read, read_masked = open_twobit(path)
        return Genome(path, lengths, read, _nothing, read_masked=read_masked)
    if format in ("fasta", "bgzip"):
        genome = _open_indexed(path, compressed=format == "bgzip")
        if genome is not None:
            return genome
    packed = read_packed_fasta(path)
    if format == "gzip":
        _say_once(
            f"{path}: plain gzip has no random access, so the genome is held in memory "
            f"({packed.bytes / 1e6:,.0f} MB); 'gunzip -c IN.fa.gz | bgzip > OUT.fa.gz' avoids that"
        )
    return Genome(path, packed.lengths, packed.read, _nothing, packed.letters, packed.read_masked)


def _nothing() -> None:
    """Close a genome that has no open file."""


@functools.lru_cache  # a command may open a genome several times
def _say_once(line: str) -> None:
    say(line)


def _format_of(path: Path) -> GenomeFormat:
    """Return the format of a genome file by its first bytes; raise BioqError if it is neither."""
    with open_content(path, _EXPECTED, accepts=["2bit"]) as content:
        head = content.stream.read(_HEAD_BYTES)
        compression = content.compression
    if not head and compression == "none":
        raise BioqError(f"{path}: is empty; expected {_EXPECTED}")
    if byte_order(head) is not None:
        if compression == "none":
            return "2bit"
        raise BioqError(
            f"{path}: is a 2bit genome in {compression}; 2bit is read in place: decompress it "
            "first (gunzip)"
        )
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text:
        raise BioqError(f"{path}: holds nothing; expected {_EXPECTED}")
    if not text.startswith(b">"):
        raise BioqError(
            f"{path}:1: is not FASTA: it begins with {text[:20].decode('ascii', 'replace')!r}, "
            "expected '>' and a contig's name"
        )
    return "fasta" if compression == "none" else compression


def _open_indexed(path: Path, *, compressed: bool) -> Genome | None:
    """Open a FASTA with htslib; None if htslib cannot index it or finds other contigs in it."""
    beside = Path(f"{path}.fai"), Path(f"{path}.gzi")
    with quiet_htslib():
        index = read_fresh_index(path, *beside, compressed=compressed)
    # A file that may be cut short is read completely, not with the index beside it.
    if index is not None and (not compressed or has_bgzip_end(path)):
        return _IndexedFasta(index, *beside, checked=False).genome()
    if path.stat().st_size > _LARGE_BYTES:
        say(
            f"{path}: making its index in a temporary folder; 'samtools faidx' makes a "
            "permanent index"
        )
    with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
        made = Path(folder, "fai"), Path(folder, "gzi")
        with quiet_htslib():
            try:
                pysam.faidx(str(path), "--fai-idx", str(made[0]), "--gzi-idx", str(made[1]))
            except pysam.utils.SamtoolsError:
                return None
            index = read_fresh_index(path, *made, compressed=compressed)
            if index is None or index.irregular(index.entries) is not None:
                return None
        return _IndexedFasta(index, *made, checked=True).genome()


class _IndexedFasta:
    """A FASTA that htslib reads in place. A contig is checked when it is first used: one letter
    that is not DNA moves every base after it."""

    def __init__(self, index: FastaIndex, fai: Path, gzi: Path, *, checked: bool):
        self.path = index.fasta
        self._index = index
        self._fai = fai
        self._checked = set(index.entries) if checked else set()
        try:
            with quiet_htslib():
                self._fasta = pysam.FastaFile(
                    str(index.fasta),
                    filepath_index=str(fai),
                    filepath_index_compressed=None if index.blocks is None else str(gzi),
                )
        except (OSError, ValueError) as error:
            raise BioqError(f"{self.path}: could not be opened as FASTA ({error})") from error

    def genome(self) -> Genome:
        return Genome(
            self.path,
            self._index.lengths,
            self.read,
            self._fasta.close,
            self.read_letters,
            self.read_masked,
        )

    def read(self, contig: str, start: int, end: int) -> dna.Bytes:
        return dna.encode(self._text(contig, start, end))

    def read_masked(self, contig: str, start: int, end: int) -> tuple[dna.Bytes, Flags]:
        letters = self._text(contig, start, end).encode("ascii", "replace")
        return dna.encode(letters), is_lower(np.frombuffer(letters, dtype=np.uint8))

    def read_letters(self, contig: str, start: int, end: int) -> str:
        return self._text(contig, start, end).upper()

    def _text(self, contig: str, start: int, end: int) -> str:
        if contig not in self._checked:
            self._check(contig)
        try:
            text: str = self._fasta.fetch(reference=contig, start=start, end=end)
        except (OSError, ValueError) as error:
            raise self._damaged(contig, start, end) from error
        if len(text) != end - start:
            raise self._damaged(contig, start, end)
        return text

    def _check(self, contig: str) -> None:
        """Raise BioqError unless a contig is DNA in lines as the index describes them."""
        with quiet_htslib():
            irregular = self._index.irregular([contig])
        if irregular is not None:
            read_packed_fasta(self.path)  # names the letter that is not DNA, if there is one
            raise BioqError(
                f"{self.path}: the lines of contig {contig!r} are not as its index {self._fai} "
                "describes (blanks, or line ends of two kinds); remove the index, then BioQ "
                "reads the FASTA without it"
            )
        self._checked.add(contig)

    def _damaged(self, contig: str, start: int, end: int) -> BioqError:
        return BioqError(
            f"{self.path}: {Interval(contig, start, end)} could not be read; the file is "
            "damaged or has changed since it was opened; copy or download it again"
        )


@contextlib.contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing messages of its own to stderr."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
