"""`bioq variants`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cluster import ClusterOptions, write_variants_on_ray
from bioq.errors import UsageError
from bioq.progress import say
from bioq.variants import Format, VariantOptions, write_variants

_Flags = Parameter(name="*")


def variants(
    run: Path,
    vcf: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    genome: Path,
    out: Path,
    targets: tuple[str, ...] = (),
    scores: tuple[str, ...] = (),
    background: Path | None = None,
    format: Format = "table",
    chrom_alias: Path | None = None,
    options: Annotated[VariantOptions, _Flags] = VariantOptions(),  # noqa: B008 frozen
    cluster: Annotated[ClusterOptions, _Flags] = ClusterOptions(),  # noqa: B008 frozen
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
    targets
        Targets to report, by name or by COLUMN=VALUE of the target table; * and ? are wildcards;
        by default all.
    scores
        Scores to write: some of diff, log2_odds_ratio, ref, alt, evalue, zscore; by default all.
    background
        File written by 'bioq background' with this model; adds E-values and z-scores.
    format
        table: one file. deepsea: the files of DeepSEA, OUT.out.ref, .alt, .diff, .logfoldchange
        and .evalue.
    chrom_alias
        Tab-separated file with two columns: contig name in the VCF, contig name in the genome.
    resume
        With --ray: continue an interrupted output.
    """
    if cluster.ray is None:
        cluster.require_none()
        if resume:
            raise UsageError("--resume continues the parts of --ray; add --ray")
        summary = write_variants(
            run,
            vcf,
            out,
            genome=genome,
            targets=targets,
            scores=scores,
            background=background,
            format=format,
            chrom_alias=chrom_alias,
            options=options,
        )
    else:
        if format != "table":
            raise UsageError(
                f"--format {format} cannot be combined with --ray, which writes tables only"
            )
        summary = write_variants_on_ray(
            run,
            vcf,
            out,
            genome=genome,
            targets=targets,
            scores=scores,
            background=background,
            chrom_alias=chrom_alias,
            options=options,
            cluster=cluster,
            resume=resume,
        )
    for line in summary.lines():
        say(line)
    print(out)
