"""Memory and rate of `bioq predict` and `bioq variants`: do they change with the number of rows?

    python benchmarks/table_memory.py predict [--rows 20000 200000] [--targets 100]
        [--endings .tsv.gz .parquet .h5 .h5ad .bw]
    python benchmarks/table_memory.py variants [--rows 100000 1000000] [--targets 2]
        [--endings .tsv .vcf.gz .annotated.vcf.gz .annotated.bcf .parquet .h5 .h5ad .html]
        [--folder DIR] [--tiny]

A tiny untrained model of 200-bp windows. Rows are windows of regions of a random genome; or random
substitutions, insertions and deletions on a random genome of 8 Mb; .annotated is --annotate, and
.html is a .tsv with a report. Every output runs in a process of its own, which prints its seconds,
its memory once the model and the genome are open, and its peak (Linux). Without a command, both.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from generated import CONTIG, write_genome, write_run
from measuring import (
    Failures,
    in_own_process,
    parse,
    parser,
    peak_mib,
    print_heads,
    print_row,
    status_mib,
    timed,
)

WINDOW_BP, BIN_BP = 200, 40
VARIANTS_GENOME_BP = 8_000_000
PREDICT, VARIANTS = "predict", "variants"
ROWS = {PREDICT: [20_000, 200_000], VARIANTS: [100_000, 1_000_000]}
TARGETS = {PREDICT: 100, VARIANTS: 2}
ANNOTATED = ".annotated"
ENDINGS = {
    PREDICT: [".tsv.gz", ".parquet", ".h5", ".h5ad", ".bw"],
    VARIANTS: [
        *(".tsv", ".vcf.gz", ANNOTATED + ".vcf.gz", ANNOTATED + ".bcf"),
        *(".parquet", ".h5", ".h5ad", ".html"),
    ],
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("commands", nargs="*", default=[PREDICT, VARIANTS])
    options.add_argument("--rows", type=int, nargs="+", help="windows or alleles")
    options.add_argument("--targets", type=int)
    options.add_argument("--endings", nargs="+")
    options.add_argument("--folder", type=Path, help="where the files are written")
    options.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    tiny = {"rows": [500], "targets": 2, "endings": [".parquet"]}
    arguments = parse(options, tiny=tiny)
    if arguments.out:
        print(json.dumps(work(arguments.commands[0], arguments.folder, arguments.out)))
        return
    print_heads(
        *("command", "output", "rows", "targets", "seconds", "rows/s"),
        *("memory at the start", "peak memory"),
    )
    failures = Failures()
    for command in arguments.commands:
        targets = arguments.targets or TARGETS[command]
        for rows in arguments.rows or ROWS[command]:
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                generate(command, Path(folder), rows, targets)
                for ending in arguments.endings or ENDINGS[command]:
                    with failures.of(f"{command} {ending}, {rows} rows"):
                        measure(command, Path(folder), ending, rows, targets)
    failures.end()


def measure(command: str, folder: Path, ending: str, rows: int, targets: int) -> None:
    """Print a row of the table."""
    out = folder / f"o{ending}"
    seconds, start, peak = in_own_process(__file__, command, "--folder", folder, "--out", out)
    print_row(
        *(command, ending, f"{rows:,}", targets, f"{seconds:.3g}", f"{rows / seconds:,.0f}"),
        *(f"{start:,.0f} MiB", f"{peak:,.0f} MiB"),
    )


def generate(command: str, folder: Path, rows: int, targets: int) -> None:
    """Write run, g.fa and the input: r.bed or v.vcf."""
    genome_bp = rows * BIN_BP if command == PREDICT else min(VARIANTS_GENOME_BP, rows * 100)
    genome = write_genome(folder / "g.fa", max(genome_bp, 4000), line_bp=genome_bp)
    if command == PREDICT:
        write_regions(folder / "r.bed", rows)
    else:
        write_alleles(folder / "v.vcf", genome, rows)
    write_model(folder / "run", targets)


def write_model(run: Path, targets: int) -> None:
    """Write the run of a tiny model."""
    from bioq.models import ModelSizes

    sizes = ModelSizes(filters=8, filter_width=8, pool_width=50, lstm_units=4, dense_units=8)
    write_run(run, "danq", targets=targets, sizes=sizes, window_bp=WINDOW_BP, bin_bp=BIN_BP)


def write_regions(path: Path, windows: int) -> None:
    """Write regions of ten bins that cover so many windows."""
    with open(path, "w") as file:
        for first in range(0, windows, 10):
            end = min(first + 10, windows)
            file.write(f"{CONTIG}\t{first * BIN_BP}\t{end * BIN_BP}\n")


def write_alleles(path: Path, codes: np.ndarray, alleles: int) -> None:
    """Write sorted alleles: eight substitutions to one insertion and one deletion."""
    from bioq import dna

    random, genome = np.random.default_rng(1), dna.decode(codes)
    starts = np.sort(random.integers(0, len(genome) - 10, alleles)).tolist()
    with open(path, "w") as file:
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n")
        for start, kind in zip(starts, random.integers(0, 10, alleles).tolist(), strict=True):
            base = genome[start]
            ref, alt = base, "ACGT"[("ACGT".index(base) + 1) % 4]
            if kind == 0:
                alt = base + "ACG"
            elif kind == 1:
                ref, alt = genome[start : start + 4], base
            file.write(f"{CONTIG}\t{start + 1}\t.\t{ref}\t{alt}\n")


def work(command: str, folder: Path, out: Path) -> list[float | None]:
    """Run the command here; return its seconds, and the memory before and at its peak."""
    import bioq
    from bioq.cli import main as run_command
    from bioq.genome import open_genome

    bioq.load(folder / "run")
    open_genome(folder / "g.fa").close()
    start = status_mib("VmRSS")
    words = [command, folder / "run", folder / ("r.bed" if command == PREDICT else "v.vcf")]
    words += ["--genome", folder / "g.fa"]
    words += ["--out", out] if out.suffix != ".html" else ["--report", out, "--out", f"{out}.tsv"]
    words += ["--annotate"] if ANNOTATED in out.suffixes else []
    statuses: list[int] = []
    with contextlib.redirect_stdout(sys.stderr):
        taken = timed(lambda: statuses.append(run_command([str(word) for word in words])))
    if statuses[0]:
        raise SystemExit(statuses[0])
    return [taken.seconds, start, peak_mib()]


if __name__ == "__main__":
    main()
