"""`bioq variants`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.interrupts import resumable
from bioq.cli.options import FLAGS, AlleleInput, ChromAlias, Force, Run
from bioq.cli.tables import print_path
from bioq.cluster import ClusterOptions, write_variants_on_ray
from bioq.errors import BioqError, UsageError
from bioq.inputs import AlleleSource, AllSnvs
from bioq.progress import say
from bioq.reports.top_alleles import VariantReportOptions
from bioq.runs.named import resolve_run
from bioq.variants import (
    VariantJob,
    VariantOptions,
    VariantTableOptions,
    variant_files,
    write_variants,
)


def variants(
    run: Run,
    source: AlleleInput | None = None,
    more: tuple[str, ...] = (),
    /,
    *,
    genome: Path,
    out: Path,
    all_snvs: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    chrom_alias: ChromAlias = None,
    table: Annotated[VariantTableOptions, FLAGS] = VariantTableOptions(),  # noqa: B008 frozen
    options: Annotated[VariantOptions, FLAGS] = VariantOptions(),  # noqa: B008 frozen
    report: Annotated[VariantReportOptions, FLAGS] = VariantReportOptions(),  # noqa: B008 frozen
    cluster: Annotated[ClusterOptions, FLAGS] = ClusterOptions(),  # noqa: B008 frozen
    resume: bool = False,
    force: Force = False,
    allow_none_scored: bool = False,
) -> None:
    """Score variants, those of a VCF or typed ones: the effect of every allele on every target.

    The output has one row per allele, in the order of the input, with a status: scored, or the
    reason why not. A table of the statuses is printed at the end; if no allele could be scored,
    the command ends with exit status 1. The scores per target are the
    probabilities with REF and with ALT (ref, alt), their difference (diff) and the log2 odds
    ratio; with a background ('bioq background') also E-value and z-score, and one number for each
    allele to sort by, score_phred. For the first alleles, sort by score_phred, then by
    max_abs_diff, the largest first; --report shows them.

    For example:

        bioq variants run variants.vcf.gz --genome hg19.fa --out scores.tsv
        bioq variants run variants.bcf --genome hg19.fa --out scores.h5ad --targets 'cell=GM12878'
        bioq variants run in.vcf --genome hg19.fa --background b.npz --group-by cell --out o.tsv
        bioq variants run 'chr1:109817590:G>T' --genome hg19.fa --out scores.tsv
        bioq variants run in.vcf --genome hg19.fa --out scores.tsv --report top.html
        bioq variants run in.vcf --genome hg19.fa --long --top 5 --out best.tsv
        bioq variants run --all-snvs promoters.bed --genome hg19.fa --out all.tsv.gz
        bioq variants run variants.vcf.gz --genome hg38.fa --out parts --ray 10.0.0.1:6379
        bioq variants run in.vcf.gz --genome hg19.fa --annotate --out annotated.vcf.gz
        bcftools view -f PASS in.vcf.gz | bioq variants run - --genome hg19.fa --out out.vcf.gz

    Parameters
    ----------
    more
        More variants, after a variant.
    genome
        Genome of the positions, in the same build: FASTA (plain, gzip or bgzip), 2bit, or a name
        such as hg38, which is downloaded once from UCSC.
    out
        File to write, in the format of its ending: .tsv, .tsv.gz, .parquet, .h5, .h5ad, .vcf or
        .vcf.gz; with --annotate .vcf, .vcf.gz or .bcf. With --ray: folder for Parquet parts.
    all_snvs
        In place of a VCF: BED, - for standard input, or a region CHROM:START-END. Every base gets
        its three SNVs, in the order of the genome. Without --scores and --targets the output has no
        column per target. A .tsv.gz or .vcf.gz gets an index for tabix.
    resume
        With --ray: continue an interrupted output.
    allow_none_scored
        End with exit status 0 also if no allele could be scored.
    """
    job = VariantJob(
        resolve_run(run), _source(source, more, all_snvs), genome, chrom_alias, options
    )
    also = None
    if report.report is not None:
        from bioq.reports.variants import variant_report  # Matplotlib: half a second

        also = variant_report(job, table, report.report, report.report_top, force=force)
    if cluster.ray is not None:
        if also is not None:
            raise UsageError("--report with --ray: score without --ray for a report")
        with resumable():
            summary = write_variants_on_ray(
                job, out, table, cluster=cluster, resume=resume, force=force
            )
        files = [out]
    else:
        cluster.require_none()
        if resume:
            raise UsageError("--resume continues the parts of --ray; add --ray")
        summary = write_variants(job, out, table, also=also, force=force)
        files = [*variant_files(out, table.of_run(job.run)), *report.files]
    for line in (*summary.lines(), *_without_ranks(job, table, summary.scored)):
        say(line)
    for file in files:
        print_path(file)
    reason = summary.none_scored()
    if reason and allow_none_scored:
        say(f"warning: {reason}")
    elif reason:
        raise BioqError(
            f"{out}: is complete, but {reason}; with --allow-none-scored this is not an error"
        )


def _source(source: str | None, more: tuple[str, ...], all_snvs: str | None) -> AlleleSource:
    """Return the alleles that are scored. Raises UsageError if there are none, or two inputs."""
    if all_snvs is not None:
        if source is not None:
            raise UsageError(f"{source} with --all-snvs: give one input of the two")
        return AllSnvs(all_snvs)
    if source is None:
        raise UsageError(
            "no variants are given; expected a VCF, a BCF or a variant, or --all-snvs with the "
            "regions whose SNVs are all scored"
        )
    return (source, *more)


def _without_ranks(job: VariantJob, table: VariantTableOptions, scored: int) -> list[str]:
    """Return a line about the missing ranks if nobody has chosen to score without a background."""
    is_chosen = table.background is not None or table.held_out or table.format != "table"
    if is_chosen or not scored or table.of_run(job.run).background_file is not None:
        return []
    return [
        f"note: {job.run} has no background, so score_phred is empty; 'bioq background' makes one, "
        "with --random 100000 where there is no VCF of common variants"
    ]
