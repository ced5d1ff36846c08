"""How people write regions and variants: one grammar for the command line, the page and the API.

A region is `CONTIG:START-END` or `CONTIG:START..END`. A variant is `CONTIG:POS:REF>ALT`, a
substitution as in HGVS (`CONTIG:g.POSREF>ALT`) or the columns CHROM POS [ID] REF ALT of a VCF.
Positions are counted from 1, both ends are included, and commas may separate thousands. The name of
a contig may have colons, hyphens and asterisks (`HLA-A*01:01:01:01:601-800`): it is as long as the
grammar allows. A text whose positions may be counted from 0 (SPDI, BED) is in no form: `correction`
gives its two readings.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from bioq.errors import BioqError, short

REGION_FORM = "CONTIG:START-END"
VARIANT_FORM = "CONTIG:POS:REF>ALT"
REGION_PATTERN = r"[!-~]+:[0-9,]+-[0-9,]+"
"""A regular expression of every dialect (ECMA's too) for the plainest way to write a region."""
_REGION = re.compile(r"(?P<contig>\S+):(?P<start>[0-9,]+)\s*(?:[-–]|\.\.)\s*(?P<end>[0-9,]+)")
# After POS, `:`, `-` and `/` need letters on both sides; `>` takes any ALT, to be refused by name.
_VARIANT = re.compile(
    r"(?P<contig>\S*[^\s:–-])[:–-](?P<pos>[0-9,]+)[:–-](?P<ref>[A-Za-z]+)"
    r"(?:[>→](?P<alt>\S+)|[:/–-](?P<letters>[A-Za-z]+))"
)
# chr1:700G>A, and HGVS with g. or m. before the position (its recommendations for DNA).
_SUBSTITUTION = re.compile(
    r"(?P<contig>\S*[^\s:–-]):(?:[gm]\.)?(?P<pos>[0-9,]+)\s?(?P<ref>[A-Za-z]+)"
    r"[>→/ ](?P<alt>[A-Za-z]+)"
)
# chr1_13550_G_A of GTEx; VEP writes 1_13550_G/A, programs for imputed genotypes 1:13550_G_A.
_UNDERSCORES = re.compile(
    r"(?P<contig>\S*[^\s:_])[:_](?P<pos>[0-9]+)_(?P<ref>[ACGTN]+)[_/](?P<alt>[ACGTN]+)"
)
# SPDI (Holmes et al. 2020): SEQUENCE:POSITION:DELETED:INSERTED, positions from 0. DELETED may be a
# length, and both may be empty. The sequence is an accession with its version.
_SPDI = re.compile(
    r"(?P<contig>[A-Z]{2}_?[0-9]{6,}\.[0-9]+):(?P<pos>[0-9]+):(?P<ref>[A-Za-z]*|[0-9]+):"
    r"(?P<alt>[A-Za-z]*)"
)
_DBSNP = re.compile(r"rs[0-9]+", re.IGNORECASE)
_OF_BUILD = re.compile(r"(?P<variant>\S+)_(?P<build>b3[78])")
_HGVS = re.compile(r"\S+:[cgmnopr]\.\S+")
_THREE_PARTS = re.compile(
    r"(?P<contig>\S*[^\s:_-])([-_]|\s+)(?P<start>[0-9]+)\2(?P<end>[0-9]+)(\s.*)?"
)
_WITH_STRAND = re.compile(r"(?P<region>\S+:[0-9,]+-[0-9,]+)(:[-+.]|\([-+.]\))")
_ONE_BASE = re.compile(r"(?P<contig>\S*[^\s:]):(?P<pos>[0-9,]*[0-9])")
MOST_DIGITS = 18
"""The digits of the largest number of a file that is read: a signed integer of 64 bits has 19."""
_LONGEST_CORRECTED = 200
_LONGEST_FORM = 20_000
"""Letters of a region, and of a variant that is not in columns: more than a window and a name."""


@dataclass(frozen=True, order=True)
class Interval:
    """The bases `start` to `end` of a contig, 0-based and half-open."""

    contig: str
    start: int
    end: int

    def is_within(self, contig_bp: int | None = None) -> bool:
        """Return whether it has a base, and all of them are on a contig of `contig_bp` bases."""
        return 0 <= self.start < self.end and (contig_bp is None or self.end <= contig_bp)

    @property
    def length_bp(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}"


class VariantText(NamedTuple):
    """The first five columns of a VCF as they are written: nothing is checked."""

    chrom: str
    pos: str
    """1-based, without commas."""
    id: str
    ref: str
    alt: str

    def __str__(self) -> str:
        return f"{self.chrom}:{self.pos}:{self.ref}>{self.alt}"


def parse_region(text: str, where: str = "") -> Interval | None:
    """Return a region, whose ends may be out of order; None for a text in another form.

    See `find_region` of `contigs` for a text that the names of a genome decide. Raises BioqError,
    which begins with `where`, for a position of more than 18 digits.
    """
    text = text.strip()
    match = None if len(text) > _LONGEST_FORM else _REGION.fullmatch(text)
    if match is None:
        return None
    start, end = _number(text, match["start"], where), _number(text, match["end"], where)
    return Interval(match["contig"], start - 1, end)


def parse_variant(text: str) -> VariantText | None:
    """Return the columns of a variant, ID `.` if it has none; None for a text in another form."""
    text = text.strip()
    if len(text) <= _LONGEST_FORM:
        if _SPDI.fullmatch(text) is not None:
            return None
        match = _VARIANT.fullmatch(text)
        if match is not None:
            pos, alt = match["pos"].replace(",", ""), match["alt"] or match["letters"]
            return VariantText(match["contig"], pos, ".", match["ref"], alt)
        match = _SUBSTITUTION.fullmatch(text) or _UNDERSCORES.fullmatch(text)
        if match is not None:
            pos = match["pos"].replace(",", "")
            return VariantText(match["contig"], pos, ".", match["ref"], match["alt"])
    columns = text.split(maxsplit=5)
    if len(columns) == 4:
        chrom, pos, ref, alt = columns
        return VariantText(chrom, pos, ".", ref, alt)
    return VariantText(*columns[:5]) if len(columns) > 4 else None


def correction(text: str, *, takes_regions: bool = True) -> str:
    """Return what a text is that is almost a region or a variant, and the form to write instead;
    empty for any other text, and where no region is taken also for what is almost a region."""
    text = text.strip()
    if len(text) > _LONGEST_CORRECTED:
        return ""
    return _variant_correction(text) or (_region_correction(text) if takes_regions else "")


def _variant_correction(text: str) -> str:
    if (match := _SPDI.fullmatch(text)) is not None:
        if match["alt"] and match["ref"].isalpha():
            names = match["contig"], int(match["pos"]), match["ref"], match["alt"]
            return (
                f"SPDI counts positions from 0: write '{_spelled(*names, shift=1)}' if it is SPDI, "
                f"'{_spelled(*names)}' if its position is counted from 1"
            )
        return (
            "it is SPDI, which counts positions from 0; write CONTIG:POS:REF>ALT, counted from 1, "
            "a deletion as CA>C and an insertion as C>CA"
        )
    if _DBSNP.fullmatch(text) is not None:
        return (
            "it is a name in dbSNP, which BioQ does not have; look up its position on your "
            f"genome's build (www.ncbi.nlm.nih.gov/snp/{text}), and write {VARIANT_FORM}"
        )
    if (match := _OF_BUILD.fullmatch(text)) is not None:
        variant = parse_variant(match["variant"])
        build = {"b37": "GRCh37 (hg19)", "b38": "GRCh38 (hg38)"}[match["build"]]
        return "" if variant is None else f"if the genome is {build}, write '{variant}'"
    if _HGVS.fullmatch(text) is not None:
        return (
            "of HGVS, BioQ reads substitutions on a contig, as NC_000001.11:g.703A>G; write "
            f"{VARIANT_FORM}, a deletion as CA>C and an insertion as C>CA"
        )
    return ""


def _region_correction(text: str) -> str:
    if (match := _THREE_PARTS.fullmatch(text)) is not None:
        contig, start, end = match["contig"], int(match["start"]), int(match["end"])
        if start < end:
            return (
                f"write '{contig}:{start + 1}-{end}' if START is counted from 0, as in BED, or "
                f"'{contig}:{start}-{end}' if it is counted from 1"
            )
    if (match := _WITH_STRAND.fullmatch(text)) is not None:
        return f"a region has no strand; write '{match['region']}'"
    if (match := _ONE_BASE.fullmatch(text)) is not None:
        pos = match["pos"]
        return f"write '{match['contig']}:{pos}-{pos}' for one base, or {VARIANT_FORM}"
    return ""


def _spelled(contig: str, pos: int, ref: str, alt: str, *, shift: int = 0) -> str:
    return str(VariantText(contig, str(pos + shift), ".", ref, alt))


def _number(text: str, written: str, where: str) -> int:
    """Return the number that is written, 0 for commas alone."""
    digits = written.replace(",", "").lstrip("0")
    if len(digits) > MOST_DIGITS:
        raise BioqError(
            f"{where}{short(text.strip())!r}: a position has {len(digits):,} digits, and no contig "
            f"is that long; expected {REGION_FORM}, as chr22:19711000-19711999"
        )
    return int(digits or 0)
