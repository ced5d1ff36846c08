"""What ranks cost when alleles are scored: the time of scoring, of E-values and of ranks.

    python benchmarks/variant_ranks.py [--run RUN --genome G --vcf VCF [--group-by COLUMN]]
        [--targets 389] [--alleles 20000] [--rounds 3] [--tiny]

Scores the alleles of a VCF in one process; by default random alleles on a random genome, with an
untrained model. The alleles are their own background. After each block of alleles, the E-values and
the ranks of the block are computed once more and timed, so that the columns are interleaved. Prints
the seconds of the processor per 1,000 alleles, the median of the rounds.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from generated import write_genome, write_run
from measuring import parse, parser, print_heads, print_row, timed
from table_memory import WINDOW_BP, write_alleles

STEPS = ("scoring", "E-values", "ranks")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--run", type=Path)
    options.add_argument("--genome", type=Path)
    options.add_argument("--vcf", type=Path)
    options.add_argument("--group-by")
    options.add_argument("--targets", type=int, default=389)
    options.add_argument("--alleles", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = parse(options, tiny={"targets": 3, "alleles": 400, "rounds": 1})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.run is None:
            chosen.run, chosen.genome, chosen.vcf = generate(folder, chosen.alleles, chosen.targets)
        measure(folder, chosen)


def generate(folder: Path, alleles: int, targets: int) -> tuple[Path, Path, Path]:
    """Write a run, a genome and a VCF; return their paths."""
    from bioq.models import ModelSizes

    genome = write_genome(folder / "g.fa", max(alleles * 100, 4000), line_bp=60)
    write_alleles(folder / "v.vcf", genome, alleles)
    sizes = ModelSizes(filters=32, filter_width=8, dense_units=32)
    write_run(folder / "run", "marq", targets=targets, sizes=sizes, window_bp=WINDOW_BP, bin_bp=40)
    return folder / "run", folder / "g.fa", folder / "v.vcf"


def measure(folder: Path, chosen: Any) -> None:
    """Print a row of the table for each choice of groups."""
    import bioq
    from bioq.genome import open_names
    from bioq.inputs import alleles_of
    from bioq.variants import VariantJob, VariantOptions, make_background, read_background
    from bioq.variants.ranking import Ranking
    from bioq.variants.scoring import Scorer

    job = VariantJob(chosen.run, chosen.vcf, chosen.genome)
    make_background(job, folder / "b.npz")
    background = read_background(folder / "b.npz")
    model = bioq.load(chosen.run)
    targets = np.arange(len(model.targets))
    print_heads("targets", "groups", "alleles", *STEPS, "ranks, of the two before")
    for group_by in dict.fromkeys((None, chosen.group_by)):
        ranking = Ranking(model.targets, targets, group_by=group_by, background=background)
        rounds = []
        with open_names(chosen.genome) as names:
            for _ in range(chosen.rounds):
                scorer = Scorer(model, names, VariantOptions())
                alleles = alleles_of(chosen.vcf, names)
                rounds.append(one_round(scorer.score(alleles), background, ranking))
        count = rounds[0][0]
        scoring, evalues, ranks = (
            statistics.median(each[step] / count * 1000 for each in rounds) for step in (1, 2, 3)
        )
        print_row(
            *(len(targets), len(ranking.groups), f"{count:,}"),
            *(f"{1000 * seconds:.3g} ms" for seconds in (scoring, evalues, ranks)),
            f"{ranks / (scoring + evalues):.2%}",
        )


def one_round(blocks: Iterator[Any], background: Any, ranking: Any) -> tuple[float, ...]:
    """Return the alleles of one reading of the VCF, and the seconds of each of `STEPS`."""
    from bioq.variants.background.effect_counts import are_indels

    spent = np.zeros(4)
    while True:
        block, scoring = seconds_of(next, blocks, None)
        if block is None:
            return int(spent[0]), *spent[1:]
        rows = np.flatnonzero(block.columns["max_abs_diff"] >= 0)
        kinds = are_indels(block.columns["ref"][rows], block.columns["alt"][rows])
        scores = {name: each[rows] for name, each in block.scores.items()}
        comparison, evalues = seconds_of(background.compare, scores, kinds)
        _, ranks = seconds_of(ranking.columns, scores["diff"], comparison, kinds)
        spent += len(block.columns["pos"]), scoring, evalues, ranks


def seconds_of(function: Callable[..., Any], *arguments: object) -> tuple[Any, float]:
    """Return the result of a call, and its seconds of the processor."""
    results: list[Any] = []
    taken = timed(lambda: results.append(function(*arguments)))
    return results[0], taken.cpu_s


if __name__ == "__main__":
    main()
