"""The invented regulation of a simulated genome: where motifs are planted, and their targets.

An element is one site, or two sites with a gap between them, planted on either strand. Elements
are at least `MARGIN_BP` apart, so that no rule applies to sites of two elements.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.motifs import Floats, Motif

CTCF, SRF, REST, HNF4A, ZNF143, EGR3 = "CTCF", "SRF", "REST", "HNF4A", "ZNF143", "EGR3"
JASPAR_RELEASE = "JASPAR2024"
# Motifs of 16 to 23 bits that differ from each other and, but for SRF, from their own reverse
# complement.
MATRIX_IDS: Mapping[str, str] = {
    CTCF: "MA0139.2",
    SRF: "MA0083.3",
    REST: "MA0138.3",
    HNF4A: "MA1494.2",
    ZNF143: "MA0088.2",
    EGR3: "MA0732.2",
}

NEAR_BP = 40
"""Two sites with a gap of at most this act together."""
SLOT_BP = 400
"""Each stretch of this length has at most one element."""
MARGIN_BP = 60


@dataclass(frozen=True)
class Target:
    """A simulated assay, and the rule by which it is positive."""

    name: str
    group: str
    rule: str
    motifs: tuple[str, ...] = ()
    """The motifs that the rule needs."""


NEAR = Target(
    "CTCF-near-SRF", "pair", f"CTCF and SRF within {NEAR_BP} bp, any way round", (CTCF, SRF)
)
ORDER = Target(
    "REST-then-HNF4A", "pair", f"REST, then HNF4A on its strand within {NEAR_BP} bp", (REST, HNF4A)
)
FACING = Target(
    "ZNF143-facing-EGR3",
    "pair",
    f"ZNF143 and EGR3 point at each other within {NEAR_BP} bp",
    (ZNF143, EGR3),
)
ALONE = Target("CTCF-without-SRF", "pair", f"CTCF without SRF within {NEAR_BP} bp", (CTCF,))
OPEN = Target("open", "open", "any site of any motif", tuple(MATRIX_IDS))
CONTROL = Target("control", "control", "nothing: its peaks lie at random")

TARGETS: tuple[Target, ...] = (
    *(Target(motif, "motif", f"a {motif} site", (motif,)) for motif in MATRIX_IDS),
    NEAR,
    ORDER,
    FACING,
    ALONE,
    OPEN,
    CONTROL,
)


@dataclass(frozen=True)
class Element:
    """A kind of element: its sites from left to right, as on the forward strand."""

    share: float
    """Relative frequency of this kind among all kinds."""
    motifs: tuple[str, ...]
    strands: str = ""
    """One sign per site; empty if every site is on a random strand."""
    gap_bp: tuple[int, int] = (0, 0)
    """Smallest and largest gap between the two sites."""
    makes: Target | None = None
    """The target of the pair; None for a single site, or a decoy that breaks the rule."""


_SHORT_GAP = (2, 20)
_ORDER_GAP = (10, NEAR_BP)
_FAR_GAP = (MARGIN_BP, 100)
ELEMENTS: tuple[Element, ...] = (
    *(Element(0.5, (motif,)) for motif in MATRIX_IDS),
    Element(2.0, (CTCF, SRF), "", _SHORT_GAP, NEAR),
    Element(2.0, (CTCF, SRF), "", _FAR_GAP),
    Element(2.0, (REST, HNF4A), "++", _ORDER_GAP, ORDER),
    Element(2.0, (HNF4A, REST), "++", _ORDER_GAP),
    Element(2.0, (ZNF143, EGR3), "+-", _SHORT_GAP, FACING),
    Element(1.0, (ZNF143, EGR3), "-+", _SHORT_GAP),
    Element(0.5, (ZNF143, EGR3), "++", _SHORT_GAP),
    Element(0.5, (ZNF143, EGR3), "--", _SHORT_GAP),
)


@dataclass(frozen=True)
class Site:
    """A planted instance of a motif, 0-based and half-open."""

    start: int
    end: int
    strand: str
    motif: str

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2


@dataclass(frozen=True)
class Planted:
    """An element on a contig: its sites from left to right."""

    sites: tuple[Site, ...]
    makes: Target | None

    @property
    def middle(self) -> int:
        return (self.sites[0].start + self.sites[-1].end) // 2

    def centres(self) -> list[tuple[Target, int]]:
        """Return every (target, position) at which this element is bound."""
        centres = [(TARGETS[_NUMBER[site.motif]], site.middle) for site in self.sites]
        centres.append((OPEN, self.middle))
        if self.makes is not None:
            centres.append((self.makes, self.middle))
        if self.makes is not NEAR:
            centres += [(ALONE, site.middle) for site in self.sites if site.motif == CTCF]
        return centres


_NUMBER = {target.name: number for number, target in enumerate(TARGETS)}

# Rows: the preceding base; columns: A, C, G, T. About 42 % G+C, and CpG a quarter as frequent as by
# chance, as in vertebrate genomes.
_NEXT_BASE = np.array(
    [
        [0.33, 0.17, 0.27, 0.23],
        [0.35, 0.26, 0.05, 0.34],
        [0.27, 0.21, 0.26, 0.26],
        [0.22, 0.21, 0.25, 0.32],
    ]
)
_STRETCH_BP = 1000


def background(length: int, random: np.random.Generator) -> dna.Bytes:
    """Return random codes uint8 `(length,)` in which each base depends on the preceding base.

    They are drawn in parallel in stretches of 1,000 bp; the first base of each is uniform.
    """
    stretches = -(-length // _STRETCH_BP)
    draws = random.random((_STRETCH_BP, stretches))
    codes = np.empty((_STRETCH_BP, stretches), dtype=np.uint8)
    codes[0] = draws[0] * 4
    cumulative = _NEXT_BASE.cumsum(axis=1)[:, :3]
    for step in range(1, _STRETCH_BP):
        codes[step] = (draws[step][:, None] > cumulative[codes[step - 1]]).sum(axis=1)
    return np.ascontiguousarray(codes.T).reshape(-1)[:length]


def plant(
    codes: dna.Bytes,
    motifs: Mapping[str, Motif],
    random: np.random.Generator,
    *,
    element_rate: float,
) -> list[Planted]:
    """Write elements into the codes `(length,)` of a contig, in place; return them in order.

    Each slot of 400 bp has an element with probability `element_rate`. Every instance of a motif is
    drawn from its matrix, position by position.
    """
    slots = np.flatnonzero(random.random(len(codes) // SLOT_BP) < element_rate)
    shares = np.array([element.share for element in ELEMENTS])
    kinds = random.choice(len(ELEMENTS), size=len(slots), p=shares / shares.sum())
    cumulative = {name: motif.probabilities.cumsum(axis=1) for name, motif in motifs.items()}
    planted = []
    for slot, kind in zip(slots, kinds, strict=True):
        sites = _lay_out(ELEMENTS[kind], cumulative, random)
        room = SLOT_BP - MARGIN_BP - sites[-1].end
        shift = int(slot) * SLOT_BP + int(random.integers(0, room + 1))
        moved = tuple(
            Site(site.start + shift, site.end + shift, site.strand, site.motif) for site in sites
        )
        for site in moved:
            codes[site.start : site.end] = _instance(cumulative[site.motif], site.strand, random)
        planted.append(Planted(moved, ELEMENTS[kind].makes))
    return planted


def _lay_out(
    element: Element, widths: Mapping[str, Floats], random: np.random.Generator
) -> list[Site]:
    """Return the sites of an element from position 0, reverse-complemented with probability 0.5."""
    strands = element.strands or "".join(random.choice(["+", "-"], size=len(element.motifs)))
    gap_bp = int(random.integers(element.gap_bp[0], element.gap_bp[1] + 1))
    order = list(zip(element.motifs, strands, strict=True))
    if random.random() < 0.5:
        order = [(motif, "-" if strand == "+" else "+") for motif, strand in reversed(order)]
    sites, start = [], 0
    for motif, strand in order:
        end = start + len(widths[motif])
        sites.append(Site(start, end, strand, motif))
        start = end + gap_bp
    return sites


def _instance(cumulative: Floats, strand: str, random: np.random.Generator) -> dna.Bytes:
    """Draw one instance of a motif, given its cumulative probabilities `(length, 4)`."""
    draws: npt.NDArray[np.float64] = random.random((len(cumulative), 1))
    codes = (draws > cumulative[:, :3]).sum(axis=1).astype(np.uint8)
    return codes if strand == "+" else dna.reverse_complement(codes)
