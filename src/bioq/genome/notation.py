"""How people write regions and variants: one grammar for the command line, the page and the API.

A region is `CONTIG:START-END`, a variant `CONTIG:POS:REF>ALT` or the columns CHROM POS [ID] REF ALT
of a VCF. Positions are counted from 1, both ends are included, and commas may separate thousands.
The name of a contig may have colons, hyphens and asterisks (`HLA-A*01:01:01:01:601-800`): it is as
long as the grammar allows.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from bioq.errors import BioqError

REGION_FORM = "CONTIG:START-END"
VARIANT_FORM = "CONTIG:POS:REF>ALT"
REGION_PATTERN = r"[!-~]+:[0-9,]+-[0-9,]+"
"""A regular expression of every dialect (ECMA's too) for the plainest way to write a region."""
_REGION = re.compile(r"(?P<contig>\S+):(?P<start>[0-9,]+)\s*[-–]\s*(?P<end>[0-9,]+)")
# After POS, `:`, `-` and `/` need letters on both sides; `>` takes any ALT, to be refused by name.
_VARIANT = re.compile(
    r"(?P<contig>\S*[^\s:–-])[:–-](?P<pos>[0-9,]+)[:–-](?P<ref>[A-Za-z]+)"
    r"(?:>(?P<alt>\S+)|[:/–-](?P<letters>[A-Za-z]+))"
)
MOST_DIGITS = 18
"""The digits of the largest number of a file that is read: a signed integer of 64 bits has 19."""
_MOST_SHOWN = 60


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
    match = _REGION.fullmatch(text.strip())
    if match is None:
        return None
    start, end = _number(text, match["start"], where), _number(text, match["end"], where)
    return Interval(match["contig"], start - 1, end)


def parse_variant(text: str) -> VariantText | None:
    """Return the columns of a variant, ID `.` if it has none; None for a text in another form."""
    match = _VARIANT.fullmatch(text.strip())
    if match is not None:
        pos, alt = match["pos"].replace(",", ""), match["alt"] or match["letters"]
        return VariantText(match["contig"], pos, ".", match["ref"], alt)
    columns = text.split()
    if len(columns) == 4:
        chrom, pos, ref, alt = columns
        return VariantText(chrom, pos, ".", ref, alt)
    return VariantText(*columns[:5]) if len(columns) > 4 else None


def _number(text: str, written: str, where: str) -> int:
    """Return the number that is written, 0 for commas alone."""
    digits = written.replace(",", "").lstrip("0")
    if len(digits) > MOST_DIGITS:
        shown = text.strip()
        shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[: _MOST_SHOWN - 1]}…"
        raise BioqError(
            f"{where}{shown!r}: a position has {len(digits):,} digits, and no contig is that long; "
            f"expected {REGION_FORM}, as chr22:19711000-19711999"
        )
    return int(digits or 0)
