"""`bioq predict`."""

from pathlib import Path
from typing import Annotated

from bioq.cli.interrupts import resumable
from bioq.cli.options import FLAGS, ChromAlias, Force, Input, Run
from bioq.cli.tables import print_line, print_path
from bioq.cluster import ClusterOptions, predict_on_ray
from bioq.errors import UsageError
from bioq.prediction import PredictOptions, predict_file
from bioq.runs.named import resolve_run


@resumable()
def predict(
    run: Run,
    source: Input,
    /,
    *,
    out: Path,
    genome: Path | None = None,
    chrom_alias: ChromAlias = None,
    options: Annotated[PredictOptions, FLAGS] = PredictOptions(),  # noqa: B008 frozen
    cluster: Annotated[ClusterOptions, FLAGS] = ClusterOptions(),  # noqa: B008 frozen
    hub: bool = False,
    resume: bool = False,
    force: Force = False,
) -> None:
    """Predict the targets of sequences or genomic regions.

    The output has one row per window, in the order of the input. A row gives the window's position
    and the share of unknown bases in it (n_share). A sequence longer than the window is cut into
    windows, --stride-bp apart. A region is covered with bins, each in the middle of its window. A
    variant has two rows, with REF and with ALT.

    For example:

        bioq predict run sequences.fa.gz --out probability.tsv
        bioq predict run peaks.bed --genome hg19.fa --out probability.h5ad --targets 'cell=K562'
        bioq predict run peaks.bed --genome hg19.fa --out tracks.bw --targets 'CTCF*' --hub
        bioq predict run chr1:1,000,001-1,005,000 --genome hg19.fa --out region.tsv
        bioq predict run 'chr1:109817590:G>T' --genome hg19.fa --out alleles.tsv
        bioq predict run genome.bed --genome hg38.2bit --out parts --ray local
        samtools faidx hg19.fa chr1:1-5000 | bioq predict run - --out best.tsv --top 5

    Parameters
    ----------
    out
        File to write, in the format of its ending: .tsv, .tsv.gz, .parquet, .h5, .h5ad, or for
        regions .bw: one bigWig per target, OUT.TARGET.bw, with the mean of the bins over each
        base. With --ray: folder for Parquet parts.
    genome
        Genome of the regions: FASTA (plain, gzip or bgzip), 2bit, or a name such as hg38, which is
        downloaded once from UCSC.
    hub
        Also write the files with which genome browsers show the bigWigs, beside them: a track hub
        for UCSC's browser (hub.txt, genomes.txt, trackDb.txt) and a session of IGV (igv.xml).
    resume
        Continue an interrupted output.
    """
    if cluster.ray is not None:
        if hub:
            raise UsageError(
                "--hub cannot be combined with --ray, which writes no bigWig; run without --ray"
            )
        print_line(
            predict_on_ray(
                resolve_run(run),
                source,
                out,
                genome=genome,
                chrom_alias=chrom_alias,
                options=options,
                cluster=cluster,
                resume=resume,
                force=force,
            )
        )
        return
    cluster.require_none()
    for path in predict_file(
        run,
        source,
        out,
        genome=genome,
        chrom_alias=chrom_alias,
        options=options,
        hub=hub,
        resume=resume,
        force=force,
    ):
        print_path(path)
