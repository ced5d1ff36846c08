"""`bioq predict`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.interrupts import resumable
from bioq.cluster import ClusterOptions, predict_on_ray
from bioq.prediction import PredictOptions, predict_file


@resumable()
def predict(
    run: Path,
    sequences: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Path,
    genome: Path | None = None,
    options: Annotated[PredictOptions, Parameter(name="*")] = PredictOptions(),  # noqa: B008 frozen
    cluster: Annotated[ClusterOptions, Parameter(name="*")] = ClusterOptions(),  # noqa: B008 frozen
    resume: bool = False,
) -> None:
    """Predict the windows of sequences or regions.

    Rows are in input order. Every row says where its window is and what share of its bases is
    unknown (n_share). A sequence longer than the window has one every --stride-bp; regions are
    covered with bins, each in the middle of its window.

    For example:

        bioq predict run sequences.fa.gz --out probability.tsv
        bioq predict run peaks.bed --genome hg19.fa --out probability.h5ad --targets 'cell=K562'
        bioq predict run peaks.bed --genome hg19.fa --out tracks.bw --targets 'CTCF*'
        bioq predict run genome.bed --genome hg38.2bit --out parts --ray local
        samtools faidx hg19.fa chr1:1-5000 | bioq predict run - --out best.tsv --top 5

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    sequences
        FASTA (plain, gzip, bgzip), or with --genome regions (BED); - is standard input.
    out
        File to write; its ending says what: .tsv, .tsv.gz, .parquet, .h5, .h5ad, or for regions
        .bw: one bigWig a target, OUT.TARGET.bw, with the mean of the bins over each base.
        With --ray a folder of Parquet parts.
    genome
        Genome of the regions: FASTA (plain, gzip, bgzip) or 2bit.
    resume
        Go on with an output that was interrupted.
    """
    if cluster.ray is not None:
        print(
            predict_on_ray(
                run, sequences, out, genome=genome, options=options, cluster=cluster, resume=resume
            )
        )
        return
    cluster.require_none()
    for path in predict_file(run, sequences, out, genome=genome, options=options, resume=resume):
        print(path)
