"""The distribution of effects among many variants: the reference of E-values, z-scores and ranks.

A background has, for each kind of variant and each target, a histogram of the sizes of effects,
whose steps have 9 significant bits (0.4 %), from 2^-64; and, for sets of targets, the counts of
`ranks`. `file` reads and writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.genome.builds import lengths_in
from bioq.variants.background.effect_counts import KINDS, OWN_KIND, variants_above_of
from bioq.variants.background.ranks import (
    NO_EFFECT,
    Above,
    Counts,
    Phreds,
    phred_of,
    ranks_of_one,
    steps_of,
)
from bioq.variants.columns import TargetNumbers
from bioq.variants.scores import ScoreArray, effect

FEW = 10_000
"""Of fewer variants two backgrounds agree in less than half of the ten highest alleles: see
docs/how-to/background.md."""
REMEDY = "make it again with 'bioq background --force'"
Kinds = npt.NDArray[np.bool_]
"""`(alleles,)`: whether an allele is an indel; as a number, the index in `KINDS`."""


@dataclass(frozen=True)
class Reference:
    """The variants that the alleles of one of `KINDS` are compared with."""

    variants: int
    above: Above
    """`(targets, steps)`: the variants whose effect is in a higher step."""
    root_mean_square: npt.NDArray[np.float64]
    """`(targets,)` of diff."""
    rank_counts: Counts | None
    """`(sets, steps)`; None in a file of format version 1, which has no ranks."""

    def phred(self, targets: TargetNumbers, sets: Mapping[bytes, int]) -> Phreds:
        """Return score_phred of each step of the smallest number of variants among some targets.

        NaN without ranks. Raises KeyError if the background has no ranks of these targets.
        """
        if self.rank_counts is None:
            return np.full(steps_of(self.variants), np.nan)
        if len(targets) == 1:
            return phred_of(ranks_of_one(self.above[targets[0]], self.variants))
        return phred_of(self.rank_counts[sets[targets.tobytes()]])


@dataclass(frozen=True)
class Comparison:
    """Alleles compared with the variants of a background."""

    above: Above
    """`(alleles, targets)`: the variants with a larger effect; `NO_EFFECT` if no variant has an
    effect on the target."""
    variants: npt.NDArray[np.int64]
    """`(alleles,)`: the variants that each allele was compared with."""
    scores: Mapping[str, ScoreArray]
    """E-values and z-scores, `(alleles, targets)`."""


@dataclass(frozen=True)
class Background:
    """The distribution of the effects of a set of variants, for each target."""

    path: Path
    targets: tuple[str, ...]
    model: str
    """Fingerprint of the weights that computed it."""
    variants: int
    of_kind: tuple[int, ...]
    """The variants of each of `KINDS`; empty in a file of format version 1."""
    references: tuple[Reference, ...]
    """What the alleles of each of `KINDS` are compared with; one object if that is the same."""
    sets: Mapping[bytes, int]
    """Bytes of the numbers of targets (int64) -> their row of the rank counts."""
    provenance: Mapping[str, Any]

    @property
    def contig_lengths(self) -> Mapping[str, int]:
        """Contig -> bases in the genome of its variants; {} if the file does not record them."""
        return lengths_in(self.provenance)

    @property
    def has_ranks(self) -> bool:
        """Whether the file has ranks; one of format version 1 has none."""
        return all(reference.rank_counts is not None for reference in self.references)

    def compare(self, scores: Mapping[str, ScoreArray], indels: Kinds) -> Comparison:
        """Compare alleles, `(alleles, targets)` over all targets, with the variants of their kind.

        The E-value is the share of background variants with a larger effect (DeepSEA 0.94,
        3_h5ToOutput.py). If no variant has a larger effect, it is 1 / variants (DeepSEA: 1e-6, of
        a million). The z-score is diff divided by its root mean square in the background
        (HumanBase's DeepSEA). Both are NaN if no variant has an effect on the target.
        """
        sizes, kinds = effect(scores), indels.astype(np.int64)
        first, second = self.references
        above = variants_above_of(first.above, sizes)
        if second is not first and indels.any():
            above[indels] = variants_above_of(second.above, sizes[indels])
        above[np.isnan(sizes)] = NO_EFFECT
        variants = np.array([reference.variants for reference in self.references])[kinds]
        mean_squares = np.stack([reference.root_mean_square for reference in self.references])
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (scores["diff"] / mean_squares[kinds]).astype(np.float32)
        has_evalue = above != NO_EFFECT
        share = np.maximum(above, 1) / variants[:, None]
        return Comparison(
            above,
            variants,
            {
                "evalue": np.where(has_evalue, share, np.nan).astype(np.float32),
                "zscore": np.where(np.isfinite(z), z, np.float32("nan")),
            },
        )

    def most_phreds(self) -> list[float]:
        """Return, for each of `KINDS`, the largest score_phred over all targets: that of an allele
        with a larger effect on a target than every variant. NaN without ranks."""
        every = np.arange(len(self.targets), dtype=np.int64)
        return [float(phred[0]) for phred in self.phreds(every)]

    def lines(self) -> list[str]:
        """Return what alleles are compared with and their largest score_phred: a line for each of
        `KINDS`, or one for all alleles if they are compared with the same variants."""
        same = self.references[0] is self.references[1]
        titles = ("alleles",) if same else [f"{kind}s" for kind in KINDS]
        mixed = f" ({self.of_kind[1]:,} of them indels)" if same and self.of_kind else ""
        lines = []
        for title, reference, most in zip(
            titles, self.references, self.most_phreds(), strict=False
        ):
            ceiling = "" if most != most else f": score_phred is at most {most:.1f}"
            lines.append(
                f"{title} are compared with {reference.variants:,} variants of "
                f"{self.path.name}{mixed}{ceiling}"
            )
        return lines

    def notes(self) -> list[str]:
        """Return a line if the background has few variants."""
        if self.variants >= FEW:
            return []
        return [
            f"{self.path.name} has few variants, so many alleles can have the largest score_phred; "
            "give 100,000 to tell the highest apart"
        ]

    def doubts(self, indels: int) -> str:
        """Return what is wrong with the ranks of a number of indels; an empty text if there are
        none, or they are compared with their own kind."""
        if not indels or not self.has_ranks:
            return ""
        of_kind = self.of_kind[1]
        if self.references[1].variants == of_kind:
            return ""
        return (
            f"{indels:,} {'allele is an indel' if indels == 1 else 'alleles are indels'}, and "
            f"{of_kind:,} variants of {self.path.name} are: their score_phred is too high "
            "(measured: by 2 on average, by 4 among the highest). Do not compare indels with SNVs "
            f"by it; a background with {OWN_KIND:,} indels gives them ranks of their own"
        )

    def phreds(self, targets: TargetNumbers) -> list[Phreds]:
        """Return, for each of `KINDS`, score_phred of each step of the smallest number of variants
        among some targets (see `ranks`); NaN without ranks.

        Raises KeyError if the background has no ranks of these targets.
        """
        return [reference.phred(targets, self.sets) for reference in self.references]


def require_same_model(background: Background, model: str, targets: list[str]) -> None:
    """Raise BioqError if a background was made with other weights or for other targets."""
    if background.targets != tuple(targets):
        raise BioqError(
            f"{background.path}: is a background of {len(background.targets)} targets, the first "
            f"{background.targets[0]!r}; the model has {len(targets)}, the first {targets[0]!r}; "
            "make one with this model, or score without one: --background none"
        )
    if background.model != model:
        raise BioqError(
            f"{background.path}: was made with other weights ({background.model[:12]}) than the "
            f"model has ({model[:12]}); make one with this model: 'bioq background', or "
            "score without one: --background none"
        )
