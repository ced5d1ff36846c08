"""The records of a BCF as bytes, to which INFO fields are appended: nothing else changes.

The format is that of VCF 4.3, section 6. pysam can write records too, but then it adds END to some.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bioq.errors import BioqError
from bioq.genome.libraries import pysam
from bioq.genome.vcf import BCF_MAGIC

# Section 6.3: the lengths of the two parts of a record, then CHROM, POS, the length of REF, QUAL
# (not read here), n_info and n_allele.
_LENGTHS = struct.Struct("<II")
_FIXED = struct.Struct("<iii4xHH4x")
_COUNTS_AT = 16
_MOST_INFO = (1 << 16) - 1
_INTEGERS = {1: struct.Struct("<b"), 2: struct.Struct("<h"), 3: struct.Struct("<i")}
_FLOAT, _CHARACTERS = 5, 7
_MISSING_FLOAT = struct.pack("<I", 0x7F800001)

Value = str | float | None


@dataclass(frozen=True)
class BcfRecord:
    """A record, undecoded but for what identifies it."""

    chrom: str
    pos: int
    """1-based."""
    ref: str
    alts: tuple[str, ...]
    shared: bytes
    """CHROM to INFO."""
    samples: bytes


class BcfWriter:
    """A header with more INFO lines, and how their fields are written."""

    def __init__(self, source: Path, lines: Sequence[bytes]):
        with pysam.VariantFile(str(source), ignore_truncation=True) as file:
            self._header: Any = file.header.copy()
        for line in lines:
            self._header.add_line(line.decode())
        contigs = self._header.contigs
        # Not in a loop over `contigs`: pysam cannot do that if their numbers (IDX) have gaps.
        names = [record["ID"] for record in self._header.records if record.type == "CONTIG"]
        self._contigs = {contigs[name].id: str(name) for name in names}

    def contig(self, number: int) -> str:
        """Return the name of a contig."""
        return self._contigs[number]

    def header(self, scratch: Path) -> bytes:
        """Return the header as bytes; htslib writes it into a file `scratch`, which is removed."""
        with pysam.VariantFile(str(scratch), "wb", header=self._header):
            pass
        with pysam.BGZFile(str(scratch), "rb", None) as file:
            content: bytes = file.read()
        scratch.unlink()
        return content

    def keys(self, names: Sequence[str]) -> list[bytes]:
        """Return the bytes of the keys of INFO fields."""
        return [_integer(self._header.info[name].id) for name in names]


def read_records(file: BinaryIO, writer: BcfWriter) -> Iterator[BcfRecord]:
    """Yield the records of a BCF, decompressed bytes from the start of the file."""
    magic = file.read(len(BCF_MAGIC) + 5)
    file.read(int.from_bytes(magic[-4:], "little"))
    while lengths := file.read(_LENGTHS.size):
        shared_bytes, samples_bytes = _LENGTHS.unpack(lengths)
        shared, samples = file.read(shared_bytes), file.read(samples_bytes)
        chrom, start, _, _, alleles = _FIXED.unpack_from(shared)
        at = _text(shared, _FIXED.size)[1]  # after ID
        texts = []
        for _ in range(alleles):
            text, at = _text(shared, at)
            texts.append(text)
        alts = tuple(texts[1:]) or (".",)
        yield BcfRecord(writer.contig(chrom), start + 1, texts[0], alts, shared, samples)


def with_info(record: BcfRecord, fields: Mapping[bytes, Sequence[Value]], where: str) -> bytes:
    """Return a record with more INFO fields: {key: values}."""
    added = b"".join(key + _values(values) for key, values in fields.items())
    (count,) = struct.unpack_from("<H", record.shared, _COUNTS_AT)
    count += len(fields)
    if count > _MOST_INFO:
        raise BioqError(
            f"{where}: has {count:,} INFO fields with the new ones, and BCF has at most "
            f"{_MOST_INFO:,}; give an output that ends in .vcf.gz, or fewer --targets"
        )
    shared = b"".join(
        [
            record.shared[:_COUNTS_AT],
            struct.pack("<H", count),
            record.shared[_COUNTS_AT + 2 :],
            added,
        ]
    )
    return _LENGTHS.pack(len(shared), len(record.samples)) + shared + record.samples


def _text(content: bytes, at: int) -> tuple[str, int]:
    """Return a typed text, and the index after it."""
    size, at = content[at] >> 4, at + 1
    if size == 15:
        integer = _INTEGERS[content[at] & 15]
        (size,) = integer.unpack_from(content, at + 1)
        at += 1 + integer.size
    return content[at : at + size].decode("utf-8", "replace"), at + size


def _integer(number: int) -> bytes:
    """Return a typed integer."""
    kind = 1 if number < 1 << 7 else 2 if number < 1 << 15 else 3
    return bytes([16 | kind]) + _INTEGERS[kind].pack(number)


def _typed(count: int, kind: int) -> bytes:
    """Return the type of `count` values."""
    return bytes([count << 4 | kind]) if count < 15 else bytes([240 | kind]) + _integer(count)


def _values(values: Sequence[Value]) -> bytes:
    """Return typed values: texts or float32, None if missing."""
    if any(isinstance(value, str) for value in values):
        text = ",".join(str(value or ".") for value in values).encode()
        return _typed(len(text), _CHARACTERS) + text
    packed = (_MISSING_FLOAT if value is None else struct.pack("<f", value) for value in values)
    return _typed(len(values), _FLOAT) + b"".join(packed)
