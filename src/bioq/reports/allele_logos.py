"""The two alleles of a variant as logos: how much each base around it counts for one target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape
from torch import nn

from bioq import dna
from bioq.genome.alleles import locate_allele
from bioq.genome.notation import VariantText
from bioq.genome.vcf import Variant
from bioq.inputs import Locus
from bioq.inputs.loci import allele_loci
from bioq.interpretation import mutate_window
from bioq.plots.interpretation import letter_heights
from bioq.reports.top_alleles import RankedAllele
from bioq.variants.scoring import Scorer

FLANKS_BP = 50
"""Bases around an allele, half on each side: motifs of transcription factors have 6 to 30."""
MOST_ALLELE_BP = 50
"""An allele with more bases has no logo: its letters would be too small to read."""
_WIDE, _HIGH = 8, 48
"""Width of a base and height of a logo, in units of the SVG."""
_LEAST_HIGH = 0.4
"""Lower letters are not drawn: they cannot be seen."""

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AlleleLogo:
    """One allele: the bases around it, and how much each of them counts."""

    name: str
    """REF or ALT and the bases of the allele."""
    probability: float
    """Of the target, in the window with this allele."""
    bases: dna.Bytes
    """Codes `(bases,)`."""
    columns: _Numbers
    """Of each base; the columns of the two alleles have the same positions on the genome."""
    heights: npt.NDArray[np.float64]
    """`(bases,)`: mean decrease of the probability if the base is replaced."""


@dataclass(frozen=True)
class AllelePair:
    """The two alleles of a variant, on one scale."""

    alleles: tuple[AlleleLogo, AlleleLogo]
    width: int
    """Number of columns."""
    marked: tuple[int, int]
    """The columns of the alleles, half-open."""
    first: int
    last: int
    """The positions of the first and the last column, counted from 1."""

    @property
    def tallest(self) -> float:
        """The largest height of a letter, above or below the line."""
        return max(float(np.abs(each.heights).max(initial=0)) for each in self.alleles)

    def drawings(self) -> list[Markup]:
        """Return an SVG of each allele; both have the same scale."""
        heights = np.concatenate([each.heights for each in self.alleles])
        low, high = float(heights.min(initial=0)), float(heights.max(initial=0))
        unit = _HIGH / ((high - low) or 1.0)
        return [self._draw(each, unit, top=high * unit) for each in self.alleles]

    def _draw(self, allele: AlleleLogo, unit: float, *, top: float) -> Markup:
        left, right = (_WIDE * column for column in self.marked)
        letters = [
            _letter(dna.BASES[code], _WIDE * column, top, height)
            for code, column, height in zip(
                allele.bases.tolist(),
                allele.columns.tolist(),
                (allele.heights * unit).tolist(),
                strict=True,
            )
            if code < dna.UNKNOWN and abs(height) >= _LEAST_HIGH
        ]
        line = "".join(f"M{_WIDE * column} {top:.4g}h{_WIDE}" for column in allele.columns)
        label = escape(f"{allele.name}: {dna.decode(allele.bases)}")
        return Markup(
            f'<svg viewBox="0 -1 {_WIDE * self.width} {_HIGH + 2}" '
            f'preserveAspectRatio="none" role="img" aria-label="{label}">'
            f'<rect class="allele" x="{left}" y="-1" width="{right - left}" height="{_HIGH + 2}"/>'
            f'<path class="base" d="{line}"/>{"".join(letters)}</svg>'
        )


def _letter(base: str, x: int, line: float, height: float) -> str:
    """Return a letter that stands on the line or, with a negative height, hangs from it upside
    down; the letters of `letters.html.j2` are 8 wide and 1 high, from their top."""
    return f'<use href="#{base}" transform="matrix(1 0 0 {height:.4g} {x} {line - height:.4g})"/>'


def allele_pair(scorer: Scorer, allele: RankedAllele, target: int) -> AllelePair | None:
    """Return the two alleles of a scored variant, by mutagenesis of their windows.

    Every base of an allele and of the `FLANKS_BP` around it is replaced, on the strands and with
    the precision of the scoring. `target` is its number among all targets of the model. Returns
    None if an allele has more than `MOST_ALLELE_BP`, or the window is too short for its bases.
    """
    text = VariantText(
        *(str(allele.columns[name]) for name in ("chrom", "pos", "id", "ref", "alt"))
    )
    longest = max(len(text.ref), len(text.alt))
    window_bp = scorer.window_bp
    if longest > min(MOST_ALLELE_BP, window_bp - window_bp // 2):
        return None
    variant = Variant(str(text), text.chrom, int(text.pos), text.id, text.ref, text.alt)
    site = locate_allele(variant, scorer.names, window_bp)
    span_bp = min(FLANKS_BP + longest, window_bp)
    genome = scorer.names.genome
    loci = allele_loci(text, site, genome, window_bp=window_bp, span_bp=span_bp)
    model = scorer.model_for(site.contig)
    explained = [_explain(scorer, model, locus, target) for locus in loci]
    return _aligned([text.ref, text.alt], loci, explained)


def _explain(
    scorer: Scorer, model: nn.Module, locus: Locus, target: int
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the probability of a window, and the heights of the letters of its locus."""
    reference, effects = mutate_window(
        model,
        locus.codes,
        start=locus.start,
        end=locus.end,
        targets=[target],
        strands=scorer.options.strands,
        batch_size=scorer.options.batch_size,
        device=scorer.device,
        precision=scorer.options.precision,
    )
    return float(reference[0]), letter_heights(locus.bases, effects[:, :, 0])


def _aligned(
    alleles: Sequence[str],
    loci: Sequence[Locus],
    explained: Sequence[tuple[float, npt.NDArray[np.float64]]],
) -> AllelePair:
    """Put the bases of both alleles into columns by their position on the genome.

    An inserted base has a column of its own, in which the other allele has none. The columns end
    where one of the alleles does.
    """
    first = max(int(locus.position[0]) for locus in loci)
    last = min(int(locus.position[-1]) for locus in loci)
    inside = [(locus.position >= first) & (locus.position <= last) for locus in loci]
    keys = [
        list(zip(locus.position[shown].tolist(), locus.inserted[shown].tolist(), strict=True))
        for locus, shown in zip(loci, inside, strict=True)
    ]
    column = {key: number for number, key in enumerate(sorted({*keys[0], *keys[1]}))}
    of_alleles = {column[key] for locus in loci for key in _keys_of_allele(locus) if key in column}
    logos: list[Any] = [
        AlleleLogo(
            name=f"{name} {allele.upper()}",
            probability=probability,
            bases=locus.bases[shown],
            columns=np.array([column[key] for key in of_base], dtype=np.int64),
            heights=heights[shown],
        )
        for name, allele, locus, shown, of_base, (probability, heights) in zip(
            ("REF", "ALT"), alleles, loci, inside, keys, explained, strict=True
        )
    ]
    marked = (min(of_alleles), max(of_alleles) + 1)
    return AllelePair((logos[0], logos[1]), len(column), marked, first + 1, last + 1)


def _keys_of_allele(locus: Locus) -> list[tuple[int, int]]:
    start, end = locus.allele or (0, 0)
    return list(
        zip(locus.position[start:end].tolist(), locus.inserted[start:end].tolist(), strict=True)
    )
