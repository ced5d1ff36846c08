"""Backgrounds of random SNVs: which share of CpG, and how many, give the ranks of real variants?

    nice python benchmarks/random_background.py --run RUN --genome genome.fa --vcf common.vcf.gz
        [--other rare.vcf.gz] [--work DIR]
    python benchmarks/random_background.py --tiny

The first table has the share of C>T and G>A in a CpG among the SNVs of each VCF. Then the alleles
of --vcf are ranked with `bioq variants` by several backgrounds of `bioq background`. If a
background is like them, 10 % have a score_phred of at least 10, and 5 % of at least 13. The last
columns compare the ranks with those of the first background: Spearman's correlation, the shared
alleles of the top 10 and the top 50, and the median change of a score_phred of at least 10. What is
in --work already is not made again.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from generated import CONTIG, write_genome, write_run
from measuring import parse, parser, print_heads, print_row

HUMAN = Path(__file__).resolve().parents[2] / "shared" / "data" / "human"
LARGE, SMALL = 100_000, 10_000
HEADS = (
    *("background", "variants", "largest score_phred", "of 10 or more", "of 13 or more"),
    *("correlation", "top 10", "top 50", "change"),
)


def main() -> None:
    """Print both tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        if options.tiny:
            generate(options, Path(folder))
        if options.run is None or not options.vcf.is_file():
            print("skipped: give --run, and --vcf (the human development data)", file=sys.stderr)
            return
        options.work = options.work or Path(folder)
        options.work.mkdir(parents=True, exist_ok=True)
        vcfs = [file for file in (options.vcf, options.other) if file is not None]
        print_heads("VCF", "SNVs", "C>T or G>A in a CpG", "if all SNVs were equally likely")
        for vcf in vcfs:
            print_row(vcf.name, *shares(vcf, options.genome))
        print()
        print_heads(*HEADS)
        first = None
        for name, words in backgrounds(options, vcfs):
            table = ranked(options, name, words)
            first = table if first is None else first
            print_row(name, *compared(*table, first[0]))


def shares(vcf: Path, genome: Path) -> tuple[str, str, str]:
    """Return the number of SNVs of a VCF, the share of those in a CpG, and that of a genome."""
    from bioq.genome import open_genome
    from bioq.genome.vcf import read_variants

    snvs = in_cpg = known = pairs = 0
    with open_genome(genome) as opened:
        bases = {name: opened.letters(name, 0, bp) for name, bp in opened.lengths.items()}
    for letters in bases.values():
        known += sum(letters.count(base) for base in "ACGT")
        pairs += letters.count("CG")
    for each in read_variants(vcf):
        letters = bases.get(each.chrom) or bases.get(each.chrom.removeprefix("chr"), "")
        if len(each.ref) == len(each.alt) == 1 and each.alt in "ACGT" and letters:
            snvs += 1
            change, after = each.ref + each.alt, letters[each.pos : each.pos + 1]
            before = letters[max(each.pos - 2, 0) : each.pos - 1]
            in_cpg += (change, after) == ("CT", "G") or (change, before) == ("GA", "C")
    return f"{snvs:,}", f"{in_cpg / max(snvs, 1):.3f}", f"{2 * pairs / (3 * known):.4f}"


def backgrounds(options: argparse.Namespace, vcfs: list[Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each background, and the words of its command."""
    large, small = options.large, options.small
    yield f"{large:,} random", ["--random", large]
    yield f"{large:,} random, another seed", ["--random", large, "--seed", 1]
    for seed in (2, 3):
        yield f"{small:,} random, seed {seed}", ["--random", small, "--seed", seed]
    snvs, _, natural = shares(vcfs[0], options.genome)
    yield f"{snvs} random, as many as the SNVs of --vcf", ["--random", snvs.replace(",", "")]
    for share in (natural, 0.3):
        yield f"{small:,} random, --cpg {share}", ["--random", small, "--cpg", share, "--seed", 2]
    for vcf in vcfs:
        yield vcf.name, [vcf]


def ranked(options: argparse.Namespace, name: str, words: list[str]) -> tuple[np.ndarray, int]:
    """Return score_phred of the alleles of --vcf that are scored, and the background's variants."""
    import pandas as pd

    stem = name.replace(" ", "_").replace(",", "")
    background, out = (options.work / f"{stem}{end}" for end in (".npz", ".parquet"))
    genome = ("--genome", options.genome)
    if not background.is_file():
        run_here("background", options.run, *words, *genome, "--out", background)
    if not out.is_file():
        run_here(
            "variants", options.run, options.vcf, *genome, "--background", background,
            "--scores", "diff", "--out", out,
        )  # fmt: skip
    table = pd.read_parquet(out, columns=["score_phred", "background_n", "max_abs_diff"])
    table = table[table["score_phred"].notna()]
    return table[["score_phred", "max_abs_diff"]].to_numpy(), int(table["background_n"].max())


def run_here(*words: object) -> None:
    """Run a command of BioQ in this process; what it prints goes to stderr."""
    from bioq.cli import main as run_command

    with contextlib.redirect_stdout(sys.stderr):
        status = run_command([str(word) for word in words])
    if status:
        raise SystemExit(status)


def compared(table: np.ndarray, variants: int, first: np.ndarray) -> Iterator[object]:
    """Yield the cells of a row: a table is `(alleles, 2)`, score_phred and max_abs_diff."""
    from scipy.stats import spearmanr

    phred, reference = table[:, 0], first[:, 0]
    yield f"{variants:,}"
    yield f"{phred.max():.1f}"
    yield from (f"{(phred >= -10 * np.log10(share)).mean():.1%}" for share in (0.1, 0.05))
    yield f"{spearmanr(phred, reference).statistic:.4f}"
    orders = [np.lexsort((-each[:, 1], -each[:, 0])) for each in (table, first)]
    yield from (len(np.intersect1d(*(order[:most] for order in orders))) for most in (10, 50))
    is_high = np.maximum(phred, reference) >= 10
    yield f"{np.median(np.abs(phred - reference)[is_high]):.2f}" if is_high.any() else ""


def generate(options: argparse.Namespace, folder: Path) -> None:
    """Write a run of one step, a random genome and a VCF."""
    from bioq import dna
    from bioq.models import ModelSizes

    sizes = ModelSizes(filters=8, filter_width=8, pool_width=50, lstm_units=4, dense_units=8)
    write_run(folder / "run", "danq", targets=2, sizes=sizes, window_bp=200, bin_bp=40)
    letters = dna.decode(write_genome(folder / "genome.fa", 4000))
    lines = [f"{CONTIG}\t{at + 1}\t.\t{letters[at]}\tA\n" for at in range(300, 3300, 10)]
    (folder / "in.vcf").write_text("##fileformat=VCFv4.2\n" + "".join(lines))
    options.run, options.genome = folder / "run", folder / "genome.fa"
    options.vcf, options.other = folder / "in.vcf", None


def _options() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument("--run", type=Path, help="run folder of a human model")
    arguments.add_argument("--genome", type=Path, default=HUMAN / "grch37_part.fa.gz")
    arguments.add_argument("--vcf", type=Path, default=HUMAN / "1000g.chr22.vcf.gz")
    arguments.add_argument("--other", type=Path, default=HUMAN / "exac.chr22.vcf.gz")
    arguments.add_argument("--large", type=int, default=LARGE)
    arguments.add_argument("--small", type=int, default=SMALL)
    arguments.add_argument("--work", type=Path, help="folder that keeps the backgrounds")
    return parse(arguments, tiny={"large": 60, "small": 40})


if __name__ == "__main__":
    main()
