"""The lines of a VCF as they are in the file, for an output that copies them.

Only what VCF does not have changes: line ends become `\\n`, empty lines are left out, and a file
without a header, or with fewer than eight columns, gets them.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bioq.errors import BioqError, short
from bioq.files.text import bounded_lines, open_content, too_long
from bioq.genome.fasta import quiet_htslib
from bioq.genome.libraries import pysam

INFO = 7
"""The index of the column INFO."""
_FIXED = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")
_COLUMNS_LINE = re.compile(rb"#CHROM\t", re.IGNORECASE)
_CONTIG_ID = re.compile(rb'##contig=<(?:[^"]*,)?ID=([^,>]+)', re.IGNORECASE)

Line = tuple[bytes, bool]
"""A line with its end, and whether only its beginning was read: see `bounded_lines`."""


@dataclass
class VcfLines:
    """An open VCF: the lines of its header, then its records."""

    label: str
    header: list[bytes]
    """Without line ends; the last is the line of the columns, which has eight or more."""
    _lines: Iterator[tuple[str, Line]] = field(repr=False)
    skipped: int = 0
    """Lines of a header after the first record, so far; they are in no record."""

    def records(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield (FILE:LINE, cells) of every record: eight columns, then the rest of the line, if
        there is more, as one cell. Columns that a line does not have are `.`."""
        for where, (line, is_cut) in self._lines:
            if line.startswith(b"#"):
                self.skipped += 1
            elif not line.isspace():
                if is_cut:
                    raise too_long(where)
                cells = line.rstrip(b"\n").split(b"\t", len(_FIXED))
                yield where, cells + [b"."] * (len(_FIXED) - len(cells))


@contextlib.contextmanager
def open_vcf_lines(path: Path, label: str) -> Iterator[VcfLines]:
    """Yield the lines of a VCF that `read_variants` has read without an error.

    Raises BioqError if the columns after ALT are not those of a VCF, or are not named.
    """
    with open_content(path, "VCF", label=label) as content:
        numbered = enumerate(bounded_lines(content.text()), start=1)
        lines = ((f"{label}:{number}", line) for number, line in numbered)
        header: list[bytes] = []
        rest: Iterator[tuple[str, Line]] = iter(())
        for where, (line, is_cut) in lines:
            if not line.startswith(b"#"):
                rest = chain([(where, (line, is_cut))], lines)
                if not line.isspace():
                    break
            elif is_cut:
                raise too_long(where)
            else:
                header.append(line.rstrip(b"\n"))
        else:
            rest, line = iter(()), b""
        yield VcfLines(label, _completed(label, header, line), rest)


@contextlib.contextmanager
def open_bcf_lines(path: Path, label: str) -> Iterator[VcfLines]:
    """Yield the lines of a BCF that `read_variants` has read without an error, as htslib writes
    them."""
    with quiet_htslib(), pysam.VariantFile(str(path), ignore_truncation=True) as file:
        header = str(file.header).encode().splitlines()
        lines = (
            (f"{label}: record {number}", (str(record).encode(), False))
            for number, record in enumerate(file, start=1)
        )
        yield VcfLines(label, header, lines)


def _completed(label: str, header: list[bytes], first: bytes) -> list[bytes]:
    """Return a header with the lines that a VCF must have; `first` is the first record."""
    columns = next((line for line in header if _COLUMNS_LINE.match(line)), None)
    if columns is None:
        count = first.rstrip(b"\n").count(b"\t") + 1
        if count > len(_FIXED):
            raise BioqError(
                f"{label}: has no line #CHROM, and its lines have {count:,} columns, which only "
                "that line names; put the line before the records"
            )
        columns = b"\t".join(_FIXED)
    names = columns.split(b"\t")
    if any(name != expected for name, expected in zip(names[5:], _FIXED[5:], strict=False)):
        found = short(" ".join(name.decode("utf-8", "replace") for name in names[5:8]))
        raise BioqError(
            f"{label}: the columns after ALT are {found!r}; expected QUAL FILTER INFO, because new "
            "fields are written into INFO: bring the columns into the order of a VCF"
        )
    names += _FIXED[len(names) :]
    described = [line for line in header if line is not columns and not _COLUMNS_LINE.match(line)]
    if not (described and described[0].startswith(b"##fileformat=")):
        described.insert(0, b"##fileformat=VCFv4.3")
    return [*described, b"\t".join(names)]


def with_lines(header: Sequence[bytes], lines: Sequence[bytes]) -> list[bytes]:
    """Return a header with more lines, before the line of the columns."""
    return [*header[:-1], *lines, header[-1]]


def missing_contigs(header: Sequence[bytes], lengths: Mapping[str, int | None]) -> list[bytes]:
    """Return the lines of contigs, {name: bases, or None}, that a header does not have."""
    known = {match[1] for line in header if (match := _CONTIG_ID.match(line))}
    return [
        f"##contig=<ID={name}{'' if bp is None else f',length={bp}'}>".encode()
        for name, bp in lengths.items()
        if name.encode() not in known
    ]
