"""CPU time of reading a BED file: `read_bed`, its exact parser, and pandas.

    python benchmarks/bed_reading.py                   # 1,000,000 narrowPeak lines

The readers run in turns on the same file, and must return equal arrays. One row per reader: the
median of the seconds of CPU, and how many times as long as `read_bed`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bioq.genome import Bed, read_bed
from bioq.genome.bed import _parse_exactly, _read


def write_peaks(path: Path, lines: int) -> None:
    random = np.random.default_rng(0)
    contig = random.integers(1, 23, lines).tolist()
    start = random.integers(0, 240_000_000, lines).tolist()
    width = random.integers(150, 900, lines).tolist()
    with open(path, "w") as file:
        for c, s, w in zip(contig, start, width, strict=True):
            file.write(f"chr{c}\t{s}\t{s + w}\t.\t{w}\t.\t17.0218\t-1\t2.6613\t{w // 2}\n")


def by_pandas(path: Path) -> Bed:
    table = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2, 9], quoting=3)
    contig, names = pd.factorize(table[0])
    start, end, summit = (table[column].to_numpy() for column in (1, 2, 9))
    return Bed(path, tuple(names), contig.astype(np.int64), start, end, summit)


READERS: dict[str, Callable[[Path], Bed]] = {
    "read_bed": lambda path: read_bed(path, summits=True, blocks=True),
    "exact parser": lambda path: _parse_exactly(path, _read(path), "narrowPeak"),
    "pandas.read_csv": by_pandas,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory(prefix="bioq-bench-") as folder:
        path = Path(folder) / "peaks.narrowPeak"
        write_peaks(path, options.lines)
        expected = read_bed(path, summits=True)
        for _ in range(options.rounds):
            for name, read in READERS.items():
                began = time.process_time()
                bed = read(path)
                seconds[name].append(time.process_time() - began)
                assert bed.contigs == expected.contigs
                for column in ("contig", "start", "end", "summit"):
                    np.testing.assert_array_equal(getattr(bed, column), getattr(expected, column))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name:16} {value:.3f} s  {value / median['read_bed']:.1f}")


if __name__ == "__main__":
    main()
