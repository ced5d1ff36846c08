"""`bioq rank fit`: a second stage of two sets of alleles."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bioq.dataset.targets import NAME
from bioq.files import new_folder, refuse_input, require_absent
from bioq.genome.bigwig import open_tracks
from bioq.genome.gene_starts import read_starts
from bioq.inputs import open_alleles
from bioq.tables import Kind, Layout, open_table
from bioq.variants.columns import COLUMNS, RANK_SCORE
from bioq.variants.jobs import VariantJob, open_scorer
from bioq.variants.outputs.table import VariantTableOptions
from bioq.variants.second_stage.cross_fit import CrossFit, Folds, cross_fit, divide
from bioq.variants.second_stage.features import SCORES
from bioq.variants.second_stage.logistic import Floats, scikit_learn
from bioq.variants.second_stage.quality import (
    Quality,
    by_contig,
    differences,
    qualities,
)
from bioq.variants.second_stage.rank_file import (
    FOLDER_KIND,
    HELD_OUT,
    QUALITY,
    Rank,
    write_rank,
)
from bioq.variants.second_stage.sets import (
    ALLELE,
    IN_BOTH,
    REPEATED,
    USED,
    AlleleSet,
    Joined,
    join,
    read_set,
)
from bioq.variants.summary import Summary

_KINDS_OF_QUALITY: Mapping[str, Kind] = {
    **dict.fromkeys(("score", "part"), "text"),
    **dict.fromkeys(("positives", "negatives"), "integer"),
}
"""Of the other columns: number."""


@dataclass(frozen=True)
class Extras:
    """Files besides the two sets, the run and the genome."""

    tracks: tuple[Path, ...] = ()
    """bigWig files whose value at REF is a feature."""
    genes: Path | None = None
    """GTF, GFF or BED of genes: adds the distance to the nearest TSS as a plain score."""
    background: Path | None = None
    """Background of the run: adds score_phred as a plain score. By default RUN/background.npz, if
    the run has one; none: no background."""


@dataclass(frozen=True)
class Report:
    """What `bioq rank fit` prints."""

    summaries: Sequence[Summary]
    """The status of the alleles, of the positives and of the negatives."""
    notes: list[str]
    """About alleles that are in a set twice or in both."""
    qualities: list[Quality]
    """Of rank_score, then of plain scores."""
    contigs: list[Quality]
    """Of rank_score on each contig."""
    parts: str
    """What was left out in turn."""
    warnings: list[str]
    """Properties by which the sets differ more than by chance."""


def fit_rank(
    job: VariantJob, negatives: Path, out: Path, extras: Extras = Extras(), *, force: bool = False
) -> Report:
    """Fit a second stage to positives, the alleles of `job`, and negatives; write its folder.

    Raises BioqError for malformed input, for sets that are too small or on too few parts of the
    genome, and, before any work, if `out` exists, unless `force` is given, and UsageError if
    scikit-learn is not installed.
    """
    scikit_learn()
    replaces = FOLDER_KIND if force else None
    positives = Path(str(job.source))
    table = VariantTableOptions(background=extras.background).of_run(job.run)
    read = (negatives, extras.genes, table.background_file, *extras.tracks)
    refuse_input(out, *job.inputs(), *read)
    require_absent(out, replaces=replaces)
    with (
        open_scorer(job, table) as scorer,
        open_tracks(extras.tracks, scorer.names) as tracks,
        open_alleles(positives, scorer.names) as of_positives,
        open_alleles(negatives, scorer.names) as of_negatives,
    ):
        starts = None if extras.genes is None else read_starts(extras.genes, scorer.names)
        sets = [
            read_set(scorer, source, alleles, tracks, starts)
            for source, alleles in ((positives, of_positives), (negatives, of_negatives))
        ]
        contigs = scorer.names.contigs
        model, targets = scorer.fingerprint(), tuple(scorer.targets[NAME])
    data = join(sets)
    folds = divide(data.contig, data.position, data.labels)
    fitted = cross_fit(data.features, data.labels, folds)
    rank = Rank(
        model=model,
        targets=targets,
        tracks=tuple((track.name, track.sha256) for track in tracks),
        options={name: getattr(job.options, name) for name in ("strands", "indel")},
        scaling=fitted.scaling,
        fit=fitted.fit,
    )
    report = _report(sets, data, folds, fitted, rank, contigs)
    with new_folder(out, replaces=replaces) as folder:
        write_rank(folder, rank, _about(sets, report, job))
        _write_held_out(folder / HELD_OUT, sets, data, folds, fitted.held_out)
        _write_qualities(folder / QUALITY, [*report.qualities, *report.contigs])
    return report


def _report(
    sets: Sequence[AlleleSet],
    data: Joined,
    folds: Folds,
    fitted: CrossFit,
    rank: Rank,
    contigs: tuple[str, ...],
) -> Report:
    first = len(rank.targets) * len(SCORES)
    tracks = {
        name: data.features[:, first + number].astype(np.float64)
        for number, (name, _) in enumerate(rank.tracks)
    }
    return Report(
        summaries=[each.summary for each in sets],
        notes=_notes(sets, data),
        qualities=qualities(fitted.held_out, data.properties, tracks, data.labels, folds),
        contigs=by_contig(fitted.held_out, data.labels, data.contig, contigs, folds.blocks),
        parts=folds.by,
        warnings=list(differences(data.properties, data.labels, folds)),
    )


def _notes(sets: Sequence[AlleleSet], data: Joined) -> list[str]:
    """Return a line for each set with alleles that were there before."""
    meaning = {
        REPEATED: "are there more than once; each was used once",
        IN_BOTH: "are positives too; they were left out of the negatives",
    }
    return [
        f"note: {each.source}: {count:,} of its {len(use):,} alleles {text}"
        for each, use in zip(sets, data.uses, strict=True)
        for name, text in meaning.items()
        if (count := int((use == name).sum()))
    ]


def _about(sets: Sequence[AlleleSet], report: Report, job: VariantJob) -> dict[str, Any]:
    """Return JSON values about a fit, for people."""
    names = ("positives", "negatives")
    return {
        **{
            name: {"file": each.source, "sha256": each.sha256, "statuses": each.summary.statuses}
            for name, each in zip(names, sets, strict=True)
        },
        "genome": job.genome.name,
        "left_out": report.parts,
        "scores": [_as_json(quality) for quality in report.qualities],
        "warnings": report.warnings,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _as_json(quality: Quality) -> dict[str, Any]:
    """Return the values of a quality; null where one is not defined."""

    def known(value: Any) -> Any:
        if isinstance(value, tuple):
            return [known(each) for each in value]
        return None if isinstance(value, float) and np.isnan(value) else value

    return {name: known(value) for name, value in asdict(quality).items()}


def _write_held_out(
    path: Path, sets: Sequence[AlleleSet], data: Joined, folds: Folds, held_out: Floats
) -> None:
    """Write a row per allele of the two sets: its use, and its score by a fit without its fold."""
    columns: dict[str, Any] = {
        name: np.concatenate([each.columns[name] for each in sets]) for name in ALLELE
    }
    use = np.concatenate(data.uses)
    rows = use == USED
    columns["label"] = np.repeat([1, 0], [len(each) for each in data.uses])
    columns["use"] = use
    columns["fold"], columns[RANK_SCORE] = np.full((2, len(use)), np.nan)
    columns["fold"][rows] = folds.of_allele + 1
    columns[RANK_SCORE][rows] = held_out
    kinds: dict[str, Kind] = {name: COLUMNS[name] for name in ALLELE}
    kinds |= {"label": "integer", "use": "text", "fold": "number", RANK_SCORE: "number"}
    with open_table(path, Layout(kinds, pd.DataFrame({NAME: []}))) as table:
        table.write(columns)


def _write_qualities(path: Path, found: Sequence[Quality]) -> None:
    """Write a row per score and part of the genome; an interval has two columns."""
    kinds: dict[str, Kind] = {}
    columns: dict[str, Any] = {}
    for name in (each.name for each in fields(Quality)):
        values = [getattr(quality, name) for quality in found]
        if name.endswith("_interval"):
            for number, ending in enumerate(("low", "high")):
                column = f"{name.removesuffix('_interval')}_{ending}"
                kinds[column] = "number"
                columns[column] = np.array([value[number] for value in values])
        else:
            kinds[name] = _KINDS_OF_QUALITY.get(name, "number")
            columns[name] = np.array(values, dtype=object if kinds[name] == "text" else None)
    with open_table(path, Layout(kinds, pd.DataFrame({NAME: []}))) as table:
        table.write(columns)
