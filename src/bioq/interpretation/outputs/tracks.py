"""Contributions as tracks: a bigWig per target, and the sites of all targets as BED."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import UsageError
from bioq.files import new_file, refuse_input, require_absent
from bioq.interpretation.outputs.by_ending import ExplainedInput
from bioq.interpretation.outputs.explained_bases import ExplainedBases, Stretch
from bioq.interpretation.sites import Site, find_sites, require_packages
from bioq.motifs import Motif
from bioq.progress import say
from bioq.tracks.bigwig import Bins, bigwig_paths, require_positions, write_bigwigs
from bioq.tracks.hub import plan_hub

BED = ".bed"
BED_COLUMNS = (
    "chrom",
    "start",
    "end",
    "name",
    "score",
    "strand",
    "target",
    "contribution",
    "q",
    "matrix_id",
)
_HIGHEST_SCORE = 1000


@contextlib.contextmanager
def open_bigwigs(
    out: Path,
    explained: ExplainedInput,
    *,
    inputs: Sequence[str | Path | None] = (),
    hub_files: list[Path] | None = None,
) -> Iterator[ExplainedBases]:
    """Yield a writer of a bigWig per target, `bigwig_paths(out, names)`, over the explained bases.

    With a list, a hub is written too (see `tracks.hub`), and its files are added to the list.
    Raises UsageError without a genome, for a variant and for a file that is one of `inputs`,
    BioqError for a file that exists.
    """
    contigs = require_positions(out, explained.contigs)
    _refuse_variant(out, explained)
    paths = bigwig_paths(out, list(explained.targets[NAME]))
    for path in paths:
        require_absent(path, force=explained.force)
    hub = None
    if hub_files is not None:
        hub = plan_hub(
            out,
            contigs.genome,
            explained.targets,
            shows="contribution",
            model=explained.metadata["run"],
            force=explained.force,
        )
        hub_files += hub.files
    for path in [*paths, *(hub.files if hub else ())]:
        refuse_input(path, *inputs)
    bases = ExplainedBases(contigs)
    yield bases
    write_bigwigs(paths, contigs.genome.lengths, lambda: _bins(bases))
    if hub is not None:
        hub.write(hub.files, paths)


@contextlib.contextmanager
def open_sites(
    out: Path, explained: ExplainedInput, motifs: Sequence[Motif]
) -> Iterator[ExplainedBases]:
    """Yield a writer of the sites of all targets, with a line of `BED_COLUMNS` each.

    Raises UsageError for a variant, or if the packages that find sites are not installed.
    """
    _refuse_variant(out, explained)
    require_packages()
    bases = ExplainedBases(explained.contigs)
    yield bases
    stretches = list(bases.stretches())
    found: list[tuple[int, int, Site, int]] = []
    for column, target in enumerate(explained.targets[NAME]):
        found += _sites(stretches, column, str(target), motifs)
    found.sort(key=lambda row: (row[0], row[2].start))
    with new_file(out) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write("#" + "\t".join(BED_COLUMNS) + "\n")
        for number, shift, site, score in found:
            file.write(_line(stretches[number].contig, shift, site, score))
    named = sum(bool(site.motif) for _, _, site, _ in found)
    say(f"{out}: {len(found):,} sites, {named:,} of them match a known motif")


def _refuse_variant(out: Path, explained: ExplainedInput) -> None:
    if explained.is_variant:
        raise UsageError(
            f"{out}: a variant has two alleles at the same positions, and this file has one value "
            "per position; give the region, for example chr1:1,000-1,200"
        )


def _bins(bases: ExplainedBases) -> Iterator[Bins]:
    for stretch in bases.stretches():
        start = np.arange(stretch.start, stretch.start + len(stretch.codes))
        yield stretch.contig, start, start + 1, stretch.contributions


def _sites(
    stretches: Sequence[Stretch], column: int, target: str, motifs: Sequence[Motif]
) -> list[tuple[int, int, Site, int]]:
    """Return the sites of a target in all stretches: number of the stretch, the position of its
    first base minus that of the site's positions, site, score."""
    between = np.array([dna.UNKNOWN], dtype=np.uint8), np.array([np.nan])
    codes, contributions, starts = [], [], [0]
    for stretch in stretches:
        codes += [stretch.codes, between[0]]
        contributions += [stretch.contributions[:, column], between[1]]
        starts.append(starts[-1] + len(stretch.codes) + 1)
    sites = find_sites(np.concatenate(codes), np.concatenate(contributions), motifs, target=target)
    largest = max((abs(site.contribution) for site in sites), default=1.0)
    rows = []
    for site in sites:
        number = int(np.searchsorted(starts, site.start, side="right")) - 1
        score = round(_HIGHEST_SCORE * abs(site.contribution) / largest)
        rows.append((number, stretches[number].start - starts[number], site, score))
    return rows


def _line(contig: str, shift: int, site: Site, score: int) -> str:
    cells = (
        contig,
        site.start + shift,
        site.end + shift,
        site.motif or ".",
        score,
        site.strand,
        site.target,
        f"{site.contribution:.4g}",
        f"{site.q:.3g}",
        site.matrix_id or ".",
    )
    return "\t".join(str(cell) for cell in cells) + "\n"
