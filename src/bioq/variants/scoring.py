"""Score the alleles of a VCF, block by block: one row per allele, in input order."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from bioq import dna
from bioq.dataset.targets import NAME, select_targets
from bioq.errors import UsageError
from bioq.forward import BATCH_SIZE, Precision, Strands, predict_edits
from bioq.genome import ContigNames
from bioq.genome.alleles import (
    CONTIG_DIFFERS,
    EDGE_PADDED,
    NO_CONTIG,
    REF_MISMATCH,
    SCORED,
    SWAPPED,
    AlleleSite,
    AlleleWindows,
    Indel,
    locate_allele,
    read_allele_windows,
)
from bioq.genome.vcf import Variant
from bioq.models.device import choose_device, device_of
from bioq.options import AtLeastOne, check_types
from bioq.runs.held_out import HeldOut
from bioq.runs.trained_model import (
    TrainedModel,
    architecture_of,
    fingerprint_of,
    is_ensemble,
    mean_of_members,
    members_of,
    require_module,
)
from bioq.tables import Layout
from bioq.variants.background.effect_counts import are_indels
from bioq.variants.background.reference import Background, require_same_model
from bioq.variants.columns import (
    COLUMNS,
    RANKING,
    SCORE_PHRED,
    TOP_DIFF,
    empty_column,
    with_groups,
)
from bioq.variants.ranking import Ranking
from bioq.variants.scores import ScoreArray, compare, score_names, spread

BLOCK = 1024
"""Alleles that are scored together."""


@dataclass(frozen=True)
class VariantOptions:
    """How alleles are scored."""

    indel: Indel = "left"
    """The flank that keeps its position when an allele changes the length: left, right, or both
    (scores are averaged)."""
    score_swapped: bool = False
    """Score alleles if the genome has ALT, not REF; diff is still ALT minus REF."""
    strands: Strands = "both"
    """both: average the scores of a window and its reverse complement, as DeepSEA does. forward:
    use the window only."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows per forward pass."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card
    (from Python: the device of the model)."""
    precision: Precision = "32"
    """Number format of the forward pass: 32 (exact float32), tf32 or bf16."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class ScoredBlock:
    """The scores of consecutive alleles."""

    columns: Mapping[str, npt.NDArray[Any]]
    """`Scorer.columns`, each `(alleles,)`."""
    scores: Mapping[str, ScoreArray]
    """Score name -> float32 `(alleles, targets)`; NaN for alleles that were not scored."""


class Scorer:
    """Scores alleles with a model, a genome and options."""

    def __init__(
        self,
        model: nn.Module,
        names: ContigNames,
        options: VariantOptions,
        *,
        targets: Sequence[str] = (),
        background: Background | None = None,
        group_by: str | None = None,
        held_out: HeldOut | None = None,
    ):
        self.device = device_of(require_module(model))
        if options.device is not None:
            self.device = choose_device(options.device)
        self.model = model
        self.names = names
        self.options = options
        self.background = background
        self.held_out = held_out
        """What the members of an ensemble have seen, if each allele is scored by the others."""
        architecture = architecture_of(model)
        if not architecture:
            raise UsageError(
                "model has no architecture, by which the length of its windows is known; expected "
                "a model of bioq.load or bioq.build_model"
            )
        self.window_bp: int = architecture["window_bp"]
        if isinstance(model, TrainedModel):
            table = model.targets
        else:
            numbers = [f"target {number}" for number in range(architecture["targets"])]
            table = pd.DataFrame({NAME: numbers})
        self.chosen = select_targets(table, targets)
        self.targets = table.iloc[self.chosen].reset_index(drop=True)
        if background is not None:
            require_same_model(background, self.fingerprint(), list(table[NAME]))
        self._ranking = Ranking(table, self.chosen, group_by=group_by, background=background)
        self.columns = with_groups(self._ranking.groups)
        """The columns of every block, and their kinds."""
        self.statuses: Counter[str] = Counter()
        """Status -> alleles so far."""
        self.absent: Counter[str] = Counter()
        """Contig that the genome lacks -> alleles so far."""
        self.differing: Counter[str] = Counter()
        """Contig that has another length in the genome -> alleles so far."""
        self.misfits: Counter[str] = Counter()
        """Of the alleles so far whose REF the genome does not have: `masked` where it has only N,
        `snv`, and of these `next` and `previous` where it has REF beside POS."""
        self.ranked: Counter[str] = Counter()
        """Of the alleles so far that have a rank: `highest` with the largest that the background
        can give, and `indel`."""

    @property
    def counters(self) -> Mapping[str, Counter[str]]:
        """All counts of the alleles so far, by name."""
        return {
            "statuses": self.statuses,
            "absent": self.absent,
            "differing": self.differing,
            "misfits": self.misfits,
            "ranked": self.ranked,
        }

    def fingerprint(self) -> str:
        """Return the fingerprint of the model, by which a background refers to it."""
        return fingerprint_of(self.model)

    def layout(self, scores: Iterable[str], metadata: Mapping[str, Any]) -> Layout:
        """Return the layout of a table with some of the scores."""
        return Layout(self.columns, self.targets, tuple(scores), metadata)

    def score_names(self) -> tuple[str, ...]:
        """Return the names of the scores of every block."""
        return score_names(
            is_ensemble=is_ensemble(self.model), has_background=self.background is not None
        )

    def score(self, variants: Iterable[Variant]) -> Iterator[ScoredBlock]:
        """Yield the alleles with their scores, in order."""
        stream = iter(variants)
        while block := list(islice(stream, BLOCK)):
            yield self._score_block(block)

    def _score_block(self, block: list[Variant]) -> ScoredBlock:
        sites = [locate_allele(variant, self.names, self.window_bp) for variant in block]
        scored = [row for row, site in enumerate(sites) if self._is_scored(site)]
        genome, indel = self.names.genome, self.options.indel
        windows = {
            row: read_allele_windows(genome, sites[row], self.window_bp, indel) for row in scored
        }
        statuses = [site.status for site in sites]
        for row, allele in windows.items():
            if allele.is_padded and statuses[row] == SCORED:
                statuses[row] = EDGE_PADDED
        self.statuses.update(statuses)
        for counter, reason in ((self.absent, NO_CONTIG), (self.differing, CONTIG_DIFFERS)):
            counter.update(
                variant.chrom
                for variant, status in zip(block, statuses, strict=True)
                if status == reason
            )
        self.misfits.update(reason for site in sites for reason in _reasons(site))
        scores = {
            name: np.full((len(block), len(self.targets)), np.nan, dtype=np.float32)
            for name in self.score_names()
        }
        ranking = {
            name: empty_column(kind, len(block))
            for name, kind in self.columns.items()
            if name in RANKING or name not in COLUMNS
        }
        # float32, as the scores: in text the same digits as diff:TARGET
        ranking[TOP_DIFF] = ranking[TOP_DIFF].astype(np.float32)
        indels = are_indels((each.ref for each in block), (each.alt for each in block))
        for model, rows in self._models(sites, scored):
            computed = self._scores(
                model, [sites[row] for row in rows], [windows[row] for row in rows]
            )
            comparison = None
            if self.background is not None:
                comparison = self.background.compare(computed, indels[rows])
                computed |= comparison.scores
            for name, values in computed.items():
                scores[name][rows] = values[:, self.chosen]
            ranked = self._ranking.columns(computed["diff"], comparison, indels[rows])
            for name, column in ranked.items():
                ranking[name][rows] = column
        self._count_ranks(ranking[SCORE_PHRED], indels)
        columns = self._columns(block, sites, statuses, scored, scores["diff"])
        return ScoredBlock(columns | ranking, scores)

    def _count_ranks(self, phreds: npt.NDArray[Any], indels: npt.NDArray[np.bool_]) -> None:
        if self.background is not None:
            most = np.array(self.background.most_phreds())[indels.astype(np.int64)]
            ranked_indels = int((indels & ~np.isnan(phreds)).sum())
            self.ranked.update(highest=int((phreds >= most).sum()), indel=ranked_indels)

    def _is_scored(self, site: AlleleSite) -> bool:
        wanted = site.status != SWAPPED or self.options.score_swapped
        return site.inserted is not None and wanted

    def _models(
        self, sites: list[AlleleSite], scored: list[int]
    ) -> Iterable[tuple[nn.Module, list[int]]]:
        """Return models, and the rows of the alleles that each of them scores."""
        rows_of: dict[tuple[int, ...] | None, list[int]] = {}
        for row in scored:
            rows_of.setdefault(self._members_for(sites[row].contig), []).append(row)
        return [(self._with_members(members), rows) for members, rows in rows_of.items()]

    def model_for(self, contig: str) -> nn.Module:
        """Return the model that scores the alleles of a contig of the genome."""
        return self._with_members(self._members_for(contig))

    def _members_for(self, contig: str) -> tuple[int, ...] | None:
        """Return the members that score the alleles of a contig; None for the complete model."""
        if self.held_out is None:
            return None
        number = self.names.require(contig, "held out")
        return self.held_out.choose([number])[number]

    def _with_members(self, members: tuple[int, ...] | None) -> nn.Module:
        if members is None or not isinstance(self.model, TrainedModel):
            return self.model
        return self.model.with_members(members)

    def _scores(
        self, model: nn.Module, sites: list[AlleleSite], windows: list[AlleleWindows]
    ) -> dict[str, ScoreArray]:
        """Return the scores of alleles, `(alleles, all targets)`."""
        # Alleles at the same position share the genome's window, unless another REF was written
        # into it: (contig, start, REF) -> its number.
        number: dict[tuple[str, int, bytes], int] = {}
        of = [number.setdefault(_genome_window(site), len(number)) for site in sites]
        genome_window = {of[row]: allele.genome for row, allele in enumerate(windows)}
        counts = [len(allele.edited) for allele in windows]
        genome, edited = self._predict(
            model,
            np.stack([genome_window[row] for row in range(len(number))]),
            np.stack([codes for allele in windows for codes in allele.edited]),
            np.repeat(of, counts),
        )
        first, last = np.cumsum([0, *counts[:-1]]), np.cumsum(counts) - 1
        flanks = [first] if max(counts) == 1 else [first, last]
        genome, edited = (
            np.concatenate([probability[:, :, rows] for rows in flanks], axis=1)
            for probability in (genome, edited)
        )
        swapped = np.array([site.status == SWAPPED for site in sites])[:, None]
        refs, alts = np.where(swapped, edited, genome), np.where(swapped, genome, edited)
        ref, alt = (mean_of_members(model, list(each)) for each in (refs, alts))
        scores = compare(ref, alt)
        if is_ensemble(model):
            scores |= spread((alts - refs).mean(axis=1), scores["diff"])
        return scores

    def _predict(
        self, model: nn.Module, genome: dna.Bytes, edited: dna.Bytes, of: npt.NDArray[np.int64]
    ) -> tuple[ScoreArray, ScoreArray]:
        """Return float32 `(members, strands, edits, targets)` of the genome's windows and of their
        edits; a model that is no ensemble is its only member."""
        strands = [(genome, edited)]
        if self.options.strands == "both":
            strands.append((dna.reverse_complement(genome), dna.reverse_complement(edited)))
        predictions = [
            predict_edits(
                member,
                np.ascontiguousarray(windows),
                np.ascontiguousarray(edits),
                of,
                batch_size=self.options.batch_size,
                device=self.device,
                precision=self.options.precision,
            )
            for member in members_of(model)
            for windows, edits in strands
        ]
        before, after = (
            np.stack(views).reshape(-1, len(strands), *views[0].shape)
            for views in zip(*predictions, strict=True)
        )
        return before, after

    def _columns(
        self,
        block: list[Variant],
        sites: list[AlleleSite],
        statuses: list[str],
        scored: list[int],
        diff: ScoreArray,
    ) -> dict[str, npt.NDArray[Any]]:
        size = np.abs(diff[scored])
        largest, mean = np.full((2, len(block)), np.nan, dtype=np.float32)
        if scored:
            largest[scored], mean[scored] = size.max(axis=1), size.mean(axis=1)
        return {
            "chrom": _texts(variant.chrom for variant in block),
            "pos": np.array([variant.pos for variant in block], dtype=np.int64),
            "id": _texts(variant.id for variant in block),
            "ref": _texts(variant.ref for variant in block),
            "alt": _texts(variant.alt for variant in block),
            "status": _texts(statuses),
            "genome_ref": _texts(site.genome_ref for site in sites),
            "max_abs_diff": largest,
            "mean_abs_diff": mean,
        }


def _reasons(site: AlleleSite) -> Iterator[str]:
    """Yield the names under which an allele is counted in `Scorer.misfits`."""
    if site.status in (REF_MISMATCH, SWAPPED):
        if site.is_masked:
            yield "masked"
        elif site.beside is not None:
            yield "snv"
            yield from site.beside


def _genome_window(site: AlleleSite) -> tuple[str, int, bytes]:
    """Return a key that sites have in common if the genome's window is the same."""
    written = b"" if site.written is None else site.written.tobytes()
    return site.contig, site.start, written


def _texts(values: Iterable[str]) -> npt.NDArray[Any]:
    return np.array(list(values), dtype=object)
