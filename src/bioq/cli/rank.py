"""`bioq rank fit` and `bioq rank apply`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.options import FLAGS, AlleleInput, ChromAlias, Force, Run
from bioq.cli.tables import print_line, print_path, print_table
from bioq.progress import say
from bioq.runs.named import resolve_run
from bioq.variants import VariantJob, VariantOptions, VariantTableOptions
from bioq.variants.second_stage import Extras, Report, apply_rank, fit_rank
from bioq.variants.second_stage.quality import Quality

Vcf = Annotated[Path, Parameter(allow_leading_hyphen=True)]
Tracks = Annotated[
    tuple[Path, ...],
    Parameter(
        name="--track",
        help="bigWig file, such as conservation: its mean on the bases of REF is a feature. Can be "
        "given again for more.",
    ),
]


def fit(
    positives: Vcf,
    negatives: Vcf,
    /,
    *,
    run: Run,
    genome: Path,
    out: Path,
    track: Tracks = (),
    genes: Path | None = None,
    background: Path | None = None,
    chrom_alias: ChromAlias = None,
    options: Annotated[VariantOptions, FLAGS] = VariantOptions(),  # noqa: B008 frozen
    force: Force = False,
) -> None:
    """Fit a score to two sets of alleles, such as functional ones and others.

    The score is a logistic regression on each allele's |diff| and |log2 odds ratio| of every
    target, and the tracks. Parts of the genome are left out in turn, and the alleles on them are
    scored by a fit to the others: so are the printed ROC AUC and average precision, beside those of
    plain scores. A warning is printed where the two sets differ in frequency (INFO/AF), in
    distance to a TSS, in GC or in the share of indels.

    For example:

        bioq rank fit hgmd.vcf.gz common.vcf.gz --run run --genome hg19.fa --out rank
        bioq rank fit eqtl.vcf matched.vcf --run run --genome hg38 --out rank \\
            --track phyloP100way.bw --genes gencode.gtf.gz --background background.npz

    Parameters
    ----------
    positives
        VCF or BCF; - reads standard input.
    negatives
        VCF or BCF of alleles to compare with, such as common variants that match the positives.
    genome
        Genome of the positions, in the same build: FASTA (plain, gzip or bgzip), 2bit, or a name
        such as hg38, which is downloaded once from UCSC.
    out
        Folder to write.
    genes
        GTF, GFF or BED of genes, to compare with the distance to the nearest start of a transcript.
    background
        File written by 'bioq background' with this run, to compare with score_phred. By default
        RUN/background.npz, if the run has one; none: no background.
    """
    job = VariantJob(resolve_run(run), positives, genome, chrom_alias, options)
    report = fit_rank(job, negatives, out, Extras(track, genes, background), force=force)
    _print(report)
    print_path(out)


def apply(
    rank: Path,
    source: AlleleInput,
    more: tuple[str, ...] = (),
    /,
    *,
    run: Run,
    genome: Path,
    out: Path,
    track: Tracks = (),
    background: Path | None = None,
    group_by: str | None = None,
    annotate: bool = False,
    chrom_alias: ChromAlias = None,
    options: Annotated[VariantOptions, FLAGS] = VariantOptions(),  # noqa: B008 frozen
    force: Force = False,
) -> None:
    """Add the score of 'bioq rank fit' to the alleles of a VCF.

    The output has the columns of 'bioq variants' without the scores of targets, and the column
    rank_score: the probability, among alleles mixed as those of the fit, that an allele is one of
    the positives. Alleles that were not scored have a row without it.

    For example:

        bioq rank apply rank mine.vcf.gz --run run --genome hg38 --out ranked.tsv
        bioq rank apply rank mine.vcf.gz --run run --genome hg38 --out ranked.tsv \\
            --track phyloP100way.bw
        bioq rank apply rank mine.vcf.gz --run run --genome hg38 --annotate --out ranked.vcf.gz

    Parameters
    ----------
    rank
        Folder that 'bioq rank fit' wrote.
    more
        More variants, after a variant.
    genome
        Genome of the positions, in the same build: FASTA (plain, gzip or bgzip), 2bit, or a name
        such as hg38, which is downloaded once from UCSC.
    out
        File to write, in the format of its ending: .tsv, .tsv.gz, .parquet, .h5, .h5ad, .vcf or
        .vcf.gz; with --annotate .vcf, .vcf.gz or .bcf.
    background
        File written by 'bioq background' with this run; adds score_phred. By default
        RUN/background.npz, if the run has one; none: no background.
    group_by
        Column of the target table, such as cell: adds score_phred and top_target of each group of
        targets that have the same value in it.
    annotate
        Copy the VCF or BCF, and add INFO fields with a value per ALT: BIOQ_RANK_SCORE, and those of
        'bioq variants --annotate'.
    """
    job = VariantJob(resolve_run(run), (source, *more), genome, chrom_alias, options)
    table = VariantTableOptions(background=background, group_by=group_by, annotate=annotate)
    summary = apply_rank(job, rank, out, table, tracks=track, force=force)
    for line in summary.lines():
        say(line)
    print_path(out)


def _print(report: Report) -> None:
    for name, summary in zip(("positives", "negatives"), report.summaries, strict=True):
        say(f"{name}:")
        for line in summary.lines():
            say(line)
    for line in report.notes:
        say(line)
    for line in report.warnings:
        say(f"warning: {line}")
    first = report.qualities[0]
    print_line(
        f"{first.positives:,} positives, {first.negatives:,} negatives; {report.parts}, each "
        "scored by a fit to the others"
    )
    print_line()
    rows = [["score", "ROC AUC", "average precision", "rank_score is ahead by"]]
    rows += [
        [
            one.score,
            _number(one.roc_auc, one.roc_auc_interval),
            _number(one.average_precision, one.average_precision_interval),
            _number(one.gain, one.gain_interval),
        ]
        for one in report.qualities
    ]
    print_table(rows)
    if len(report.contigs) > 1:
        print_line()
        _print_contigs(report.contigs)


def _print_contigs(contigs: list[Quality]) -> None:
    rows = [["rank_score on", "positives", "negatives", "ROC AUC", "average precision"]]
    for one in contigs:
        rows.append(
            [
                one.part,
                f"{one.positives:,}",
                f"{one.negatives:,}",
                _number(one.roc_auc, one.roc_auc_interval),
                _number(one.average_precision, one.average_precision_interval),
            ]
        )
    print_table(rows)


def _number(value: float, interval: tuple[float, float]) -> str:
    if value != value:
        return ""
    low, high = interval
    return f"{value:.3f}" if low != low else f"{value:.3f} ({low:.3f} to {high:.3f})"
