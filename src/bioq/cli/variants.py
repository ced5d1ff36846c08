"""`bioq variants`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.interrupts import resumable
from bioq.cluster import ClusterOptions, write_variants_on_ray
from bioq.errors import UsageError
from bioq.progress import say
from bioq.variants import VariantJob, VariantOptions, VariantTableOptions, write_variants

_Flags = Parameter(name="*")


def variants(
    run: Path,
    vcf: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    genome: Path,
    out: Path,
    chrom_alias: Path | None = None,
    table: Annotated[VariantTableOptions, _Flags] = VariantTableOptions(),  # noqa: B008 frozen
    options: Annotated[VariantOptions, _Flags] = VariantOptions(),  # noqa: B008 frozen
    cluster: Annotated[ClusterOptions, _Flags] = ClusterOptions(),  # noqa: B008 frozen
    resume: bool = False,
) -> None:
    """Score the variants of a VCF: what every allele does to every target.

    Every allele of the input gives one row, in input order, with a status: scored, or why not. A
    table of the statuses is shown at the end. Per target: the probability with either allele,
    their difference (diff) and the log2 odds ratio; with --background also E-value and z-score.

    For example:

        bioq variants run variants.vcf.gz --genome hg19.fa --out scores.tsv
        bioq variants run variants.bcf --genome hg19.fa --out scores.h5ad --targets 'cell=GM12878'
        bioq variants run variants.vcf.gz --genome hg38.fa --out parts --ray 10.0.0.1:6379
        bcftools view -f PASS in.vcf.gz | bioq variants run - --genome hg19.fa --out out.vcf.gz

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    vcf
        VCF or BCF, compressed or not; - is standard input.
    genome
        FASTA (plain, gzip, bgzip) or 2bit of the build that the VCF's positions are of.
    out
        File to write; its ending says what: .tsv, .tsv.gz, .parquet, .h5, .h5ad, .vcf, .vcf.gz.
        With --ray a folder of Parquet parts.
    chrom_alias
        Tab-separated: contig name in the VCF, contig name in the genome.
    resume
        With --ray: go on with an output that was interrupted.
    """
    job = VariantJob(run, vcf, genome, chrom_alias, options)
    if cluster.ray is not None:
        with resumable():
            summary = write_variants_on_ray(job, out, table, cluster=cluster, resume=resume)
    else:
        cluster.require_none()
        if resume:
            raise UsageError("--resume goes on with parts; give --ray too")
        summary = write_variants(job, out, table)
    for line in summary.lines():
        say(line)
    print(out)
