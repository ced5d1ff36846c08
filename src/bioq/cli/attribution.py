"""`bioq attribution`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.outputs import split_outputs
from bioq.interpretation import AttributionOptions, ExplainJob, ExplainOptions, attribution_file
from bioq.plots.interpretation import write_contributions_figure


def attribution(
    run: Path,
    what: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Path,
    genome: Path | None = None,
    figure: Path | None = None,
    options: Annotated[ExplainOptions, Parameter(name="*")] = ExplainOptions(),  # noqa: B008 frozen
    gradients: Annotated[AttributionOptions, Parameter(name="*")] = AttributionOptions(),  # noqa: B008 frozen
) -> None:
    """Say how much each base adds to a target's logit, by gradients.

    A contribution is what the base adds, compared with unknown bases everywhere. Says at the end
    how far the contributions are from summing to the logit's difference, and what --steps to use.

    For example:

        bioq attribution run sequences.fa --out contributions.npz --targets CTCF
        bioq attribution run peaks.bed --genome hg19.fa --out contributions.h5 --targets 'CTCF*'
        bioq attribution run chr1:1,000,001-1,000,200 --genome hg19.fa --out map.png --targets CTCF
        bioq attribution run 'chr1:109817590:G>T' --genome hg19.fa --out table.tsv --targets CTCF

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    what
        FASTA (plain, gzip, bgzip; a sequence longer than the window has several windows); or with
        --genome regions (BED), a place CONTIG:START-END, or a variant CONTIG:POSITION:REF>ALT,
        both alleles of which are explained; places are counted from 1. - is FASTA or BED on
        standard input.
    out
        File to write: .npz or .h5 (arrays), .tsv, .tsv.gz or .parquet (a row a base, positions
        counted from 0), .png or .svg (the figure).
    genome
        Genome of the regions: FASTA (plain, gzip, bgzip) or 2bit.
    figure
        A sequence logo and a heat map too, .png or .svg; of at most 6 windows and targets.
    """
    tables, figure = split_outputs(out, figure)
    draw = partial(write_contributions_figure, figure) if figure else None
    job = ExplainJob(run, what, tables, genome, options, draw)
    attribution_file(job, attribution=gradients)
    for path in [*tables, *([figure] if figure else [])]:
        print(path)
