"""Tables that are almost a VCF: other columns, BED of variants, and lines that were joined.

Without these checks, the reader would use other columns as POS, REF and ALT.
"""

import re
from collections.abc import Iterable, Sequence

from bioq.errors import BioqError, short

SAMPLED_ALLELES = 1000
"""The first alleles of a file without a header, which decide whether it is another table."""
COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT")
_ROLES = {
    "CHROM": ("chrom", "chr", "chromosome", "chrom_id", "chr_name", "contig", "seqnames"),
    "POS": ("pos", "position", "bp", "base_pair_location", "variant_pos", "start_position"),
    "ID": ("id", "rsid", "rs_id", "snp", "name", "variant_id", "marker", "markerid", "variant"),
    "REF": ("ref", "reference", "reference_allele", "ref_allele"),
    "ALT": ("alt", "alternate", "alternative", "alternate_allele", "alt_allele"),
}
_NEEDED = ("CHROM", "POS", "REF", "ALT")
_BASES = re.compile("[ACGTN]+", re.IGNORECASE)
_ALLELE = re.compile(r"[ACGTN]+(,[ACGTN]+)*|[.*]|<[^<>]+>", re.IGNORECASE)
_NO_ID = re.compile("NA|NAN|N", re.IGNORECASE)
"""What R and pandas write in place of a missing ID."""
_CONTIG_ALONE = re.compile("chr[0-9A-Za-z]+")
_JOINED_CONTIG = re.compile(r".(chr[0-9A-Za-z_]+|[A-Z]{2}_?[0-9]{6,}\.[0-9]+)$")
_AWK = "awk -F'\\t' -v OFS='\\t'"


def is_names(cells: Sequence[str]) -> bool:
    """Return whether cells are names of columns, and not a variant."""
    names = _lower(cells)
    if any(name.replace(".", "").isdigit() for name in names):
        return False
    known = [any(name in _ROLES[role] for name in names) for role in _NEEDED]
    known[1] |= "start" in names
    return sum(known) > 1  # one may be the name of a contig


def refuse_names(where: str, cells: Sequence[str], number: int = 1) -> None:
    """Raise BioqError if the cells of line `number` are names of columns."""
    if not is_names(cells):
        return
    names = _lower(cells)
    column = {
        role: next((at for at, name in enumerate(names, start=1) if name in spellings), 0)
        for role, spellings in _ROLES.items()
    }
    shown = short(" ".join(cell.strip() for cell in cells))
    if tuple(cell.strip() for cell in cells[:5]) == COLUMNS:
        remedy = f"put # before it, as in a VCF: sed '{number}s/^/#/' FILE"
    elif all(column[role] for role in _NEEDED):
        order = ", ".join(f"${column[role]}" if column[role] else '"."' for role in COLUMNS)
        remedy = f"write {' '.join(COLUMNS)}: {_AWK} 'NR > {number} {{print {order}}}' FILE"
    else:
        remedy = f"expected a VCF, with the columns {' '.join(COLUMNS)}, POS counted from 1"
    raise BioqError(f"{where}: names the columns ({shown}); {remedy}")


def _lower(cells: Sequence[str]) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in cells]


def other_format(text: str) -> str:
    """Return which other format a line with fewer than five columns may be of; or nothing."""
    cells = text.split("\t")
    if text.startswith(">"):
        return "the file seems to be FASTA, which 'bioq predict' reads"
    is_interval = len(cells) > 2 and all(cell.isascii() and cell.isdigit() for cell in cells[1:3])
    if is_interval and int(cells[1][:18]) < int(cells[2][:18]) and not _BASES.fullmatch(cells[-1]):
        return "the line seems to be of BED, which 'bioq predict' reads"
    return ""


def other_table(pos: int, ids: str, ref: str) -> str:
    """Return which other table has a line with these columns, if it has one: `BED` of variants
    (CHROM START END REF ALT), or `no ID` (CHROM POS REF ALT)."""
    if ids.isascii() and ids.isdigit() and len(ids) <= len(str(pos)) + 1:
        return "BED" if int(ids) == pos + len(ref) else ""
    is_bases = _BASES.fullmatch(ids) is not None and _NO_ID.fullmatch(ids) is None
    return "no ID" if is_bases else ""


def not_vcf(where: str, table: str) -> BioqError:
    """Return the error for a file whose lines are all those of another table."""
    if table == "BED":
        return BioqError(
            f"{where}: looks like BED, with the columns CHROM START END REF ALT and positions "
            "counted from 0: in every line the third column is the second plus the length of REF; "
            f"write a VCF: {_AWK} '{{print $1, $2 + 1, \".\", $4, $5}}' FILE"
        )
    return BioqError(
        f"{where}: the third column, which is the ID in a VCF, has bases in every line; if the "
        f"columns are CHROM POS REF ALT, write a VCF: {_AWK} '{{print $1, $2, \".\", $3, $4}}' FILE"
    )


def hint(pos: int, ids: str, ref: str, alt: str) -> str:
    """Return what a line may be whose REF or ALT is not an allele: the end of a message."""
    if "-" in (ref, alt):
        return (
            "; a VCF writes a deletion as CA and C, an insertion as C and CA, with the base before"
        )
    if _BASES.fullmatch(ids) and _BASES.fullmatch(ref):
        return "; if the columns are CHROM POS REF ALT, write an ID, such as ., as the third column"
    if ids.isascii() and ids.isdigit() and int(ids[:18]) > pos and _BASES.fullmatch(alt):
        return "; if the file is BED, its positions are counted from 0: write CHROM POS ID REF ALT"
    return ""


def refuse_joined(where: str, cells: Sequence[str], count: int, widths: Iterable[int] = ()) -> None:
    """Raise BioqError if a line of `count` columns has the columns of two lines.

    `cells` are its columns; the last of them may be the rest of the line. `widths` are the numbers
    of columns of other lines, such as #CHROM: one of the two lines is as wide, or the cell before
    the second POS must be something that is joined to the name of a contig. Lines may have other
    columns after the fifth, such as genotypes of samples that the line #CHROM does not name.
    """
    for width in filter(None, widths):
        joints = (width - 1, count - width)
        is_as_two = count == 2 * width - 1 and count > len(cells)  # not all cells are known
        if is_as_two or any(joint > 3 and _is_variant_at(cells, joint) for joint in joints):
            raise _joined(where, f"has {count:,} columns, and another line {width:,}")
    if _is_variant_after(cells, 4, cells[0]):
        raise _joined(where, f"a second variant follows the first in {count:,} columns")


def refuse_joined_header(where: str, cells: Sequence[str]) -> None:
    """Raise BioqError if a line of the header, ##KEY=VALUE or #CHROM, goes on with a variant."""
    if cells[0].startswith("##") and "=" in cells[0]:
        is_joined = _is_variant_after(cells, 0)
    else:  # names of samples, such as 12, T and N, may look like a variant
        last = len(cells) - 1
        joints = [joint for joint in range(4, last) if last % joint == 0]
        is_joined = cells[0] == "#CHROM" and (
            any(_is_variant_at(cells, joint) for joint in joints)
            or _is_variant_after(cells, 4, cells[0])
        )
    if is_joined:
        raise _joined(where, "a variant follows a line of the header in the same line")


def _joined(where: str, found: str) -> BioqError:
    return BioqError(
        f"{where}: {found}; are lines joined, by 'cat' of a file whose last line has no line end, "
        "or by 'curl -d', which removes line ends (use --data-binary)?"
    )


def _is_variant_after(cells: Sequence[str], first: int, contig: str | None = None) -> bool:
    """Return whether POS ID REF ALT follow a cell, from cell number `first` on.

    With `contig`, the name of a contig must be joined to the cell, because a table may have alleles
    in other columns: see `_is_joined`.
    """
    return any(
        _is_variant_at(cells, at) and (contig is None or _is_joined(cells[at], contig))
        for at in range(first, len(cells) - 4)
    )


def _is_variant_at(cells: Sequence[str], at: int) -> bool:
    """Return whether POS ID REF ALT follow the cell number `at`."""
    return (
        at + 4 < len(cells)
        and cells[at + 1].isdigit()
        and _BASES.fullmatch(cells[at + 3]) is not None
        and _ALLELE.match(cells[at + 4]) is not None
    )


def _is_joined(cell: str, contig: str) -> bool:
    """Return whether a cell is something and then the name of a contig."""
    if _CONTIG_ALONE.fullmatch(cell):
        return False
    is_same = len(cell) > len(contig) and cell.endswith(contig)
    return is_same or _JOINED_CONTIG.search(cell) is not None
