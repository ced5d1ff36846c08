"""Example variants, at positions of the server's genome and with its bases as REF."""

from bioq import dna
from bioq.genome import Genome
from bioq.genome.notation import VariantText
from bioq.genome.windows import middle_start
from bioq.web.pages.sequence import Example
from bioq.web.service import Service

_POSITIONS = 16
_SPAN_BP = 60
_TRANSITION = {"A": "G", "C": "T", "G": "A", "T": "C"}
"""Base -> the base of its transition, the most common substitution."""


def examples(service: Service) -> list[Example]:
    """Return one allele, and lines of several kinds; no example without a genome of known bases."""
    window = None if service.genome is None else _known_bases(service.genome, service.window_bp)
    if window is None:
        return []
    contig, start, bases = window
    middle = len(bases) // 2
    snv = VariantText(
        contig, str(start + middle + 1), ".", bases[middle], _TRANSITION[bases[middle]]
    )
    first = middle + 10
    lines = [
        (int(snv.pos), "snv", snv.ref, snv.alt),
        (start + first + 1, "deletion", bases[first : first + 3], bases[first]),
        (start + first + 8, "insertion", bases[first + 7], bases[first + 7] + "GATA"),
        (start + first + 16, "two-alleles", bases[first + 15], _two_alts(bases[first + 15])),
        (
            start + first + 19,
            "wrong-ref",
            _TRANSITION[bases[first + 18]],
            _third(bases[first + 18]),
        ),
        (start + first + 20, "no-contig", bases[first + 19], _TRANSITION[bases[first + 19]]),
    ]
    text = "".join(
        f"{contig if name != 'no-contig' else 'chrNone'}\t{position}\t{name}\t{old}\t{new}\n"
        for position, name, old, new in lines
    )
    return [
        Example("one", "One variant", str(snv)),
        Example("several", "VCF lines, two with an error", text),
    ]


def _known_bases(genome: Genome, window_bp: int) -> tuple[str, int, str] | None:
    """Return a contig, a 0-based start and `_SPAN_BP` bases in a window without unknown bases."""
    for contig in sorted(genome.lengths, key=lambda name: -genome.lengths[name]):
        length = genome.lengths[contig]
        if length < 2 * window_bp:
            return None
        for part in range(_POSITIONS):
            share = (
                (part // 2 + 1) / _POSITIONS * (1 if part % 2 else -1)
            )  # from the middle outwards
            start = int((length - window_bp) * (0.5 + share * (_POSITIONS - 1) / _POSITIONS))
            codes = genome.read(contig, start, start + window_bp)
            if (codes < dna.UNKNOWN).all():
                before = middle_start(0, window_bp, _SPAN_BP)
                bases = dna.decode(codes[before : before + _SPAN_BP])
                return contig, start + before, bases
    return None


def _two_alts(base: str) -> str:
    return ",".join(alt for alt in dna.BASES if alt != base)[:3]


def _third(base: str) -> str:
    """Return a base that is neither `base` nor its transition."""
    return next(alt for alt in dna.BASES if alt not in (base, _TRANSITION[base]))
