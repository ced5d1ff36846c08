"""The header lines of a VCF that describe its genome: contigs, their lengths, and the build."""

import re
from collections.abc import Mapping

from bioq.genome.builds import Build, bare_name, build_named, build_of, find_accession
from bioq.genome.notation import MOST_DIGITS

# VCF 4.3, section 1.4: ##contig=<ID=ctg1,length=81195210,assembly=B36,...>; values may be quoted.
_CONTIG_LINE = re.compile(rb"##contig=<(.*)>", re.IGNORECASE | re.DOTALL)
_GENOME_LINE = re.compile(rb"##(reference|assembly|genome[-_]?build)\s*[= ](.*)", re.IGNORECASE)
_COLUMNS_LINE = re.compile(rb"#CHROM\s+POS\s", re.IGNORECASE)
# A comma that no KEY= follows is part of the value, as in length=249,250,621.
_FIELD = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,]*(?:,(?!\s*\w+\s*=)[^,]*)*)')
# Programs write them where they do not have a length: 2^29 is the limit of a tabix index.
_PLACEHOLDERS = (0, 1 << 29, (1 << 31) - 1)
_MOST_BYTES, _MOST_COMMAS = 1 << 14, 64
"""Of a line that describes a genome; a longer one gives nothing. Real ones have up to 500, 20."""


class VcfHeader:
    """What the header of a VCF gives about its genome, line by line.

    A line that is malformed gives nothing: it is never an error.
    """

    def __init__(self) -> None:
        self.lengths: dict[str, int] = {}
        """Contig -> bases, from `length=`."""
        self.columns = 0
        """Columns of the line #CHROM; 0 without one."""
        self.is_vcf = False
        """Whether there is a line that only a VCF has: ##KEY=VALUE, or #CHROM POS."""
        self._assembly: dict[str, Build] = {}
        self._named: dict[str, Build] = {}
        self._length_of: dict[str, int | None] = {}
        self._bare: dict[str, set[int]] = {}

    def add_line(self, line: bytes) -> None:
        """Add a line that begins with #."""
        self._length_of.clear()
        if _COLUMNS_LINE.match(line):
            self.columns = line.rstrip().count(b"\t") + 1
        self.is_vcf |= line.startswith(b"##") or self.columns > 0
        if len(line) > _MOST_BYTES or line.count(b",") > _MOST_COMMAS:
            return
        line = line.strip()
        match = _CONTIG_LINE.fullmatch(line)
        if match is not None:
            self._add_contig(match[1].decode("utf-8", "replace"))
            return
        match = _GENOME_LINE.match(line)
        if match is not None:
            self._name(build_named(match[2].decode("utf-8", "replace")))

    @property
    def named(self) -> Build | None:
        """The build that the header names (`##reference`, `##assembly`, `assembly=`); None if it
        names none, or several."""
        builds = list(self._named.values())
        return builds[0] if len(builds) == 1 else None

    @property
    def build(self) -> Build | None:
        """The build by the lengths of the contigs or, without them, by its name."""
        return build_of(self.lengths) or self.named

    def has_length(self, contig: str) -> bool:
        """Return whether a contig has a `length=`, also under a name with or without chr."""
        return contig in self.lengths or len(self._bare.get(bare_name(contig), ())) == 1

    def length_of(self, contig: str) -> int | None:
        """Return the bases of a contig: its `length=`, also under a name with or without chr;
        without one, the length in the build that its `assembly=` names, or of the sequence that has
        the contig's name as its accession."""
        if contig not in self._length_of:
            self._length_of[contig] = self.lengths.get(contig, self._implied(contig))
        return self._length_of[contig]

    def _implied(self, contig: str) -> int | None:
        other_names = self._bare.get(bare_name(contig), set())
        if len(other_names) == 1:
            return next(iter(other_names))
        build, accession = self._assembly.get(contig), find_accession(contig)
        bp = None if build is None else build.length_of(contig)
        return accession.bp if bp is None and accession is not None else bp

    def _add_contig(self, body: str) -> None:
        fields = _fields(body)
        name, bp = fields.get("id", ""), fields.get("length", "").replace(",", "")
        build = build_named(fields.get("assembly", ""))
        self._name(build)
        if not name:
            return
        is_number = bp.isascii() and bp.isdigit() and len(bp) <= MOST_DIGITS
        if is_number and int(bp) not in _PLACEHOLDERS:
            self.lengths.setdefault(name, int(bp))
            self._bare.setdefault(bare_name(name), set()).add(int(bp))
        if build is not None:
            self._assembly.setdefault(name, build)

    def _name(self, build: Build | None) -> None:
        if build is not None:
            self._named[build.name] = build


def _fields(body: str) -> Mapping[str, str]:
    """Return the fields of `ID=1,length=5,species="Homo sapiens"`, with keys in lower case."""
    fields: dict[str, str] = {}
    at = 0
    while match := _FIELD.match(body, at):
        value = match[2].strip()
        if len(value) > 1 and value.startswith('"') and value.endswith('"'):
            value = value[1:-1]
        fields.setdefault(match[1].lower(), value)
        at = match.end()
        if body[at : at + 1] != ",":
            break
        at += 1
    return fields
