"""CPU time of reading a BED file: `read_bed`, its exact parser, and pandas.

    python benchmarks/bed_reading.py [--tiny]          # 1,000,000 narrowPeak lines

The readers run in turns on the same lines, and must return equal arrays. `read_bed` takes its exact
parser where blanks separate the columns of a line: here of the last one. One row per
reader: the median of the seconds of CPU, and how many times as long as `read_bed`.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import in_turns, parse, parser, print_heads, print_row, timed

from bioq.genome import Bed, read_bed

READ, EXACT, PANDAS = "read_bed", "exact parser", "pandas.read_csv"
LAST = "chr1\t1000\t1200\t.\t200\t.\t17.0218\t-1\t2.6613\t100"


def write_peaks(path: Path, lines: int, *, last: str = "") -> None:
    random = np.random.default_rng(0)
    contig = random.integers(1, 23, lines).tolist()
    start = random.integers(0, 240_000_000, lines).tolist()
    width = random.integers(150, 900, lines).tolist()
    with open(path, "w") as file:
        for c, s, w in zip(contig, start, width, strict=True):
            file.write(f"chr{c}\t{s}\t{s + w}\t.\t{w}\t.\t17.0218\t-1\t2.6613\t{w // 2}\n")
        file.write(last)


def by_pandas(path: Path) -> Bed:
    table = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2, 9], quoting=3)
    contig, names = pd.factorize(table[0])
    start, end, summit = (table[column].to_numpy() for column in (1, 2, 9))
    return Bed(path, tuple(names), contig.astype(np.int64), start, end, summit)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--lines", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = parse(arguments, tiny={"lines": 20_000, "rounds": 2})
    cpu_s: dict[str, list[float]] = {name: [] for name in (READ, EXACT, PANDAS)}
    with tempfile.TemporaryDirectory(prefix="bioq-bench-") as folder:
        path, odd = Path(folder) / "peaks.narrowPeak", Path(folder) / "odd.narrowPeak"
        write_peaks(path, options.lines, last=f"{LAST}\n")
        write_peaks(odd, options.lines, last=LAST.replace("\t", " ") + "\n")
        readers: dict[str, Callable[[], Bed]] = {
            READ: lambda: read_bed(path, summits=True, blocks=True),
            EXACT: lambda: read_bed(odd, summits=True, blocks=True),
            PANDAS: lambda: by_pandas(path),
        }
        expected = read_bed(path, summits=True)
        found: list[Bed] = []
        for name in in_turns(readers, options.rounds):
            cpu_s[name].append(timed(lambda read=readers[name]: found.append(read())).cpu_s)
            require_equal(name, found.pop(), expected)
    median = {name: statistics.median(values) for name, values in cpu_s.items()}
    print_heads("reader", "CPU seconds", f"times {READ}")
    for name, value in median.items():
        print_row(name, f"{value:.3g}", f"{value / median[READ]:.1f}")


def require_equal(name: str, bed: Bed, expected: Bed) -> None:
    columns = ("contig", "start", "end", "summit")
    same = (np.array_equal(getattr(bed, one), getattr(expected, one)) for one in columns)
    if bed.contigs != expected.contigs or not all(same):
        raise SystemExit(f"{name} does not return the arrays of {READ}")


if __name__ == "__main__":
    main()
