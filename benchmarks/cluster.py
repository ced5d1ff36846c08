"""What a Ray cluster costs: `bioq predict` and `bioq variants` with and without --ray local.

    python benchmarks/cluster.py RUN GENOME.fa [--windows 20000] [--shards 1024 4096]
        [--workers 1 2]
    python benchmarks/cluster.py --memory 100000 1000000
    python benchmarks/cluster.py --tiny

Every row is a process of its own with one thread a model, and a cluster that is started and
stopped in it; seconds are from start to end. Without --memory: one batch, which is what starting
takes, then the plain command and the cluster on regions and random SNVs of the genome's first
contig. With --memory: so many windows of a tiny model (that of table_memory.py) on the last of
the clusters. Memory is the driver's, without Ray's store, ten times a second (Linux).
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import Failures, parse, parser, print_heads, print_row, status_mib
from table_memory import PREDICT, generate

from bioq import dna
from bioq.genome import open_genome


def main() -> None:
    options = parser(__doc__)
    options.add_argument("run", type=Path, nargs="?")
    options.add_argument("genome", type=Path, nargs="?")
    options.add_argument("--windows", type=int, default=20_000)
    options.add_argument("--alleles", type=int, default=10_000)
    options.add_argument("--shards", type=int, nargs="+", default=[1024, 4096])
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options.add_argument("--memory", type=int, nargs="+", default=[])
    tiny = {"shards": [64], "workers": [1], "memory": [200]}
    arguments = parse(options, tiny=tiny)
    if not (arguments.memory or arguments.genome):
        options.error("RUN and GENOME.fa, or --memory")
    clusters = [
        ["--ray", "local", "--ray-workers", str(workers), "--ray-shard", str(shard)]
        for workers in arguments.workers
        for shard in arguments.shards
    ]
    print_heads("command", "seconds", "a second", "driver's peak memory")
    failures = Failures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for windows in arguments.memory:
            (folder / str(windows)).mkdir()
            generate(PREDICT, folder / str(windows), windows, 100)
            with failures.of(f"--memory {windows}"):
                measure(folder / str(windows), "predict", "r.bed", windows, clusters[-1])
        if arguments.memory:
            failures.end()
            return
        (folder / "run").symlink_to(arguments.run.resolve())
        (folder / "g.fa").symlink_to(arguments.genome.resolve())
        write_regions(folder / "r.bed", arguments.genome, arguments.windows)
        write_variants(folder / "v.vcf", arguments.genome, arguments.alleles)
        write_regions(folder / "one.bed", arguments.genome, 256)
        jobs = [("predict", "one.bed", 256, flags) for flags in ([], clusters[-1])]
        for command, source, units in (
            ("predict", "r.bed", arguments.windows),
            ("variants", "v.vcf", arguments.alleles),
        ):
            jobs += [(command, source, units, flags) for flags in ([], *clusters)]
        for command, source, units, flags in jobs:
            with failures.of(" ".join([command, source, *flags])):
                measure(folder, command, source, units, flags)
    failures.end()


def measure(
    folder: Path,
    command: str,
    source: str,
    units: int,
    options: list[str],
) -> None:
    out = folder / f"{command}{time.monotonic_ns()}.parquet"
    common = [folder / "run", folder / source, "--genome", folder / "g.fa"]
    started, peak = time.monotonic(), 0.0
    with subprocess.Popen(
        [sys.executable, "-m", "bioq", command, *common, "--out", out, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            # Without what it shares: Ray's store is mapped into the driver.
            peak = max(peak, status_mib("RssAnon", process.pid) or 0)
            time.sleep(0.1)
    seconds = time.monotonic() - started
    if process.returncode:
        raise RuntimeError(f"bioq {command} ended with status {process.returncode}")
    words = " ".join([command, *options[:1], *options[2:]]) if options else command
    print_row(
        *(f"{words} ({units:,})", f"{seconds:.1f}", f"{units / seconds:,.0f}"),
        f"{peak:,.0f} MiB",
    )


def write_regions(path: Path, genome: Path, windows: int, *, bin_bp: int = 200) -> None:
    """Write one region over the first contig's bins, again from its start where it is too short."""
    with open_genome(genome) as opened, open(path, "w") as file:
        contig, length = next(iter(opened.lengths.items()))
        while windows:
            bins = min(windows, length // bin_bp)
            file.write(f"{contig}\t0\t{bins * bin_bp}\n")
            windows -= bins


def write_variants(path: Path, genome: Path, alleles: int) -> None:
    """Write SNVs at sorted random places of the first contig."""
    random = np.random.default_rng(0)
    with open_genome(genome) as opened, open(path, "w") as file:
        contig, length = next(iter(opened.lengths.items()))
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n")
        for position in np.sort(random.integers(1000, length - 1000, alleles)).tolist():
            (code,) = opened.read(contig, position, position + 1).tolist()
            if code != dna.UNKNOWN:
                alt = dna.BASES[(code + 1) % 4]
                file.write(f"{contig}\t{position + 1}\t.\t{dna.BASES[code]}\t{alt}\n")


if __name__ == "__main__":
    main()
