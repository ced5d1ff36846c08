"""`bioq background`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.options import FLAGS, ChromAlias, Force, Run
from bioq.cli.tables import print_path
from bioq.progress import say
from bioq.runs.named import resolve_run
from bioq.variants import VariantJob, VariantOptions, make_background


def background(
    run: Run,
    vcf: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    genome: Path,
    out: Path,
    chrom_alias: ChromAlias = None,
    options: Annotated[VariantOptions, FLAGS] = VariantOptions(),  # noqa: B008 frozen
    force: Force = False,
) -> None:
    """Measure the effects of common variants, for E-values, z-scores and ranks.

    An E-value is the share of these variants that have a larger effect on the target; score_phred
    ranks an allele by its smallest E-value of all targets. Use at least 100,000 variants that are
    mostly neutral, such as the common variants of a population.

    For example:

        bioq background run common.vcf.gz --genome hg19.fa --out background.npz
        bioq variants run mine.vcf --genome hg19.fa --background background.npz --out scores.tsv

    Parameters
    ----------
    vcf
        VCF or BCF of common variants; - reads standard input.
    genome
        Genome of the VCF's positions, in the same build: FASTA (plain, gzip or bgzip), 2bit, or a
        name such as hg38, which is downloaded once from UCSC.
    out
        File to write; the name ends in .npz.
    """
    job = VariantJob(resolve_run(run), vcf, genome, chrom_alias, options)
    summary = make_background(job, out, force=force)
    for line in summary.lines():
        say(line)
    print_path(out)
