"""`bioq mutagenesis`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.errors import UsageError
from bioq.mutagenesis import MutagenesisOptions, mutagenesis_file
from bioq.plots.mutagenesis import write_effects_figure

_FIGURES = (".png", ".svg")


def mutagenesis(
    run: Path,
    what: str,
    /,
    *,
    out: Path,
    genome: Path | None = None,
    figure: Path | None = None,
    options: Annotated[MutagenesisOptions, Parameter(name="*")] = MutagenesisOptions(),  # noqa: B008 frozen
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
        --genome regions (BED), a place CONTIG:START-END, or a substitution
        CONTIG:POSITION:REF>ALT, around which both alleles are mutated; places are counted from 1.
    out
        File to write: .npz or .h5 (arrays), .tsv, .tsv.gz or .parquet (a row a substitution,
        positions counted from 0), .png or .svg (the figure).
    genome
        Genome of the regions: FASTA (plain, gzip, bgzip) or 2bit.
    figure
        A heat map and a sequence logo too, .png or .svg; of at most 6 windows and targets.
    """
    tables = [out]
    if out.suffix.lower() in _FIGURES:
        if figure is not None:
            raise UsageError(f"{out} is a figure already; leave --figure away")
        tables, figure = [], out
    elif figure is not None and figure.suffix.lower() not in _FIGURES:
        raise UsageError(f"--figure {figure}: expected a name that ends in .png or .svg")
    draw = partial(write_effects_figure, figure) if figure else None
    mutagenesis_file(run, what, tables, genome=genome, options=options, draw=draw)
    for path in [*tables, *([figure] if figure else [])]:
        print(path)
