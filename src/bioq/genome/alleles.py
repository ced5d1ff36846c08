"""The position of an allele on the genome and in its window, and the windows with and without it.

The first base of REF is at window index `window_bp // 2 - 1` (499 of 1,000: DeepSEA's centring,
1-based pos - 499 .. pos + 500). An allele is edited into a longer stretch of the genome, which is
then cropped to the window. Where the genome has an ambiguous base (an IUPAC code) that allows REF,
both windows get concrete bases: VCF 4.3, section 1.6.1, reduces the code to one base in REF.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.genome.builds import compare_lengths
from bioq.genome.contigs import ContigNames
from bioq.genome.fasta import Genome
from bioq.genome.vcf import Variant, is_bases
from bioq.genome.windows import read_padded

Side = Literal["next", "previous"]
Indel = Literal["left", "right", "both"]
_Values = npt.NDArray[Any]
_CONCRETE = frozenset(dna.BASES)

SCORED = "scored"
EDGE_PADDED = "edge_padded"
SWAPPED = "allele_swapped"
REF_MISMATCH = "ref_mismatch"
OUTSIDE = "outside_contig"
NO_CONTIG = "no_contig"
CONTIG_DIFFERS = "contig_differs"

STATUSES: Mapping[str, str] = {
    SCORED: "the genome has REF, or an IUPAC code that allows it; both alleles were predicted",
    EDGE_PADDED: "scored too; the window reaches past the contig's end, where it holds N",
    "symbolic": "ALT is symbolic (<DEL>) or a breakend",
    "star": "ALT is *: removed by a deletion further up",
    "no_alt": "ALT is .: no other allele",
    NO_CONTIG: "the genome has no contig of this name",
    CONTIG_DIFFERS: "the contig has another length in the VCF's header than in the genome",
    OUTSIDE: "POS or the end of REF lies outside the contig",
    "ambiguous": "an allele holds letters other than A, C, G, T",
    "alt_is_ref": "ALT is the same as REF",
    REF_MISMATCH: "the genome has other bases than REF; see genome_ref",
    "too_long": "REF or ALT has more than window_bp // 2 - 1 bases (499 for windows of 1,000)",
    SWAPPED: "the whole ALT is what the genome has, REF is not; scored only on request",
}
"""Every status that an allele can get, and what it means.

After the two of scored alleles they are in the order in which they are decided: the first that is
true of an allele is its status. docs/reference/variant-table.md has the same table.
"""


@dataclass(frozen=True, slots=True)
class AlleleSite:
    """Where an allele is on the genome, and which bases it puts there."""

    status: str
    """A key of `STATUSES`."""
    genome_ref: str = ""
    """The genome's letters at REF, IUPAC codes too, if they differ from REF."""
    contig: str = ""
    start: int = 0
    """0-based first base of REF."""
    replaced_bp: int = 0
    """Bases of the genome that `inserted` replaces."""
    inserted: dna.Bytes | None = None
    """Codes of the allele that the genome does not have: ALT, or REF if the two are swapped. None
    if the allele cannot be scored."""
    written: dna.Bytes | None = None
    """Codes of REF if the genome has IUPAC codes there that allow it: the genome's window gets
    them. None if the genome has REF itself."""
    beside: frozenset[Side] | None = None
    """Where the genome has the REF of an SNV beside POS, if not at POS; None for other alleles."""

    @property
    def is_masked(self) -> bool:
        """Whether the genome has N, and nothing else, in place of REF."""
        return bool(self.genome_ref) and not self.genome_ref.strip("N")


@dataclass(frozen=True, slots=True)
class WindowPositions:
    """The position of every base of a window on its contig."""

    position: npt.NDArray[np.int64]
    """`(window_bp,)`, 0-based; negative or past the end for bases outside the contig."""
    inserted: npt.NDArray[np.int64]
    """`(window_bp,)`: 0, or 1, 2, ... for the bases that an allele inserts after `position`."""


@dataclass(frozen=True, slots=True)
class AlleleWindows:
    """The codes of an allele's windows."""

    genome: dna.Bytes
    """uint8 `(window_bp,)`."""
    edited: tuple[dna.Bytes, ...]
    """The windows with the allele: one, or two if the left and the right flank are kept."""
    is_padded: bool
    """Whether a window reaches past the end of the contig."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """How the windows of an allele are cut from a stretch of the genome.

    The stretch has the genome's window, `before` more bases on its left and `after` more on its
    right, so that a window in which the allele has removed bases can be filled.
    """

    site: AlleleSite
    window_bp: int
    before: int
    after: int
    sides: tuple[Literal["left", "right"], ...]
    """The flanks that keep their position, one for each edited window."""

    @property
    def index(self) -> int:
        """Index of the first base of REF in the stretch."""
        return centre_index(self.window_bp) + self.before

    @property
    def start(self) -> int:
        """Position of the stretch's first base on the contig."""
        return self.site.start - self.index

    @property
    def end(self) -> int:
        return self.start + self.before + self.window_bp + self.after

    def genome_window(self, stretch: _Values) -> _Values:
        """Return the genome's window of values `(end - start,)`."""
        return stretch[self.before : self.before + self.window_bp]

    def edited_windows(self, stretch: _Values, inserted: _Values) -> tuple[_Values, ...]:
        """Replace the values at the site by `inserted`, and return the edited windows."""
        edited = np.concatenate(
            [stretch[: self.index], inserted, stretch[self.index + self.site.replaced_bp :]]
        )
        right_end = len(edited) - self.after
        windows = {
            "left": edited[self.before : self.before + self.window_bp],
            "right": edited[right_end - self.window_bp : right_end],
        }
        return tuple(windows[side] for side in self.sides)


def centre_index(window_bp: int) -> int:
    """Return the index in a window of the first base of REF."""
    return window_bp // 2 - 1


def locate_allele(variant: Variant, names: ContigNames, window_bp: int) -> AlleleSite:
    """Locate an allele on the genome; its status is `scored` or the reason why not.

    It is the first status of `STATUSES`, from `symbolic` on, that is true of the allele; an allele
    of which none is true is scored.
    """
    site = find_site(variant, names)
    if site.status not in (SCORED, SWAPPED, REF_MISMATCH):
        return site
    if variant.ref.upper() == variant.alt.upper():
        return AlleleSite("alt_is_ref")
    longest = max(len(variant.ref), len(variant.alt))
    if site.inserted is not None and longest > max(centre_index(window_bp), 1):
        return AlleleSite("too_long", site.genome_ref)
    return site


def find_site(variant: Variant, names: ContigNames) -> AlleleSite:
    """Locate an allele of any length, also one whose ALT is REF, by the bases that the genome has.

    The status is none of `too_long` and `alt_is_ref`.
    """
    status = _status_of_alt(variant.alt)
    if status:
        return AlleleSite(status)
    number = names.find(variant.chrom)
    if number is None:
        return AlleleSite(NO_CONTIG)
    contig = names.contigs[number]
    if _differs(variant, contig, names.genome.lengths[contig]):
        return AlleleSite(CONTIG_DIFFERS)
    start, end = variant.pos - 1, variant.pos - 1 + len(variant.ref)
    if start < 0 or end > names.genome.lengths[contig]:
        return AlleleSite(OUTSIDE)
    ref, alt = variant.ref.upper(), variant.alt.upper()
    if not _CONCRETE.issuperset(ref) or not _CONCRETE.issuperset(alt):
        return AlleleSite("ambiguous")
    return _compare_with_genome(names.genome, contig, start, ref, alt)


def _differs(variant: Variant, contig: str, genome_bp: int) -> bool:
    """Return whether a variant's contig is another sequence than the genome's, by its length."""
    bp = variant.contig_bp
    return bp is not None and bp != genome_bp and compare_lengths(contig, bp, genome_bp) != "part"


def _status_of_alt(alt: str) -> str:
    """Return the status of an ALT that is not spelled in bases, or nothing."""
    if alt in ("*", "."):
        return "star" if alt == "*" else "no_alt"
    return "" if is_bases(alt) else "symbolic"


def _compare_with_genome(genome: Genome, contig: str, start: int, ref: str, alt: str) -> AlleleSite:
    """Return the site of alleles with REF inside the contig: has the genome REF, ALT or neither?"""
    ref_codes, alt_codes = dna.encode(ref), dna.encode(alt)
    codes = genome.read(contig, start, start + len(ref))
    if np.array_equal(codes, ref_codes):
        return AlleleSite(SCORED, "", contig, start, len(ref), alt_codes)
    if dna.UNKNOWN in codes:
        letters = genome.letters(contig, start, start + len(ref))
        if dna.allows(letters, ref):
            return AlleleSite(SCORED, letters, contig, start, len(ref), alt_codes, ref_codes)
    else:
        letters = dna.decode(codes)
    beside = _sides_with_ref(genome, contig, start, ref, alt)
    if _may_be_swapped(ref, alt):
        end = start + len(alt)
        if end <= genome.lengths[contig] and np.array_equal(
            genome.read(contig, start, end), alt_codes
        ):
            return AlleleSite(SWAPPED, letters, contig, start, len(alt), ref_codes, beside=beside)
    return AlleleSite(REF_MISMATCH, letters, beside=beside)


def _sides_with_ref(
    genome: Genome, contig: str, start: int, ref: str, alt: str
) -> frozenset[Side] | None:
    """Return on which sides of `start` the genome has the REF of an SNV; None for other alleles."""
    if len(ref) > 1 or len(alt) > 1:
        return None
    first, end = max(start - 1, 0), min(start + 2, genome.lengths[contig])
    has_ref = genome.read(contig, first, end) == dna.encode(ref)
    sides: dict[Side, int] = {"previous": start - 1, "next": start + 1}
    return frozenset(
        side for side, at in sides.items() if first <= at < end and has_ref[at - first]
    )


def _may_be_swapped(ref: str, alt: str) -> bool:
    """Return whether ALT has a base that REF does not have.

    The ALT of a deletion is what REF has before and after the deleted bases. A genome that has
    those bases, for example the first base alone, does not show that it has ALT.
    """
    if len(alt) >= len(ref):
        return True
    differs = (at for at, (base, other) in enumerate(zip(alt, ref, strict=False)) if base != other)
    return not ref.endswith(alt[next(differs, len(alt)) :])


def read_allele_windows(
    genome: Genome, site: AlleleSite, window_bp: int, indel: Indel
) -> AlleleWindows:
    """Return the genome's window around an allele, and the windows with the allele.

    An allele that changes the length shifts one flank: indel="left" keeps the position of the
    left flank and moves the bases on the right; "right" keeps the right flank; "both" gives both
    windows. An allele that keeps the length gives one window for every `indel`. At an IUPAC code
    that allows REF the genome's window has REF; IUPAC codes elsewhere are unknown bases.
    """
    if site.inserted is None:
        raise ValueError(f"an allele with status {site.status} has no windows")
    edit = _edit_of(site, len(site.inserted), window_bp, indel)
    codes = read_padded(genome, site.contig, edit.start, edit.end)
    if site.written is not None:
        codes = codes.copy()
        codes[edit.index : edit.index + len(site.written)] = site.written
    return AlleleWindows(
        genome=edit.genome_window(codes),
        edited=edit.edited_windows(codes, site.inserted),
        is_padded=edit.start < 0 or edit.end > genome.lengths[site.contig],
    )


def window_positions(
    site: AlleleSite, window_bp: int, indel: Indel
) -> tuple[WindowPositions, tuple[WindowPositions, ...]]:
    """Return the positions of the bases of `read_allele_windows`: of the genome's window, and of
    each edited window.

    The bases of the allele have the positions of the bases that they replace, in order; the bases
    that it has in addition are inserted after the last of them.
    """
    if site.inserted is None:
        raise ValueError(f"an allele with status {site.status} has no windows")
    edit = _edit_of(site, len(site.inserted), window_bp, indel)
    position = np.arange(edit.start, edit.end)
    inserted = np.zeros_like(position)
    order = np.arange(len(site.inserted))
    last = site.replaced_bp - 1
    edited = zip(
        edit.edited_windows(position, site.start + np.minimum(order, last)),
        edit.edited_windows(inserted, np.maximum(order - last, 0)),
        strict=True,
    )
    genome = WindowPositions(edit.genome_window(position), edit.genome_window(inserted))
    return genome, tuple(WindowPositions(*window) for window in edited)


def _edit_of(site: AlleleSite, inserted_bp: int, window_bp: int, indel: Indel) -> _Edit:
    removed_bp = site.replaced_bp - inserted_bp
    sides: tuple[Literal["left", "right"], ...] = ("left", "right") if indel == "both" else (indel,)
    return _Edit(
        site=site,
        window_bp=window_bp,
        before=max(removed_bp, 0) if indel != "left" else 0,
        after=max(removed_bp, 0) if indel != "right" else 0,
        sides=sides if removed_bp else sides[:1],
    )
