"""Time and memory of a data set from peaks, on generated files.

    python benchmarks/peaks_import.py                                              # seconds
    python benchmarks/peaks_import.py --files 919 --peaks 100000 --genome-mb 3100  # a human genome
    python benchmarks/peaks_import.py --files 1 --peaks 150000 --genome-mb 3100 --background matched

The genome is random FASTA in 24 contigs, a twentieth of each unknown. As in real assays, the files
share their sites: each draws its peaks, 150 to 900 bp wide, from one site in 2 kb. The build runs
in a process of its own, so that its peak memory is its own. Everything is made in a temporary
folder (--folder chooses where) and removed.
"""

import argparse
import contextlib
import gzip
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import in_own_process, parse, parser, peak_mib, print_heads, print_row, say

CONTIGS = 24
SITE_EVERY_BP = 2000
LINE_BASES = 60


def write_genome(path: Path, contig_bp: int, random: np.random.Generator) -> None:
    lines = contig_bp // LINE_BASES
    letters = np.frombuffer(b"ACGTacgtACGTacgt", dtype=np.uint8)
    with open(path, "wb") as file:
        for contig in range(CONTIGS):
            file.write(b">chr%d\n" % (contig + 1))
            for first in range(0, lines, 1 << 17):
                rows = min(1 << 17, lines - first)
                text = np.full((rows, LINE_BASES + 1), ord("\n"), dtype=np.uint8)
                drawn = np.frombuffer(random.bytes(rows * LINE_BASES), dtype=np.uint8) & 15
                text[:, :LINE_BASES] = letters[drawn].reshape(rows, LINE_BASES)
                text[: max(lines // 20 - first, 0), :LINE_BASES] = ord("N")
                file.write(text.data)


def write_peaks(
    folder: Path, files: int, peaks: int, contig_bp: int, random: np.random.Generator
) -> None:
    (folder / "peaks").mkdir()
    sites = max(CONTIGS * contig_bp // SITE_EVERY_BP, peaks)
    contig = random.integers(1, CONTIGS + 1, sites).tolist()
    start = random.integers(0, contig_bp - 1000, sites).tolist()
    width = random.integers(150, 900, sites).tolist()
    lines = [
        b"chr%d\t%d\t%d\t.\t%d\t.\t17.0218\t-1\t2.6613\t%d\n" % (c, s, s + w, w, w // 2)
        for c, s, w in zip(contig, start, width, strict=True)
    ]
    with open(folder / "targets.tsv", "w") as sheet:
        sheet.write("name\tpeaks\n")
        for number in range(files):
            # Half of a file's peaks are at the sites that every assay shares, half anywhere.
            shared = random.choice(sites // 20, min(peaks // 2, sites // 20), replace=False)
            chosen = [*shared.tolist(), *random.integers(0, sites, peaks - len(shared)).tolist()]
            text = b"".join([lines[site] for site in chosen])
            name = f"peaks/{number}.narrowPeak.gz"
            (folder / name).write_bytes(gzip.compress(text, 1))
            sheet.write(f"target{number}\t{name}\n")


def build(folder: Path, keep: str, background: str) -> None:
    """Build the data set with the command, and print what it took as JSON."""
    from bioq.cli import main as bioq

    began, out = time.monotonic(), folder / "out"
    words = ["data", "peaks", "--genome", folder / "genome.fa", "--targets", folder / "targets.tsv"]
    words += ["--keep", keep, "--background", background, "--out", out]
    with contextlib.redirect_stdout(sys.stderr):
        status = bioq([str(word) for word in words])
    if status:
        raise SystemExit(status)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds, cpu_s = time.monotonic() - began, used.ru_utime + used.ru_stime
    size_mb = sum(file.stat().st_size for file in out.rglob("*.*")) / 1e6
    print(json.dumps([f"{seconds:.3g}", f"{cpu_s:.3g}", f"{peak_mib():.0f} MiB", f"{size_mb:.3g}"]))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--files", type=int, default=40)
    options.add_argument("--peaks", type=int, default=20_000)
    options.add_argument("--genome-mb", type=float, default=60)
    options.add_argument("--keep", default="any")
    options.add_argument("--background", default="none")
    options.add_argument("--folder", type=Path, help="where to make the files")
    options.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    chosen = parse(options, tiny={"files": 2, "peaks": 100, "genome_mb": 0.24})
    if chosen.build:
        build(chosen.build, chosen.keep, chosen.background)
        return
    contig_bp = int(chosen.genome_mb * 1e6) // CONTIGS
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="bioq-bench-", dir=chosen.folder) as name:
        folder = Path(name)
        began = time.monotonic()
        write_genome(folder / "genome.fa", contig_bp, random)
        write_peaks(folder, chosen.files, chosen.peaks, contig_bp, random)
        say(f"files made in {time.monotonic() - began:.0f} s")
        choices = ("--keep", chosen.keep, "--background", chosen.background)
        row = in_own_process(__file__, "--build", name, *choices)
    heads = ("files", "peaks each", "genome, Mb", "keep", "background")
    print_heads(*heads, "seconds", "CPU seconds", "peak memory", "data set, MB")
    size = (chosen.files, f"{chosen.peaks:,}", f"{chosen.genome_mb:g}")
    print_row(*size, chosen.keep, chosen.background, *row)


if __name__ == "__main__":
    main()
