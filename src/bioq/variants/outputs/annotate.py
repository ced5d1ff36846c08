"""`--annotate`: the VCF or BCF that came in, each record unchanged but for new INFO fields."""

import contextlib
import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy.typing as npt

from bioq.errors import BioqError, UsageError, some
from bioq.files import new_file
from bioq.files.text import open_content
from bioq.genome.bcf_records import BcfWriter, read_records, with_info
from bioq.genome.fasta import quiet_htslib
from bioq.genome.libraries import pysam
from bioq.genome.vcf import BCF_MAGIC
from bioq.genome.vcf_lines import (
    INFO,
    VcfLines,
    missing_contigs,
    open_bcf_lines,
    open_vcf_lines,
    with_lines,
)
from bioq.progress import progress, say
from bioq.tables import Columns, Layout, Scores, named_errors
from bioq.tables.text import BgzipFile
from bioq.variants.outputs.annotation_fields import (
    InfoField,
    as_text,
    as_values,
    info_fields,
)

ENDINGS = (".vcf", ".vcf.gz", ".bcf")
Lengths = Mapping[str, int | None]
_FIELD_ID = re.compile(rb'^##INFO=<(?:[^"]*,)?ID=(BIOQ_[^,>]+)')
_OLD_FIELD = re.compile(rb"(?:^|;)(BIOQ_[^=;]+)")
_MOST_REMOVED = 20
_ADVANCE_EVERY = 1 << 12

Allele = tuple[Any, ...]
"""The values of the fields of an allele."""


@dataclass(frozen=True)
class _Record:
    """A record of the input: what identifies it, and the record itself."""

    where: str
    chrom: str
    pos: int
    ref: str
    alts: Sequence[str]
    raw: Any


class _Copy(Protocol):
    """The records of an input, and an output that takes them back with their new fields."""

    def records(self) -> Iterator[_Record]: ...

    def write(self, record: _Record, alleles: Sequence[Allele]) -> None: ...

    def close(self) -> None: ...


def require_annotatable(out: Path) -> None:
    """Raise UsageError if the name of an output is not that of a VCF or BCF."""
    if not out.name.lower().endswith(ENDINGS):
        raise UsageError(
            f"{out}: --annotate writes a VCF or BCF; expected a name that ends in "
            f"{', '.join(ENDINGS)}"
        )


@contextlib.contextmanager
def open_annotated(
    out: Path, layout: Layout, source: tuple[Path, str] | None, contigs: Lengths
) -> Iterator["AnnotatedRows"]:
    """Yield rows that become a copy of a VCF or BCF with a field for each of `info_fields`.

    `source` is the file of the alleles, and its name in messages.
    Raises UsageError if the alleles are not those of a file, and BioqError if the input cannot
    take the fields.
    """
    if source is None:
        raise UsageError(
            "--annotate copies the records of a VCF, and the variants are typed; without "
            "--annotate, an output that ends in .vcf has one line per allele"
        )
    name = out.name.lower()
    fields = info_fields(layout)
    with new_file(out) as partial, named_errors(out), contextlib.ExitStack() as stack:
        copy, render = _open_copy(stack, partial, name, source, fields, contigs)
        with contextlib.closing(copy):
            rows = AnnotatedRows(copy, fields, render, source[1])
            yield rows
            rows.finish()


def _open_copy(
    stack: contextlib.ExitStack,
    partial: Path,
    name: str,
    source: tuple[Path, str],
    fields: Sequence[InfoField],
    contigs: Lengths,
) -> tuple[_Copy, Callable[[npt.NDArray[Any]], list[Any]]]:
    """Return a copy of the input that is open, and what makes values of it of an array."""
    path, label = source
    opened = stack.enter_context(open_content(path, "VCF or BCF", label=label, accepts=["BCF"]))
    is_bcf = opened.stream.peek(len(BCF_MAGIC)).startswith(BCF_MAGIC)
    lines = stack.enter_context((open_bcf_lines if is_bcf else open_vcf_lines)(path, label))
    _refuse_annotated(label, _FIELD_ID, lines.header)
    if not name.endswith(".bcf"):
        return _TextCopy(lines, partial, name, fields), as_text
    stream: BinaryIO = opened.stream
    if not is_bcf:
        # Beside the output and not in /tmp, which is often too small for a VCF.
        beside = tempfile.TemporaryDirectory(
            prefix=partial.name.removesuffix("part"), suffix=".part", dir=partial.parent
        )
        folder = stack.enter_context(beside)
        path = Path(folder, "in.bcf")
        _convert(lines, path, contigs)
        stream = stack.enter_context(open_content(path, "BCF", accepts=["BCF"])).stream
    return _BcfCopy(stream, path, label, partial, fields), as_values


class AnnotatedRows:
    """Rows that give the alleles back to their records."""

    def __init__(
        self,
        copy: _Copy,
        fields: Sequence[InfoField],
        render: Callable[[npt.NDArray[Any]], list[Any]],
        label: str,
    ):
        self._copy = copy
        self._fields = fields
        self._render = render
        self._label = label
        self._records = copy.records()
        self._next = next(self._records, None)
        self._alleles: deque[tuple[tuple[object, ...], Allele]] = deque()
        """The alleles of records that are not complete yet: what identifies them, and values."""

    def write(self, columns: Columns, scores: Scores) -> None:
        """Take alleles; write the records whose alleles are all there."""
        values = [self._render(field.values(columns, scores)) for field in self._fields]
        keys = zip(
            *(columns[name].tolist() for name in ("chrom", "pos", "ref", "alt")), strict=True
        )
        self._alleles.extend(zip(keys, zip(*values, strict=True), strict=True))
        while self._next is not None and len(self._next.alts) <= len(self._alleles):
            self._write(self._next)
            self._next = next(self._records, None)

    def _write(self, record: _Record) -> None:
        taken = [self._alleles.popleft() for _ in record.alts]
        expected = [(record.chrom, record.pos, record.ref, alt) for alt in record.alts]
        if [key for key, _ in taken] != expected:
            raise self._changed(record.where)
        has_alt = record.alts != (".",)
        self._copy.write(record, [values for _, values in taken] if has_alt else [])

    def finish(self) -> None:
        """Raise BioqError if records or alleles are left."""
        if self._next is not None or self._alleles:
            raise self._changed(self._label)

    def _changed(self, where: str) -> BioqError:
        return BioqError(f"{where}: has changed while it was read; run the command again")


class _TextCopy:
    """Lines of text, of which nothing but INFO changes."""

    def __init__(self, lines: VcfLines, out: Path, name: str, fields: Sequence[InfoField]):
        self._lines = lines
        self._prefixes = [f"{field.key}=".encode() for field in fields]
        self._file: Any = BgzipFile(out) if name.endswith(".gz") else open(out, "wb")  # noqa: SIM115
        described = with_lines(lines.header, [field.header_line() for field in fields])
        self._file.write(b"\n".join(described) + b"\n")

    def records(self) -> Iterator[_Record]:
        for where, cells in self._lines.records():
            _refuse_annotated(where, _OLD_FIELD, [cells[INFO]])
            chrom, pos, _, ref, alts = b"\t".join(cells[:5]).decode().split("\t")
            yield _Record(where, chrom, int(pos), ref, tuple(alts.split(",")), cells)

    def write(self, record: _Record, alleles: Sequence[Allele]) -> None:
        cells = record.raw
        if alleles:
            added = [
                prefix + ",".join(values).encode()
                for prefix, values in zip(self._prefixes, zip(*alleles, strict=True), strict=True)
                if any(value != "." for value in values)
            ]
            info = cells[INFO].rstrip(b";")
            cells[INFO] = b";".join([info, *added] if info not in (b"", b".") else added)
        self._file.write(b"\t".join(cells) + b"\n")

    def close(self) -> None:
        self._file.close()
        if self._lines.skipped:
            say(
                f"note: {self._lines.label}: {self._lines.skipped:,} lines of a header come after "
                "the first record; they are not copied"
            )


class _BcfCopy:
    """Records of a BCF, of which nothing but INFO changes."""

    def __init__(
        self, source: BinaryIO, path: Path, label: str, out: Path, fields: Sequence[InfoField]
    ):
        self._source = source
        self._label = label
        with quiet_htslib():
            self._writer = BcfWriter(path, [field.header_line() for field in fields])
            self._keys = self._writer.keys([field.key for field in fields])
            head = self._writer.header(out)
        self._file = BgzipFile(out)
        self._file.write(head)

    def records(self) -> Iterator[_Record]:
        for number, raw in enumerate(read_records(self._source, self._writer), start=1):
            where = f"{self._label}: record {number}"
            yield _Record(where, raw.chrom, raw.pos, raw.ref, raw.alts, raw)

    def write(self, record: _Record, alleles: Sequence[Allele]) -> None:
        added = {
            key: values
            for key, values in zip(self._keys, zip(*alleles, strict=True), strict=False)
            if any(value is not None for value in values)
        }
        self._file.write(with_info(record.raw, added, record.where))

    def close(self) -> None:
        self._file.close()


def _convert(lines: VcfLines, converted: Path, contigs: Lengths) -> None:
    """Write a VCF as BCF. Raises BioqError if the header does not define what BCF needs."""
    text = converted.with_suffix(".vcf.gz")
    header = with_lines(lines.header, missing_contigs(lines.header, contigs))
    with (
        contextlib.closing(BgzipFile(text)) as file,
        progress("convert to BCF", None, "records") as advance,
    ):
        file.write(b"\n".join(header) + b"\n")
        for number, (_, cells) in enumerate(lines.records(), start=1):
            file.write(b"\t".join(cells) + b"\n")
            if number % _ADVANCE_EVERY == 0:
                advance(_ADVANCE_EVERY)
    words = ("--no-version", "-O", "b", "-o", str(converted), str(text))
    with quiet_htslib():
        try:  # pysam's own writer adds END to records
            pysam.bcftools.view(*words, catch_stdout=False)
        except pysam.utils.SamtoolsError as error:
            raise BioqError(
                f"{lines.label}: cannot be BCF, which needs a line of the header for each FILTER, "
                "INFO and FORMAT, and values of their types; give an output that ends in .vcf.gz"
            ) from error
    text.unlink()


def _refuse_annotated(where: str, pattern: re.Pattern[bytes], texts: Sequence[bytes]) -> None:
    """Raise BioqError if texts have a field of ours."""
    found = [key for text in texts if b"BIOQ_" in text for key in pattern.findall(text)]
    if found:
        keys = [key.decode("utf-8", "replace") for key in found]
        removed = ",".join(f"INFO/{key}" for key in keys[:_MOST_REMOVED])
        raise BioqError(
            f"{where}: has fields of BioQ already ({some(keys, 3)}); remove them first: "
            f"'bcftools annotate -x {removed} IN', or give them other names with "
            "'bcftools annotate --rename-annots'"
        )
