"""What the second stage sees of an allele: its scores of every target, and the tracks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.genome import ContigNames
from bioq.genome.bigwig import Track
from bioq.variants.columns import is_scored
from bioq.variants.scoring import ScoredBlock

SCORES = ("diff", "log2_odds_ratio")
"""The scores whose absolute values are features."""
Span = tuple[str, int, int]
"""Contig of the genome, and the bases of REF: 0-based start and end."""


def feature_names(targets: Sequence[str], tracks: Sequence[str]) -> list[str]:
    """Return the name of every feature, in order."""
    of_targets = [f"|{score}|:{target}" for score in SCORES for target in targets]
    return [*of_targets, *(f"track:{name}" for name in tracks), *(f"missing:{n}" for n in tracks)]


def span_of(names: ContigNames, columns: Any, row: int) -> Span:
    """Return the bases of REF of a scored allele."""
    start = int(columns["pos"][row]) - 1
    number = names.require(columns["chrom"][row], "allele")
    return names.contigs[number], start, start + len(columns["ref"][row])


def features_of(
    block: ScoredBlock, spans: Sequence[Span], tracks: Sequence[Track]
) -> npt.NDArray[np.float32]:
    """Return the features of the scored alleles of a block, whose spans are given:
    `(alleles, features)`, in the order of `feature_names`.

    The block has the scores of all targets. A track has NaN where it has no value, and 1 in its
    feature `missing`.
    """
    scored = is_scored(block.columns)
    of_tracks = np.array(
        [[track.value(*span) for track in tracks] for span in spans], dtype=np.float32
    ).reshape(len(spans), len(tracks))
    of_targets = [np.abs(block.scores[name][scored]) for name in SCORES]
    return np.concatenate([*of_targets, of_tracks, np.isnan(of_tracks)], axis=1, dtype=np.float32)
