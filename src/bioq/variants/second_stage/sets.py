"""The positives and the negatives: their features, the properties by which sets may differ, and
the use of every allele in a fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.genome import ContigNames
from bioq.genome.alleles import centre_index
from bioq.genome.bigwig import Track
from bioq.genome.gene_starts import Starts
from bioq.genome.vcf_frequencies import read_frequencies
from bioq.inputs import Alleles, alleles_name
from bioq.progress import progress
from bioq.variants.background.effect_counts import are_indels
from bioq.variants.columns import SCORE_PHRED, is_scored
from bioq.variants.scoring import Scorer
from bioq.variants.second_stage.cross_fit import Features, Labels, Numbers
from bioq.variants.second_stage.features import Span, features_of, span_of
from bioq.variants.summary import Summary, summary_of

ALLELE = ("chrom", "pos", "id", "ref", "alt", "status")
"""The columns of an allele that are kept."""
FREQUENCY, DISTANCE, GC, INDEL = "allele frequency", "distance to TSS", "GC", "indel"
LARGEST = "max |diff|"
FEWEST = 20
"""Positives, and negatives, of a fit: with fewer, a fold has 2 or 3 and its scores are chance."""
USED, NOT_SCORED, REPEATED, IN_BOTH = "used", "not scored", "repeated", "in both sets"
USES = (USED, NOT_SCORED, REPEATED, IN_BOTH)
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AlleleSet:
    """The alleles of one VCF."""

    source: str
    sha256: str
    columns: Mapping[str, npt.NDArray[Any]]
    """`ALLELE`, each `(alleles,)`."""
    scored: npt.NDArray[np.bool_]
    """`(alleles,)`; the arrays below are of the scored alleles alone."""
    features: npt.NDArray[np.float32]
    contig: npt.NDArray[np.int64]
    """The number of the contig in the genome."""
    properties: Mapping[str, Values]
    """FREQUENCY, DISTANCE, GC, INDEL, LARGEST, and SCORE_PHRED. NaN if not known."""
    summary: Summary

    def allele_keys(self) -> list[tuple[int, int, str, str]]:
        """Return what is equal for the same allele, of each scored allele."""
        kept = {name: self.columns[name][self.scored].tolist() for name in ALLELE}
        return [
            (int(contig), pos, ref.upper(), alt.upper())
            for contig, pos, ref, alt in zip(
                self.contig, kept["pos"], kept["ref"], kept["alt"], strict=True
            )
        ]


def read_set(
    scorer: Scorer, source: Path, alleles: Alleles, tracks: Sequence[Track], starts: Starts | None
) -> AlleleSet:
    """Score the alleles of the VCF `source` with a scorer of all targets, and keep what a fit
    needs: 4 bytes per feature and allele, and the columns."""
    for counter in scorer.counters.values():
        counter.clear()
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ALLELE}
    known: dict[str, list[npt.NDArray[Any]]] = {LARGEST: [], SCORE_PHRED: []}
    masks, features, spans = [], [], []
    with progress(source.name, alleles.content.alleles, "alleles") as advance:
        for block in scorer.score(alleles.read()):
            scored = is_scored(block.columns)
            rows = np.flatnonzero(scored).tolist()
            of_block = [span_of(scorer.names, block.columns, row) for row in rows]
            features.append(features_of(block, of_block, tracks))
            spans += of_block
            masks.append(scored)
            for name in ALLELE:
                columns[name].append(block.columns[name])
            known[LARGEST].append(block.columns["max_abs_diff"][scored])
            known[SCORE_PHRED].append(block.columns[SCORE_PHRED][scored])
            advance(len(scored))
    mask = np.concatenate(masks)
    joined = {name: np.concatenate(each) for name, each in columns.items()}
    properties = {name: np.concatenate(each) for name, each in known.items()}
    properties[FREQUENCY] = read_frequencies(source)[mask]
    properties |= _properties(scorer.names, scorer.window_bp, spans, joined, mask, starts)
    number = {name: at for at, name in enumerate(scorer.names.contigs)}
    return AlleleSet(
        source=alleles_name(source),
        sha256=alleles.sha256(),
        columns=joined,
        scored=mask,
        features=np.concatenate(features),
        contig=np.array([number[span[0]] for span in spans], dtype=np.int64),
        properties=properties,
        summary=summary_of(scorer, alleles.content),
    )


def _properties(
    names: ContigNames,
    window_bp: int,
    spans: Sequence[Span],
    columns: Mapping[str, npt.NDArray[Any]],
    scored: npt.NDArray[np.bool_],
    starts: Starts | None,
) -> dict[str, Values]:
    """Return the properties that follow from the position and the alleles."""
    distances = [float("nan") if starts is None else starts.distance(*span[:2]) for span in spans]
    return {
        GC: np.array([_gc(names, window_bp, contig, start) for contig, start, _ in spans]),
        INDEL: are_indels(columns["ref"][scored], columns["alt"][scored]).astype(np.float64),
        DISTANCE: np.array(distances),
    }


def _gc(names: ContigNames, window_bp: int, contig: str, start: int) -> float:
    """Return the share of G and C in the window of an allele, of its known bases."""
    first = start - centre_index(window_bp)
    end = min(first + window_bp, names.genome.lengths[contig])
    codes = names.genome.read(contig, max(first, 0), end)
    count = np.bincount(codes, minlength=5)
    known = int(count[:4].sum())
    return float(count[1] + count[2]) / known if known else float("nan")


@dataclass(frozen=True)
class Joined:
    """The alleles that a fit uses: the positives, then the negatives."""

    uses: Sequence[npt.NDArray[Any]]
    """For each set the use of every allele, one of `USES`."""
    features: Features
    labels: Labels
    contig: Numbers
    position: Numbers
    properties: Mapping[str, Values]


def join(sets: Sequence[AlleleSet]) -> Joined:
    """Join positives and negatives. The first of several equal alleles is used, so an allele that
    is in both sets is a positive.

    Raises BioqError if a set has fewer than `FEWEST` alleles to use.
    """
    first_in: dict[tuple[int, int, str, str], int] = {}
    uses, kept = [], []
    for number, each in enumerate(sets):
        use = np.full(len(each.scored), NOT_SCORED, dtype=object)
        of_scored = []
        for key in each.allele_keys():
            of_scored.append(
                USED if key not in first_in else REPEATED if first_in[key] == number else IN_BOTH
            )
            first_in.setdefault(key, number)
        use[each.scored] = of_scored
        uses.append(use)
        kept.append(use[each.scored] == USED)
    for each, use, name in zip(sets, uses, ("positives", "negatives"), strict=True):
        count = int((use == USED).sum())
        if count < FEWEST:
            others = (f"{int((use == other).sum()):,} {other}" for other in USES[1:])
            raise BioqError(
                f"{each.source}: has {count:,} alleles for the {name} ({', '.join(others)}); "
                f"expected {FEWEST} or more"
            )
    pairs = list(zip(sets, kept, strict=True))
    return Joined(
        uses=uses,
        features=np.concatenate([each.features[rows] for each, rows in pairs]),
        labels=np.repeat([True, False], [int(rows.sum()) for rows in kept]),
        contig=np.concatenate([each.contig[rows] for each, rows in pairs]),
        position=np.concatenate([each.columns["pos"][each.scored][rows] for each, rows in pairs]),
        properties={
            name: np.concatenate([each.properties[name][rows] for each, rows in pairs])
            for name in sets[0].properties
        },
    )
