"""Every SNV of a region: what the three ALTs of a base share.

    python benchmarks/all_snvs.py [--model danq] [--bases 2000] [--targets 919] [--rounds 3]
        [--threads 1] [--tiny]
    python benchmarks/all_snvs.py --run RUN --genome GENOME --region chr22:17450001-17452000

Two ways, in turn: `bioq variants --all-snvs` with the three SNVs of each base of the region, and a
VCF with one SNV of each base of a region that is three times as long: equally many alleles. By
default a model of one training step, of published size, on a random genome. The tables have one
score of one target. Prints medians, and the ratio of the processor time of an allele to that of the
VCF.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from generated import CONTIG, tiny_sizes, write_genome, write_run
from measuring import Failures, Taken, in_turns, parse, parser, print_heads, print_row, timed

import bioq
from bioq import dna
from bioq.genome import find_region, open_genome
from bioq.inputs import AllSnvs
from bioq.variants import VariantJob, VariantTableOptions, write_variants

THREE, ONE = "three SNVs of a base", "one SNV of a base"
WAYS = (THREE, ONE)
GENOME_BP = 100_000


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--run", type=Path)
    options.add_argument("--genome", type=Path)
    options.add_argument("--region", help="of --genome")
    options.add_argument("--model", default="danq")
    options.add_argument("--bases", type=int, default=2000, help="of the random genome")
    options.add_argument("--targets", type=int, default=919)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    arguments = parse(options, tiny={"bases": 50, "targets": 2, "rounds": 1})
    torch.set_num_threads(arguments.threads)
    print_heads("alleles", "way", "alleles/s", "CPU ms an allele", "ratio")
    failures = Failures()
    with failures.of("all SNVs"), tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments)
    failures.end()


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    """Print a row for each way."""
    run, genome = arguments.run, arguments.genome
    if run is None:
        run, genome = folder / "run", folder / "genome.fa"
        sizes = tiny_sizes(arguments.model) if arguments.tiny else None
        write_run(run, arguments.model, targets=arguments.targets, sizes=sizes)
        write_genome(genome, GENOME_BP)
    text = arguments.region or f"{CONTIG}:50001-{50_000 + arguments.bases}"
    vcf = folder / "one.vcf"
    alleles = write_one_of_each(vcf, genome, text)
    sources = {THREE: AllSnvs(text), ONE: vcf}
    outs = {way: folder / f"{number}.tsv.gz" for number, way in enumerate(WAYS)}
    first = str(bioq.load(run).targets["name"].iloc[0])
    table = VariantTableOptions(targets=(first,), scores=("diff",), background=Path("none"))
    taken: dict[str, list[Taken]] = {way: [] for way in WAYS}
    for way in in_turns(WAYS, arguments.rounds):
        job = VariantJob(run, sources[way], genome)
        taken[way].append(
            timed(lambda job=job, way=way: write_variants(job, outs[way], table, force=True))
        )
    cpu = {way: statistics.median(each.cpu_s for each in taken[way]) for way in WAYS}
    for way in WAYS:
        seconds = statistics.median(each.seconds for each in taken[way])
        print_row(
            *(f"{alleles:,}", way, f"{alleles / seconds:,.0f}", f"{1000 * cpu[way] / alleles:.2f}"),
            f"{cpu[way] / cpu[ONE]:.2f}",
        )


def write_one_of_each(path: Path, genome: Path, text: str) -> int:
    """Write one SNV of each known base of a region three times as long as that in `text`; return
    the number of SNVs."""
    with open_genome(genome) as opened:
        region = find_region(text, opened)
        if region is None:
            raise ValueError(f"{text}: is not a region")
        end = region.start + 3 * (region.end - region.start)
        bases = opened.read(region.contig, region.start, end)
    random = np.random.default_rng(0)
    alts = (bases + random.integers(1, 4, len(bases))) % 4
    lines = [
        f"{region.contig}\t{region.start + at + 1}\t.\t{dna.BASES[ref]}\t{dna.BASES[alt]}\n"
        for at, (ref, alt) in enumerate(zip(bases, alts, strict=True))
        if ref != dna.UNKNOWN
    ]
    path.write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    return len(lines)


if __name__ == "__main__":
    main()
