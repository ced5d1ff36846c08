"""Formats that people give where text is expected, recognised by their first bytes."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from bioq.errors import BioqError

HEAD_BYTES = 512
"""The first bytes of a file that decide its format."""
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class _Format:
    name: str
    first_bytes: re.Pattern[bytes]
    advice: str
    """What to do, with the command that converts the file."""
    is_compression: bool = False
    """Whether the content may be of the expected kind once it is decompressed."""


def _compression(name: str, first_bytes: bytes, command: str) -> _Format:
    pattern, advice = re.compile(first_bytes, re.DOTALL), f"decompress it first ({command})"
    return _Format(f"compressed with {name}", pattern, advice, is_compression=True)


def _format(name: str, first_bytes: bytes, advice: str) -> _Format:
    return _Format(name, re.compile(first_bytes, re.DOTALL), advice)


_TABLE = "save it as tab-separated text, and give that file"
_BLANKS = rb"(\xef\xbb\xbf)?\s*"
# The first that fits. Sources: RFC 8878 (zstd), the format specifications of samtools and UCSC
# (bigWig, bigBed and 2bit have either byte order), and file(1).
_FORMATS = (
    _compression("zstd", rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", "zstd -d"),
    _compression("bzip2", rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "bunzip2"),
    _compression("xz", rb"\xfd7zXZ\x00", "unxz"),
    _compression("lzma", rb"\x5d\x00\x00.{2}(\xff{8}|.{5}\x00{3})", "unlzma"),
    _compression("lz4", rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "lz4 -d"),
    _compression("compress (.Z)", rb"\x1f[\x9d\xa0]", "uncompress"),
    _compression("7z", rb"7z\xbc\xaf\x27\x1c", "7z x"),
    _compression("rar", rb"Rar!\x1a\x07", "unrar x"),
    _format(
        "a spreadsheet (Excel or OpenDocument)",
        rb"PK\x03\x04.{26}(\[Content_Types\]|_rels/|docProps/|xl/|mimetypeapplication/vnd\.oasis)",
        _TABLE,
    ),
    _format("a spreadsheet (Excel)", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _TABLE),
    _compression("zip", rb"PK(\x03\x04|\x05\x06)", "unzip"),
    _format(
        "a tar archive", rb".{257}ustar[\x00 ]", "unpack it first (tar -xf) and give a file of it"
    ),
    _format(
        "BCF",
        rb"BCF\x02",
        "'bcftools view IN.bcf -Oz -o OUT.vcf.gz' makes VCF of it",
    ),
    _format("2bit", rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43", "'twoBitToFa IN OUT' makes FASTA of it"),
    _format(
        "bigBed",
        rb"\xeb\xf2\x89\x87|\x87\x89\xf2\xeb",
        "'bigBedToBed IN OUT.bed' makes BED of it",
    ),
    _format(
        "bigWig",
        rb"\x26\xfc\x8f\x88|\x88\x8f\xfc\x26",
        "it has a value per base and no intervals; give the peaks that were called on it",
    ),
    _format("BAM", rb"BAM\x01", "it has aligned reads; give the peaks or variants called on them"),
    _format("CRAM", rb"CRAM[\x01-\x08]", "it has aligned reads; give what was called on them"),
    _format("a tabix index", rb"TBI\x01", "give the file without .tbi at its end"),
    _format("a CSI index", rb"CSI[\x01\x02]", "give the file without .csi at its end"),
    _format("HDF5", rb"\x89HDF\r\n\x1a\n", "give the text from which it was made"),
    _format("Parquet", rb"PAR1\x15", _TABLE),
    _format("a NumPy array", rb"\x93NUMPY", _TABLE),
    _format("PDF", rb"%PDF-", _TABLE),
    _format("rich text (RTF)", rb"\{\\rtf", "save it as plain text"),
    _format(
        "UTF-16 or UTF-32 text",
        rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff|([\t\r\n -~]\x00){4}|(\x00[\t\r\n -~]){4}",
        "save it as UTF-8, or 'iconv -f UTF-16 -t UTF-8 IN > OUT'",
    ),
    _format(
        "a web page (HTML or XML)",
        _BLANKS + rb"<(?i:!doctype\s|html[\s>]|head[\s>]|\?xml\s|!--)",
        "perhaps the error page of a download; download the file again",
    ),
    _format(
        "a pointer of Git LFS",
        _BLANKS + rb"version https://git-lfs",
        "'git lfs pull' fetches the file itself",
    ),
)
_COMPRESSED_TWICE = "is compressed twice with gzip; decompress it once (gunzip)"


def refuse_other_formats(
    head: bytes, label: str, what: str, *, accepts: Collection[str] = (), unpacked: bool = False
) -> None:
    """Raise BioqError for content that begins with `head` and is in no format of `what`.

    `label` is the name of the file, `accepts` names formats of the table that the caller reads,
    and `unpacked` is whether the content was compressed.
    """
    if unpacked and head.startswith(GZIP_MAGIC):
        raise BioqError(f"{label}: {_COMPRESSED_TWICE}")
    for format in _FORMATS:
        if format.name not in accepts and format.first_bytes.match(head):
            expected = (
                "BioQ reads plain, gzip or bgzip" if format.is_compression else f"expected {what}"
            )
            raise BioqError(f"{label}: is {format.name}; {expected}: {format.advice}")
