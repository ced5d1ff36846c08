"""Memory and rate of `bioq variants`: does either change with the number of alleles?

    python benchmarks/variants_memory.py [--alleles 100000 1000000] [--targets 2] [--folder DIR]
        [--endings .tsv .vcf.gz .parquet .h5 .h5ad]

Random substitutions, insertions and deletions on a random genome of 8 Mb, the tiny model of
`predict_memory.py`; every output runs in a process of its own, which prints its seconds, its
resident memory once the model and the genome are open, and its peak (Linux).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from predict_memory import BIN_BP, generate

GENOME_BP = 8_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alleles", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--targets", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are written")
    parser.add_argument(
        "--endings", nargs="+", default=[".tsv", ".vcf.gz", ".parquet", ".h5", ".h5ad"]
    )
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out:
        _score(arguments.folder, arguments.out)
        return
    print("| output | alleles | targets | seconds | alleles/s | memory at the start | peak |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for alleles in arguments.alleles:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            generate(folder, GENOME_BP // BIN_BP, arguments.targets)
            _write_vcf(folder, alleles)
            for ending in arguments.endings:
                command = [
                    sys.executable,
                    __file__,
                    "--folder",
                    folder,
                    "--out",
                    folder / f"o{ending}",
                ]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                seconds, start_mib, peak_mib = map(float, output.stdout.split())
                print(
                    f"| {ending} | {alleles:,} | {arguments.targets} | {seconds:.1f} | "
                    f"{alleles / seconds:,.0f} | {start_mib:,.0f} MiB | {peak_mib:,.0f} MiB |",
                    flush=True,
                )


def _write_vcf(folder: Path, alleles: int) -> None:
    """Write sorted alleles: eight substitutions to one insertion and one deletion."""
    random = np.random.default_rng(1)
    genome = (folder / "g.fa").read_text().split("\n")[1]
    starts = np.sort(random.integers(0, len(genome) - 10, alleles)).tolist()
    with open(folder / "v.vcf", "w") as file:
        for start, kind in zip(starts, random.integers(0, 10, alleles).tolist(), strict=True):
            base = genome[start]
            ref, alt = base, "ACGT"[("ACGT".index(base) + 1) % 4]
            if kind == 0:
                alt = base + "ACG"
            elif kind == 1:
                ref, alt = genome[start : start + 4], base
            file.write(f"chr1\t{start + 1}\t.\t{ref}\t{alt}\n")


def _score(folder: Path, out: Path) -> None:
    from bioq.genome import open_genome
    from bioq.runs.trained_model import load
    from bioq.variants import VariantJob, write_variants

    load(folder / "run")
    open_genome(folder / "g.fa").close()
    start_mib = _memory_mib("VmRSS")
    started = time.monotonic()
    write_variants(VariantJob(folder / "run", folder / "v.vcf", folder / "g.fa"), out)
    print(time.monotonic() - started, start_mib, _memory_mib("VmHWM"))


def _memory_mib(field: str) -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 1024


if __name__ == "__main__":
    main()
