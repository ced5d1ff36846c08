"""`bioq variants`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.interrupts import resumable
from bioq.cli.options import FLAGS
from bioq.cluster import ClusterOptions, write_variants_on_ray
from bioq.errors import UsageError
from bioq.progress import say
from bioq.variants import VariantJob, VariantOptions, VariantTableOptions, write_variants


def variants(
    run: Path,
    vcf: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    genome: Path,
    out: Path,
    chrom_alias: Path | None = None,
    table: Annotated[VariantTableOptions, FLAGS] = VariantTableOptions(),  # noqa: B008 frozen
    options: Annotated[VariantOptions, FLAGS] = VariantOptions(),  # noqa: B008 frozen
    cluster: Annotated[ClusterOptions, FLAGS] = ClusterOptions(),  # noqa: B008 frozen
    resume: bool = False,
) -> None:
    """Score the variants of a VCF: the effect of every allele on every target.

    The output has one row per allele, in the order of the input, with a status: scored, or the
    reason why not. A table of the statuses is printed at the end. The scores per target are the
    probabilities with REF and with ALT (ref, alt), their difference (diff) and the log2 odds
    ratio; with --background also E-value and z-score.

    For example:

        bioq variants run variants.vcf.gz --genome hg19.fa --out scores.tsv
        bioq variants run variants.bcf --genome hg19.fa --out scores.h5ad --targets 'cell=GM12878'
        bioq variants run variants.vcf.gz --genome hg38.fa --out parts --ray 10.0.0.1:6379
        bcftools view -f PASS in.vcf.gz | bioq variants run - --genome hg19.fa --out out.vcf.gz

    Parameters
    ----------
    run
        Run folder, written by 'bioq train'.
    vcf
        VCF or BCF, compressed or not; - reads standard input.
    genome
        Genome of the VCF's positions, in the same build: FASTA (plain, gzip or bgzip) or 2bit.
    out
        File to write, in the format of its ending: .tsv, .tsv.gz, .parquet, .h5, .h5ad, .vcf or
        .vcf.gz. With --ray: folder for Parquet parts.
    chrom_alias
        Table of contig names, tab-separated, one contig per line; one of the names is the
        genome's. UCSC's chromAlias.txt and NCBI's assembly_report.txt are such tables.
    resume
        With --ray: continue an interrupted output.
    """
    job = VariantJob(run, vcf, genome, chrom_alias, options)
    if cluster.ray is not None:
        with resumable():
            summary = write_variants_on_ray(job, out, table, cluster=cluster, resume=resume)
    else:
        cluster.require_none()
        if resume:
            raise UsageError("--resume continues the parts of --ray; add --ray")
        summary = write_variants(job, out, table)
    for line in summary.lines():
        say(line)
    print(out)
