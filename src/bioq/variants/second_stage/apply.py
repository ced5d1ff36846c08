"""`bioq rank apply`: a table of alleles with the column `rank_score`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError, some
from bioq.files import refuse_input
from bioq.genome import ContigNames
from bioq.genome.bigwig import Track, open_tracks
from bioq.inputs import open_alleles
from bioq.tables import Kind, Layout
from bioq.variants.columns import RANK_MEANING, RANK_SCORE, is_scored
from bioq.variants.jobs import (
    VariantJob,
    check_output,
    contigs_of,
    open_scorer,
    scored_blocks,
    table_metadata,
)
from bioq.variants.outputs.table import VariantTableOptions, open_rows
from bioq.variants.scoring import ScoredBlock
from bioq.variants.second_stage.features import features_of, span_of
from bioq.variants.second_stage.rank_file import (
    FOLDER_KIND,
    RANK_FILE,
    Rank,
    read_rank,
    require_same_model,
)
from bioq.variants.summary import Summary, summary_of


def apply_rank(
    job: VariantJob,
    folder: Path,
    out: Path,
    table: VariantTableOptions = VariantTableOptions(),  # noqa: B008 frozen
    *,
    tracks: tuple[Path, ...] = (),
    force: bool = False,
) -> Summary:
    """Write the alleles of a VCF with `rank_score`, the probability that an allele is one of the
    positives of a fit: one row per allele, the columns of `bioq variants` and no scores of targets;
    to annotate, the VCF with the field BIOQ_RANK_SCORE and those of the columns.

    `folder` was written by `fit_rank` with the same run; `tracks` are its tracks, in any order.
    Raises BioqError for malformed input and for another run or other tracks.
    """
    table = table.of_run(job.run)
    if table.targets or table.scores or table.held_out or table.format != "table":
        raise UsageError(
            "rank apply writes the score of the fit, of all targets and members; run "
            "'bioq variants' for --targets, --scores, --held-out and --format"
        )
    refuse_input(out, *tracks, *(folder / name for name in (RANK_FILE, *FOLDER_KIND.names)))
    check_output(job, out, table, force=force)
    rank = read_rank(folder)
    with (
        open_scorer(job, table) as scorer,
        open_tracks(tracks, scorer.names) as opened,
        open_alleles(job.source, scorer.names, may_be_empty=True) as alleles,
    ):
        require_same_model(folder, rank, scorer.fingerprint(), list(scorer.targets[NAME]))
        _compare_options(folder, rank, job)
        ordered = _in_order(folder, rank, opened)
        metadata = table_metadata(scorer, job.source, ()) | {"rank": folder.name}
        metadata["columns"][RANK_SCORE] = RANK_MEANING
        columns: dict[str, Kind] = {**scorer.columns, RANK_SCORE: "number"}
        layout = Layout(columns, scorer.targets, (), metadata)
        contigs = contigs_of(scorer.names, alleles.content)
        with open_rows(out, layout, table, contigs, alleles.file) as rows:
            for block in scored_blocks(scorer, alleles):
                scores = _rank_scores(block, rank, scorer.names, ordered)
                rows.write({**block.columns, RANK_SCORE: scores}, {})
        return summary_of(scorer, alleles.content)


def _rank_scores(
    block: ScoredBlock, rank: Rank, names: ContigNames, tracks: Sequence[Track]
) -> npt.NDArray[np.float64]:
    """Return rank_score of the alleles of a block; NaN for alleles that were not scored."""
    scored = is_scored(block.columns)
    result = np.full(len(scored), np.nan)
    if scored.any():
        spans = [span_of(names, block.columns, row) for row in np.flatnonzero(scored).tolist()]
        result[scored] = rank.score(features_of(block, spans, tracks))
    return result


def _in_order(folder: Path, rank: Rank, tracks: Sequence[Track]) -> list[Track]:
    """Return the tracks of a fit, in its order. They are recognised by their content."""
    given = {track.sha256: track for track in tracks}
    missing = [name for name, sha256 in rank.tracks if sha256 not in given]
    known = {sha256 for _, sha256 in rank.tracks}
    others = [track.name for track in tracks if track.sha256 not in known]
    if missing or others:
        needs = some((name for name, _ in rank.tracks), 5) if rank.tracks else "none"
        about = f"{some(others, 3)} is not one of them" if others else f"{some(missing, 3)} is not"
        ending = "" if others else " given, or has another content (SHA-256)"
        raise BioqError(f"{folder}: was fitted with these tracks: {needs}; {about}{ending}")
    return [given[sha256] for _, sha256 in rank.tracks]


def _compare_options(folder: Path, rank: Rank, job: VariantJob) -> None:
    """Raise BioqError if alleles are to be scored in another way than those of the fit."""
    for name, value in rank.options.items():
        given = getattr(job.options, name, value)
        if given != value:
            raise BioqError(
                f"{folder}: was fitted with --{name} {value}, not {given}; give --{name} {value}"
            )
