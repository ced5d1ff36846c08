"""`bioq background`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.progress import say
from bioq.variants import VariantJob, VariantOptions, make_background

_Flags = Parameter(name="*")


def background(
    run: Path,
    vcf: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    genome: Path,
    out: Path,
    chrom_alias: Path | None = None,
    options: Annotated[VariantOptions, _Flags] = VariantOptions(),  # noqa: B008 frozen
) -> None:
    """Measure how large the effects of common variants are, for E-values and z-scores.

    An E-value is the share of these variants with a larger effect on the target: choose variants
    that mostly do nothing, such as the common ones of a population, a hundred thousand or more.

    For example:

        bioq background run common.vcf.gz --genome hg19.fa --out background.npz
        bioq variants run mine.vcf --genome hg19.fa --background background.npz --out scores.tsv

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    vcf
        VCF or BCF of common variants; - is standard input.
    genome
        FASTA (plain, gzip, bgzip) or 2bit of the build that the VCF's positions are of.
    out
        File to write, .npz.
    chrom_alias
        Tab-separated: contig name in the VCF, contig name in the genome.
    """
    summary = make_background(VariantJob(run, vcf, genome, chrom_alias, options), out)
    for line in summary.lines():
        say(line)
    print(out)
