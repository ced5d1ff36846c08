"""`bioq attribution`."""

from pathlib import Path
from typing import Annotated

from bioq.cli.options import FLAGS, ChromAlias, Force, Input, Run
from bioq.cli.outputs import split_outputs
from bioq.cli.tables import print_path
from bioq.interpretation import AttributionOptions, ExplainJob, ExplainOptions, attribution_file
from bioq.plots.interpretation import write_contributions_figure
from bioq.runs.named import resolve_run


def attribution(
    run: Run,
    source: Input,
    /,
    *,
    out: list[Path],
    genome: Path | None = None,
    chrom_alias: ChromAlias = None,
    figure: Path | None = None,
    options: Annotated[ExplainOptions, FLAGS] = ExplainOptions(),  # noqa: B008 frozen
    gradients: Annotated[AttributionOptions, FLAGS] = AttributionOptions(),  # noqa: B008 frozen
    hub: bool = False,
    force: Force = False,
) -> None:
    """Compute how much each base adds to a target's logit, by gradients.

    A window is compared with shuffled copies of it (--baseline). With integrated gradients the
    contributions should add up to the difference of the logits; the command prints the remaining
    error and, if it is large, advises more --steps.

    For example:

        bioq attribution run sequences.fa --out contributions.npz --targets CTCF
        bioq attribution run peaks.bed --genome hg19.fa --out map.bw --targets 'CTCF*' --hub
        bioq attribution run peaks.bed --genome hg19.fa --targets CTCF \\
            --out sites.bed --out ctcf.modisco
        bioq attribution run chr1:1,000,001-1,000,200 --genome hg19.fa --out map.png --targets CTCF
        bioq attribution run 'chr1:109817590:G>T' --genome hg19.fa --out table.tsv --targets CTCF

    Parameters
    ----------
    out
        File to write; give it again for more files of the same contributions. .npz or .h5: arrays;
        .tsv, .tsv.gz or .parquet: one row per base, positions counted from 0; .bw: a bigWig per
        target, NAME.TARGET.bw, needs --genome; .bed: the sites, stretches of high contributions
        with the known motif that each matches, needs bioq[motifs]; .modisco: a folder for
        tfmodisco-lite; .png or .svg: the figure.
    genome
        Genome of the regions: FASTA (plain, gzip or bgzip), 2bit, or a name such as hg38, which is
        downloaded once from UCSC.
    figure
        Also draw a sequence logo and a heat map into this .png or .svg file, for at most 6
        combinations of window and target.
    hub
        Also write the files with which genome browsers show the bigWigs, beside them: a track hub
        for UCSC's browser (hub.txt, genomes.txt, trackDb.txt) and a session of IGV (igv.xml).
        Contributions are drawn as letters.
    """
    files, figure = split_outputs(out, figure)
    inputs = (resolve_run(run), source, files, genome, chrom_alias)
    job = ExplainJob(*inputs, options, figure, write_contributions_figure, force)
    written = attribution_file(job, attribution=gradients, hub=hub)
    for path in [*written, *([figure] if figure else [])]:
        print_path(path)
