"""Where an allele lies on the genome, and the windows with and without it.

The first base of REF sits at window index `window_bp // 2 - 1` (499 of 1,000: DeepSEA's centring,
1-based pos - 499 .. pos + 500). An allele is edited into a longer piece of the reference, which is
then cropped to the window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bioq import dna
from bioq.genome import ContigNames, Genome
from bioq.genome.vcf import Variant, is_bases

Indel = Literal["left", "right", "both"]

SCORED = "scored"
EDGE_PADDED = "edge_padded"
SWAPPED = "allele_swapped"
REF_MISMATCH = "ref_mismatch"
OUTSIDE = "outside_contig"
NO_CONTIG = "no_contig"

STATUSES: Mapping[str, str] = {
    SCORED: "the genome has REF; both alleles were predicted",
    EDGE_PADDED: "scored too; the window reaches past the contig's end, where it holds N",
    SWAPPED: "ALT is what the genome has, REF is not; scored only on request",
    REF_MISMATCH: "the genome has other bases than REF; see genome_ref",
    NO_CONTIG: "the genome has no contig of this name",
    OUTSIDE: "POS or the end of REF lies outside the contig",
    "too_long": "REF or ALT is longer than half a window",
    "ambiguous": "an allele holds letters other than A, C, G, T",
    "symbolic": "ALT is symbolic (<DEL>) or a breakend",
    "star": "ALT is *: removed by a deletion further up",
    "no_alt": "ALT is .: no other allele",
    "alt_is_ref": "ALT is the same as REF",
}
"""Every status that an allele can get, and what it means."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An allele on the genome; `other` is None where it cannot be scored."""

    status: str
    genome_ref: str = ""
    """What the genome has in place of REF, where that is something else."""
    contig: str = ""
    start: int = 0
    """0-based first base of REF."""
    replaced: int = 0
    """Bases of the genome that the other allele takes the place of."""
    other: dna.Bytes | None = None
    """Codes of the allele that the genome does not have: ALT, or REF where the two are swapped."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The codes of an allele's windows."""

    genome: dna.Bytes
    """uint8 `(window_bp,)`."""
    edited: tuple[dna.Bytes, ...]
    """The windows with the other allele, one or (left and right flank kept) two."""
    padded: bool
    """Whether any of them reaches past the contig's end."""


def centre_index(window_bp: int) -> int:
    """Return the index of a window at which the first base of REF sits."""
    return window_bp // 2 - 1


def place(variant: Variant, names: ContigNames, window_bp: int) -> Placed:
    """Find an allele on the genome and tell whether it can be scored, and if not, why."""
    for status, alts in (("star", "*"), ("no_alt", ".")):
        if variant.alt == alts:
            return Placed(status)
    if not is_bases(variant.alt):
        return Placed("symbolic")
    number = names.find(variant.chrom)
    if number is None:
        return Placed(NO_CONTIG)
    contig = names.contigs[number]
    start, end = variant.pos - 1, variant.pos - 1 + len(variant.ref)
    length = names.genome.lengths[contig]
    if start < 0 or end > length:
        return Placed(OUTSIDE)
    ref, alt = dna.encode(variant.ref), dna.encode(variant.alt)
    if dna.UNKNOWN in ref or dna.UNKNOWN in alt:
        return Placed("ambiguous")
    if np.array_equal(ref, alt):
        return Placed("alt_is_ref")
    found = names.genome.read(contig, start, end)
    replaced, other, status, genome_ref = len(ref), alt, SCORED, ""
    if not np.array_equal(found, ref):
        genome_ref = dna.decode(found)
        alt_end = start + len(alt)
        if alt_end > length or not np.array_equal(names.genome.read(contig, start, alt_end), alt):
            return Placed(REF_MISMATCH, genome_ref)
        replaced, other, status = len(alt), ref, SWAPPED
    if max(len(ref), len(alt)) > max(centre_index(window_bp), 1):
        return Placed("too_long", genome_ref)
    return Placed(status, genome_ref, contig, start, replaced, other)


def read_windows(genome: Genome, placed: Placed, window_bp: int, indel: Indel) -> Windows:
    """Return the genome's window around an allele and the windows with the other allele.

    An allele of another length shifts one flank: indel="left" keeps the left flank where it is,
    so that what lies to the right moves up or out; "right" keeps the right flank; "both" gives
    both windows. Alleles of one length give one window, whatever `indel` says.
    """
    other = placed.other
    if other is None:
        raise ValueError(f"an allele with status {placed.status} has no windows")
    gone = placed.replaced - len(other)
    before = max(gone, 0) if indel != "left" else 0
    after = max(gone, 0) if indel != "right" else 0
    at = centre_index(window_bp) + before
    start = placed.start - at
    codes, padded = _read_padded(genome, placed.contig, start, start + before + window_bp + after)
    edited = np.concatenate([codes[:at], other, codes[at + placed.replaced :]])
    right_end = len(edited) - after
    kept = {
        "left": edited[before : before + window_bp],
        "right": edited[right_end - window_bp : right_end],
    }
    sides = ("left", "right") if indel == "both" else (indel,)
    windows = tuple(kept[side] for side in sides[: None if gone else 1])
    return Windows(codes[before : before + window_bp], windows, padded)


def _read_padded(genome: Genome, contig: str, start: int, end: int) -> tuple[dna.Bytes, bool]:
    """Return the codes of `start` to `end`, unknown outside the contig, and whether there were."""
    length = genome.lengths[contig]
    inside = max(start, 0), min(end, length)
    codes = genome.read(contig, *inside)
    if inside == (start, end):
        return codes, False
    padded = np.full(end - start, dna.UNKNOWN, dtype=np.uint8)
    padded[inside[0] - start : inside[1] - start] = codes
    return padded, True
