"""`bioq mutagenesis`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.outputs import split_outputs
from bioq.forward import Precision
from bioq.interpretation import ExplainJob, ExplainOptions, mutagenesis_file
from bioq.plots.interpretation import write_effects_figure


def mutagenesis(
    run: Path,
    what: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Path,
    genome: Path | None = None,
    figure: Path | None = None,
    options: Annotated[ExplainOptions, Parameter(name="*")] = ExplainOptions(),  # noqa: B008 frozen
    precision: Precision = "32",
) -> None:
    """Put every other base at every place, and see what the probabilities do.

    An effect is the probability with the other base minus that of the window as it is.

    For example:

        bioq mutagenesis run sequences.fa --out effects.npz
        bioq mutagenesis run peaks.bed --genome hg19.fa --out effects.h5 --targets 'CTCF*'
        bioq mutagenesis run chr1:1,000,001-1,000,200 --genome hg19.fa --out map.png --targets CTCF
        bioq mutagenesis run 'chr1:109817590:G>T' --genome hg19.fa --out effects.tsv

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    what
        FASTA (plain, gzip, bgzip; a sequence longer than the window has several windows); or with
        --genome regions (BED), a place CONTIG:START-END, or a variant CONTIG:POSITION:REF>ALT,
        around which both alleles are mutated; places are counted from 1. - is FASTA or BED on
        standard input.
    out
        File to write: .npz or .h5 (arrays), .tsv, .tsv.gz or .parquet (a row a substitution,
        positions counted from 0), .png or .svg (the figure).
    genome
        Genome of the regions: FASTA (plain, gzip, bgzip) or 2bit.
    figure
        A heat map and a sequence logo too, .png or .svg; of at most 6 windows and targets.
    precision
        32, tf32 or bf16.
    """
    tables, figure = split_outputs(out, figure)
    draw = partial(write_effects_figure, figure) if figure else None
    job = ExplainJob(run, what, tables, genome, options, draw)
    mutagenesis_file(job, precision=precision)
    for path in [*tables, *([figure] if figure else [])]:
        print(path)
