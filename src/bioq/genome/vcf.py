"""The variants of a VCF or BCF: the first five columns, streamed.

VCF text (plain, gzip or bgzip; a file or standard input) has a reader here that names the line of
an error; BCF is read by htslib. Positions are those of the file, **1-based**.
"""

import contextlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Container, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from bioq import dna
from bioq.errors import BioqError
from bioq.files.streams import is_stream, stored
from bioq.files.text import bounded_lines, has_bgzip_end, open_content, too_long
from bioq.genome.fasta import quiet_htslib
from bioq.genome.libraries import pysam
from bioq.genome.notation import correction, parse_variant
from bioq.genome.vcf_header import VcfHeader
from bioq.genome.vcf_tables import (
    COLUMNS,
    SAMPLED_ALLELES,
    hint,
    is_names,
    not_vcf,
    other_format,
    other_table,
    refuse_joined,
    refuse_joined_header,
    refuse_names,
)
from bioq.progress import Advance, progress

_Value = TypeVar("_Value")
BCF_MAGIC = b"BCF\x02"
_MOST_CELLS = 10_000
_ADVANCE_EVERY = 1 << 14
_CHECKED_BYTES = 1 << 20
# VCF 4.3, section 1.4.7; SAM has the same rule for the names of references.
_NAME = r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*"
# VCF 4.3, section 1.6.1: <ID> is a contig of the header's assembly file.
_CONTIG = re.compile(f"{_NAME}|<{_NAME}>")
# VCF 4.3, section 1.3: integers have 32 bits. A number may be written with leading zeros.
_LAST_POS = (1 << 31) - 1
_POS_DIGITS = 40
# Bases and IUPAC codes; lower case is allowed: VCF 4.3, section 1.6.1.
_BASES = re.compile(f"[{dna.IUPAC}U]+", re.IGNORECASE)
# "*": removed by an upstream deletion; ".": no allele; "<ID>": symbolic; and breakends.
_OTHER_ALT = re.compile(r"\*|\.|<[^<>\s]+>|[^\s,]*[\[\]][^\s,]*|\.[A-Za-z]+|[A-Za-z]+\.")


@dataclass(frozen=True, slots=True)
class Variant:
    """An allele of a record; a record without ALT gives an allele with alt "."."""

    where: str
    """FILE:LINE (BCF: file and record), for messages."""
    chrom: str
    pos: int
    """1-based, as in the file."""
    id: str
    """As in the file; "." if there is no ID."""
    ref: str
    alt: str
    contig_bp: int | None = None
    """Bases of the contig, if the file gives them: see `VcfHeader.length_of`."""


def is_bases(allele: str) -> bool:
    """Return whether an allele is spelled in bases or IUPAC codes."""
    return _BASES.fullmatch(allele) is not None


def read_variants(
    path: str | Path,
    *,
    label: str = "",
    header: VcfHeader | None = None,
    may_be_empty: bool = False,
    advance: Advance | None = None,
) -> Iterator[Variant]:
    """Yield every allele of a VCF or BCF in file order; "-" is standard input.

    `label` is the name of the file in messages, by default its path. The lines of the file's header
    are added to `header` before the first allele.
    Raises BioqError, with the line, at the first malformed line, and for a file without a record;
    with `may_be_empty` only if it has no line #CHROM either. `advance`: see `open_content`.
    """
    path = Path(path)
    header = VcfHeader() if header is None else header
    with open_content(path, "VCF or BCF", label=label, accepts=["BCF"], advance=advance) as content:
        head = content.stream.peek(len(BCF_MAGIC))
        if not head and content.compression == "none":
            raise BioqError(f"{content.label}: is empty; expected VCF or BCF")
        if head.startswith(BCF_MAGIC):
            file = stored(path)
            stream = content.stream if is_stream(file) else None
            if (
                stream is None
                and content.compression == "bgzip"
                and not has_bgzip_end(file, content.label)
            ):
                while content.stream.read(_CHECKED_BYTES):  # raises BioqError if it is cut short
                    pass
            records = yield from _read_bcf(file, content.label, stream, header)
        else:
            alleles = _read_text(content.label, content.text(), header)
            records = (yield from refuse_other_tables(alleles, header)) or 0
        if not records and not (may_be_empty and header.columns):
            raise BioqError(f"{content.label}: holds no variants; expected a record per variant")


@dataclass(frozen=True)
class VcfContent:
    """The size, the contigs and the header of a VCF or BCF."""

    alleles: int
    contigs: tuple[str, ...]
    """The contigs with alleles, in order of appearance."""
    header: VcfHeader


def survey_variants(path: str | Path, *, label: str = "", may_be_empty: bool = False) -> VcfContent:
    """Check every line of a VCF or BCF, and count its alleles.

    Raises the errors of `read_variants`.
    """
    alleles = 0
    contigs: dict[str, None] = {}
    header = VcfHeader()
    with progress("check the variants", None, "alleles") as advance:
        for variant in read_variants(path, label=label, header=header, may_be_empty=may_be_empty):
            contigs[variant.chrom] = None
            alleles += 1
            if alleles % _ADVANCE_EVERY == 0:
                advance(_ADVANCE_EVERY)
    return VcfContent(alleles, tuple(contigs), header)


def _read_text(name: str, text: BinaryIO, header: VcfHeader) -> Generator[Variant, None, int]:
    """Yield the alleles of a VCF, and return the number of its records."""
    records = columns = 0
    contig, contig_bp = "", None
    for number, (line, is_cut) in enumerate(bounded_lines(text), start=1):
        where = f"{name}:{number}"
        if line.startswith(b"#"):
            _read_header_line(where, line, header)
            contig = ""  # its length may have changed
            columns = header.columns or columns
            continue
        if line.isspace():
            continue
        cells = line.split(b"\t", 5)
        if is_cut and len(cells) < 6:
            raise too_long(where)
        if len(cells) < 5 or not cells[1].isdigit():
            refuse_names(where, _texts(line), number)
        if len(cells) < 5:
            raise _few_columns(where, line)
        count = _count_columns(line, columns)
        if count != columns:
            refuse_joined(where, _texts(line), count, {columns, header.columns})
        columns = count
        try:
            chrom, pos, ids, ref, alts = b"\t".join(cells[:5]).decode("utf-8").split("\t")
        except UnicodeDecodeError as error:
            raise BioqError(f"{where}: is not UTF-8 text; expected VCF") from error
        if chrom != contig:
            contig, contig_bp = chrom, header.length_of(chrom)
        yield from check_record(where, chrom, pos, ids, ref, alts.rstrip("\r\n"), contig_bp)
        records += 1
    return records


def _read_header_line(where: str, line: bytes, header: VcfHeader) -> None:
    if line.count(b"\t") > 3:
        refuse_joined_header(where, _texts(line))
    if line.startswith(b"#CHROM"):
        _check_columns(where, line)
    header.add_line(line)


def refuse_other_tables(
    alleles: Generator[Variant, None, _Value], header: VcfHeader
) -> Generator[Variant, None, _Value | None]:
    """Yield the alleles of a file, and return the value of `alleles`; None if there is no allele.

    Raises BioqError, before the first allele, if the file has no header and all of its alleles (the
    first `SAMPLED_ALLELES` of them) are those of another table; see `vcf_tables`. `header` has the
    lines before the first allele.
    """
    held: list[Variant] = []
    tables: set[str] = set()
    """What the alleles so far may be of; empty text: of a VCF."""
    for allele in alleles:
        held.append(allele)
        tables.add("" if header.is_vcf else other_table(allele.pos, allele.id, allele.ref))
        if "" in tables or len(tables) > 1 or len(held) == SAMPLED_ALLELES:
            break
    if not held:
        return None
    if "" not in tables and len(tables) == 1:
        raise not_vcf(held[0].where, tables.pop())
    yield from held
    return (yield from alleles)


def _count_columns(line: bytes, expected: int) -> int:
    """Return the number of columns of a line; empty columns at its end do not count, unless there
    are as many as `expected`."""
    count = line.count(b"\t") + 1
    return count if count == expected else line.rstrip().count(b"\t") + 1


def _texts(line: bytes) -> list[str]:
    """Return the cells of a line; those after the first `_MOST_CELLS` as one, to save memory."""
    cells = line.rstrip(b"\r\n").split(b"\t", _MOST_CELLS)
    return [cell.decode("utf-8", "replace") for cell in cells]


def _few_columns(where: str, line: bytes) -> BioqError:
    """Return the error for a line with fewer than five columns."""
    text = line.decode("utf-8", "replace").strip()
    ending = ""
    if len(text.split()) == 1:
        variant = parse_variant(text)
        columns = f"write the columns of '{variant}', separated by tabs"
        ending = correction(text) if variant is None else columns
    ending = other_format(text) or ending
    for name, cells in (("blanks", text.split()), ("commas", text.split(","))):
        if len(cells) >= len(COLUMNS) and (is_names(cells) or any(map(str.isdigit, cells[1:4]))):
            ending = f"this line has {len(cells)} separated by {name}: write tabs"
    return BioqError(
        f"{where}: has {len(_texts(line))} tab-separated columns; a VCF line has at least five: "
        f"{' '.join(COLUMNS)}{'; ' if ending else ''}{ending}"
    )


def _check_columns(where: str, line: bytes) -> None:
    columns = line.decode("utf-8", "replace").strip("#\r\n").split("\t")
    if tuple(columns[:5]) != COLUMNS:
        raise BioqError(
            f"{where}: the columns are {' '.join(columns[:5])[:60]!r}; "
            f"expected {' '.join(COLUMNS)}, separated by tabs"
        )


def check_record(
    where: str,
    chrom: str,
    pos: str,
    ids: str,
    ref: str,
    alts: str,
    contig_bp: int | None = None,
    *,
    contigs: Container[str] = (),
) -> Iterator[Variant]:
    """Yield the alleles of a record, after a check of its columns.

    `contigs` are names that are correct, also with letters that VCF does not allow.
    Raises BioqError, which begins with `where`, for a malformed column.
    """
    if _CONTIG.fullmatch(chrom) is None and chrom not in contigs:
        raise BioqError(
            f"{where}: CHROM is {chrom[:40]!r}; expected a contig's name: letters, digits and "
            "!#$%&*+./:;=?@^_|~- (the first is not * or =), or <NAME>"
        )
    position = parse_pos(where, pos)
    if not (ids.isprintable() and alts.isprintable()):
        column, cell = ("ALT", alts) if ids.isprintable() else ("ID", ids)
        raise BioqError(f"{where}: {column} is {cell[:40]!r}; expected no control characters")
    if _BASES.fullmatch(ref) is None:
        ending = hint(position, ids, ref, alts)
        raise BioqError(f"{where}: REF is {ref[:40]!r}; expected bases (A, C, G, T, N){ending}")
    for alt in alts.split(","):
        if _BASES.fullmatch(alt) is None and _OTHER_ALT.fullmatch(alt) is None:
            raise BioqError(
                f"{where}: ALT has the allele {alt[:40]!r}; expected bases, *, <ID>, a breakend, "
                f"or . for no allele, separated by commas{hint(position, ids, ref, alt)}"
            )
        yield Variant(where, chrom, position, ids or ".", ref, alt, contig_bp)


def parse_pos(where: str, pos: str) -> int:
    """Return the number of a column POS. Raises BioqError, which begins with `where`."""
    if not (pos.isascii() and pos.isdigit() and len(pos) <= _POS_DIGITS and int(pos) <= _LAST_POS):
        raise BioqError(
            f"{where}: POS is {pos[:40]!r}; expected a whole number from 0 to {_LAST_POS}"
            f"{', as the columns are ' + ' '.join(COLUMNS) if pos[:1].isalpha() else ''}"
        )
    return int(pos)


def _read_bcf(
    path: Path, label: str, stream: BinaryIO | None, header: VcfHeader
) -> Generator[Variant, None, int]:
    """Yield the alleles of a BCF, and return the number of its records.

    htslib needs a file, so a stream is copied into a file.
    """
    with contextlib.ExitStack() as stack:
        file_name = str(path)
        if stream is not None:
            copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bioq-", suffix=".bcf"))
            file_name = copy.name
            with pysam.BGZFile(file_name, "wb", None) as packed:
                shutil.copyfileobj(stream, packed)
        number = 0
        stack.enter_context(quiet_htslib())
        try:
            with warnings.catch_warnings(action="ignore"):  # `has_bgzip_end` has warned
                opened = pysam.VariantFile(file_name, ignore_truncation=True)
            with opened as file:  # closing a damaged file fails too
                for line in str(file.header).splitlines():
                    header.add_line(line.encode())
                for number, record in enumerate(file, start=1):
                    alts = ",".join(record.alts or (".",))
                    where = f"{label}: record {number}"
                    yield from check_record(
                        where,
                        record.chrom,
                        str(record.pos),
                        record.id or ".",
                        record.ref or "",
                        alts,
                        header.length_of(record.chrom),
                    )
        except (OSError, ValueError, NotImplementedError) as error:
            raise BioqError(
                f"{label}: the BCF is damaged or cut short after record {number} "
                f"({' '.join(str(error).split())}); copy or download it again"
            ) from error
        return number
