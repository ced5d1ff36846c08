"""`bioq background`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.options import FLAGS, ChromAlias, Force, Run
from bioq.cli.tables import print_line, print_path
from bioq.errors import UsageError
from bioq.inputs import AlleleSource, RandomSnvs
from bioq.progress import say
from bioq.reports.card import CARD, refresh_card
from bioq.runs.folder import BACKGROUND
from bioq.runs.named import resolve_run
from bioq.variants import (
    VariantJob,
    VariantOptions,
    make_background,
    own_background,
    read_background,
)


def background(
    run: Run,
    vcf: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    genome: Path,
    random: int | None = None,
    seed: int | None = None,
    cpg: float | None = None,
    out: Path | None = None,
    chrom_alias: ChromAlias = None,
    options: Annotated[VariantOptions, FLAGS] = VariantOptions(),  # noqa: B008 frozen
    force: Force = False,
) -> None:
    """Measure the effects of many variants, for E-values, z-scores and ranks.

    An E-value is the share of these variants that have a larger effect on the target; score_phred
    ranks an allele by its smallest E-value of all targets. Give at least 100,000 variants that are
    mostly neutral, such as the common variants of a population, or draw random SNVs from the genome
    with --random. 'bioq variants' uses the background of its run.

    For example:

        bioq background run common.vcf.gz --genome hg19.fa
        bioq background run --random 100000 --genome hg19.fa
        bioq variants run mine.vcf --genome hg19.fa --out scores.tsv

    Parameters
    ----------
    vcf
        VCF or BCF of common variants; - reads standard input.
    genome
        Genome of the positions, in the same build: FASTA (plain, gzip or bgzip), 2bit, or a name
        such as hg38, which is downloaded once from UCSC.
    random
        Draw this number of random SNVs from the genome, in place of a VCF.
    seed
        Seed of --random: the same seed and genome give the same SNVs; 0 by default.
    cpg
        Share of the random SNVs that are C>T or G>A in a CpG; by default 0.17, as in human VCFs, if
        the genome has few CpG, as those of vertebrates have, otherwise the share in all possible
        SNVs.
    out
        File to write; the name ends in .npz. By default RUN/background.npz, which 'bioq variants'
        uses without an option and which is shared with the run.
    """
    folder = resolve_run(run)
    job = VariantJob(folder, _source(vcf, random, seed, cpg), genome, chrom_alias, options)
    out = own_background(folder) if out is None else out
    summary = make_background(job, out, force=force)
    made = read_background(out)
    for line in (
        *summary.lines(),
        *made.lines(),
        *(f"note: {line}" for line in made.notes()),
    ):
        say(line)
    print_path(out)
    if out == folder / BACKGROUND and refresh_card(folder):
        print_line(f"card: {folder / CARD}")


def _source(
    vcf: Path | None, random: int | None, seed: int | None, cpg: float | None
) -> AlleleSource:
    """Return the variants of a background. Raises UsageError for options that do not fit."""
    if random is not None and vcf is None:
        snvs = RandomSnvs(random=random, cpg=cpg)
        return snvs if seed is None else replace(snvs, seed=seed)
    if random is not None:
        raise UsageError(f"{vcf} with --random: give a VCF of variants, or --random, not both")
    for name, value in (("seed", seed), ("cpg", cpg)):
        if value is not None:
            raise UsageError(f"--{name} belongs to --random; add --random 100000")
    if vcf is None:
        raise UsageError(
            "no variants are given; expected a VCF of common variants, or --random 100000, which "
            "draws random SNVs from the genome"
        )
    return vcf
