"""`bioq mutagenesis`."""

from pathlib import Path
from typing import Annotated

from bioq.cli.options import FLAGS, ChromAlias, Force, Input, Run
from bioq.cli.outputs import split_outputs
from bioq.cli.tables import print_path
from bioq.forward import Precision
from bioq.interpretation import ExplainJob, ExplainOptions, mutagenesis_file
from bioq.plots.interpretation import write_effects_figure
from bioq.runs.named import resolve_run


def mutagenesis(
    run: Run,
    source: Input,
    /,
    *,
    out: Path,
    genome: Path | None = None,
    chrom_alias: ChromAlias = None,
    figure: Path | None = None,
    options: Annotated[ExplainOptions, FLAGS] = ExplainOptions(),  # noqa: B008 frozen
    precision: Precision = "32",
    force: Force = False,
) -> None:
    """Predict the effect of every single-base substitution (saturation mutagenesis).

    An effect is the probability with the substituted base minus the probability of the unchanged
    window.

    For example:

        bioq mutagenesis run sequences.fa --out effects.npz
        bioq mutagenesis run peaks.bed --genome hg19.fa --out effects.h5 --targets 'CTCF*'
        bioq mutagenesis run chr1:1,000,001-1,000,200 --genome hg19.fa --out map.png --targets CTCF
        bioq mutagenesis run 'chr1:109817590:G>T' --genome hg19.fa --out effects.tsv

    Parameters
    ----------
    out
        File to write: .npz or .h5 (arrays), .tsv, .tsv.gz or .parquet (one row per substitution,
        positions counted from 0), .png or .svg (the figure only).
    genome
        Genome of the regions: FASTA (plain, gzip or bgzip), 2bit, or a name such as hg38, which is
        downloaded once from UCSC.
    figure
        Also draw a heat map and a sequence logo into this .png or .svg file, for at most 6
        combinations of window and target.
    precision
        Number format of the forward pass: 32 (exact float32), tf32 or bf16.
    """
    tables, figure = split_outputs([out], figure)
    inputs = (resolve_run(run), source, tables, genome, chrom_alias)
    job = ExplainJob(*inputs, options, figure, write_effects_figure, force)
    mutagenesis_file(job, precision=precision)
    for path in [*tables, *([figure] if figure else [])]:
        print_path(path)
