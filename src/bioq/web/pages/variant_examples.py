"""Example variants, at positions of the server's genome and with its bases as REF."""

from bioq import dna
from bioq.genome.notation import VariantText
from bioq.web.known_window import EXAMPLE_BP, substitution
from bioq.web.pages.sequence import Example
from bioq.web.service import Service


def examples(service: Service) -> list[Example]:
    """Return one allele, and lines of several kinds; no example without known bases of a genome."""
    window = service.known_window
    if window is None:
        return []
    start, bases = window.middle
    contig, first = window.contig, EXAMPLE_BP // 2 + 10

    def line(index: int, name: str, ref: str, alt: str) -> VariantText:
        return VariantText(contig, str(start + index + 1), name, ref, alt)

    snv, wrong, absent = (
        substitution(contig, start, bases, index)
        for index in (EXAMPLE_BP // 2, first + 18, first + 19)
    )
    deleted, inserted, several = bases[first : first + 3], bases[first + 7], bases[first + 15]
    lines = [
        snv._replace(id="snv"),
        line(first, "deletion", deleted, deleted[0]),
        line(first + 7, "insertion", inserted, inserted + "GATA"),
        line(first + 15, "two-alleles", several, _two_alts(several)),
        wrong._replace(id="wrong-ref", ref=wrong.alt, alt=_third(wrong)),
        absent._replace(id="no-contig", chrom="chrNone"),
    ]
    return [
        Example("one", "One variant", str(window.variant)),
        Example(
            "several",
            "VCF lines, two with an error",
            "".join("\t".join(columns) + "\n" for columns in lines),
        ),
    ]


def _two_alts(base: str) -> str:
    return ",".join(alt for alt in dna.BASES if alt != base)[:3]


def _third(variant: VariantText) -> str:
    """Return a base that is neither REF nor ALT."""
    return next(alt for alt in dna.BASES if alt not in (variant.ref, variant.alt))
