"""Speed and memory of `bioq data deepsea` on generated files in the exact shipped layout.

    python benchmarks/deepsea_import.py [--folder DIR] [--tiny] [LAYOUT:ROWS ...]

Writes train.mat files (MATLAB v7.3: HDF5 behind a 512-byte header, gzip 3) and a test.mat (MATLAB
v5, compressed), random windows and 2 % positive labels, the second half the reverse complement of
the first; imports each in a process of its own and prints a table. Files are written and removed
one at a time. Layouts are those of CHUNKS for train.mat, and v5 for test.mat. The full run:

    rows:11000 rows:44000 rows:110000 rows:220000 rows:440000 positions:440000 long:220000 v5:455024
"""

import argparse
import contextlib
import itertools
import json
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

from measuring import Failures, in_own_process, parse, parser, peak_mib, print_heads, print_row

WINDOW_BP, TARGETS = 1000, 919
SHIPPED_TRAIN_ROWS, SHIPPED_TEST_ROWS = 4_400_000, 455_024
CHUNKS = {"rows": (1000, 4, 64), "positions": (10, 4, 8192), "long": (1, 4, 65536)}
"""MATLAB does not say how it cuts an array: whole windows, a few positions of many windows, and a
position of very many, each of which makes blocks of another size."""
DEFAULT = ["rows:11000", "rows:44000", "positions:44000", "v5:22000"]
BLOCK_ROWS = 5_500


def main() -> None:
    options = parser(__doc__)
    options.add_argument("jobs", nargs="*", default=DEFAULT, metavar="LAYOUT:ROWS")
    options.add_argument("--folder", type=Path, help="where the files are written")
    options.add_argument("--step", choices=["generate", "import"], help=argparse.SUPPRESS)
    tiny = {"jobs": ["rows:100", "positions:100", "long:100", "v5:100"]}
    arguments = parse(options, tiny=tiny)
    if arguments.step:
        layout, rows = arguments.jobs[0].split(":")
        print(json.dumps(_step(arguments.step, layout, int(rows), arguments.folder)))
        return
    print_heads(
        *("file", "chunks", "rows", "file size", "seconds", "CPU seconds", "rows/s", "peak memory")
    )
    seconds_a_row, failures = {}, Failures()
    for job in arguments.jobs:
        layout, rows = job.split(":")
        with failures.of(job), tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            seconds_a_row[layout] = _measure(Path(folder), layout, int(rows))
    for layout, (seconds, cpu_s) in seconds_a_row.items():
        rows = SHIPPED_TEST_ROWS if layout == "v5" else SHIPPED_TRAIN_ROWS
        print(
            f"\n{layout}, as shipped ({rows:,} rows): about {rows * seconds / 60:.1f} minutes, "
            f"{rows * cpu_s / 60:.1f} of one core's time"
        )
    failures.end()


def _split_of(layout: str) -> str:
    return "test" if layout == "v5" else "train"


def _measure(folder: Path, layout: str, rows: int) -> tuple[float, float]:
    """Generate, import and print one file; each in a process of its own, so that peaks are its."""
    _run("generate", layout, rows, folder)
    started = time.perf_counter()
    peak, cpu_s = _run("import", layout, rows, folder)
    seconds = time.perf_counter() - started
    path = folder / f"{_split_of(layout)}.mat"
    size_mb = path.stat().st_size / 1e6
    print_row(
        *(path.name, CHUNKS.get(layout, layout), f"{rows:,}", f"{size_mb:,.3g} MB"),
        *(f"{seconds:.1f}", f"{cpu_s:.1f}", f"{rows / seconds:,.0f}", f"{peak:,.0f} MiB"),
    )
    return seconds / rows, cpu_s / rows


def _run(step: str, layout: str, rows: int, folder: Path) -> list[float] | None:
    job = f"{layout}:{rows}"
    found: list[float] | None = in_own_process(
        __file__, "--step", step, "--folder", folder, job, OMP_NUM_THREADS="1"
    )
    return found


def _step(step: str, layout: str, rows: int, folder: Path) -> list[float | None]:
    split = _split_of(layout)
    path = folder / f"{split}.mat"
    if step == "import":
        return _import(split, path)
    if layout == "v5":
        _write_v5(path, rows)
    else:
        write_hdf5(path, rows, CHUNKS[layout])
    return []


def _import(split: str, path: Path) -> list[float | None]:
    from bioq.cli import main as bioq
    from bioq.dataset import open_dataset

    out = path.with_name("data")
    with contextlib.redirect_stdout(sys.stderr):
        status = bioq(["data", "deepsea", f"--{split}", str(path), "--out", str(out)])
    if status:
        raise SystemExit(status)
    if not open_dataset(out)[split].strands_folded:
        raise RuntimeError("the generated file should fold")
    shutil.rmtree(out)
    return [peak_mib(), time.process_time()]


def write_hdf5(path: Path, rows: int, chunks: tuple[int, int, int]) -> None:
    import h5py
    import numpy as np

    half = rows // 2
    width = min(chunks[-1], rows)
    with h5py.File(path, "w", userblock_size=512) as file:
        windows = file.create_dataset(
            "trainxdata", (WINDOW_BP, 4, rows), "u1", chunks=(*chunks[:-1], width),
            compression="gzip", compression_opts=3,
        )  # fmt: skip
        labels = file.create_dataset(
            "traindata", (TARGETS, rows), "u1", chunks=(chunks[0] * 919 // 1000 or 1, width),
            compression="gzip", compression_opts=3,
        )  # fmt: skip
        # Written from start to end in whole chunks, so each is deflated once.
        block = max(BLOCK_ROWS // width, 1) * width
        for start in range(0, rows, block):
            numbers = np.arange(start, min(start + block, rows))
            codes, marks = _random_rows(numbers % half)
            opposite = numbers >= half
            codes[opposite] = 3 - codes[opposite, ::-1]
            one_hot = codes.T[:, None] == np.array([0, 2, 1, 3])[:, None]  # A, G, C, T
            windows[..., start : start + block] = one_hot
            labels[:, start : start + block] = marks.T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def _random_rows(numbers):  # type: ignore[no-untyped-def]
    """Return codes and labels that depend on the row number alone."""
    import numpy as np

    mixed = numbers.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    words = _mix(mixed + np.arange(WINDOW_BP // 8 + TARGETS // 8 + 1, dtype=np.uint64))
    octets = words.view(np.uint8)
    return octets[:, :WINDOW_BP] & 3, octets[:, WINDOW_BP : WINDOW_BP + TARGETS] < 5


def _mix(words):  # type: ignore[no-untyped-def]
    """splitmix64 (Steele et al. 2014), on every word."""
    import numpy as np

    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words ^ (words >> np.uint64(31))


def _write_v5(path: Path, rows: int) -> None:
    """Write test.mat plane by plane: row fastest, then channel or target, then position."""
    import numpy as np

    half = rows // 2
    base = np.random.default_rng(0).integers(0, 1 << 62, half, dtype=np.uint64)

    def codes(position: int):  # type: ignore[no-untyped-def]
        return (_mix(base + np.uint64(position)) & np.uint64(3)).astype(np.uint8)

    def windows():  # type: ignore[no-untyped-def]
        for position in range(WINDOW_BP):
            both = np.concatenate([codes(position), 3 - codes(WINDOW_BP - 1 - position)])
            for code in (0, 2, 1, 3):  # A, G, C, T
                yield (both == code).tobytes()

    def labels():  # type: ignore[no-untyped-def]
        for target in range(TARGETS):
            positive = (_mix(base ^ np.uint64(target + 5000)) & np.uint64(255)) < 5
            yield np.concatenate([positive, positive]).tobytes()

    with open(path, "wb") as file:
        file.write(b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x01IM")
        _write_v5_array(file, "testxdata", (rows, 4, WINDOW_BP), windows())
        _write_v5_array(file, "testdata", (rows, TARGETS), labels())


def _write_v5_array(file, name: str, shape: tuple[int, ...], pieces) -> None:  # type: ignore[no-untyped-def]
    import math
    import zlib

    size = math.prod(shape)
    text = name.encode()
    head = struct.pack("<IIII", 6, 8, 9, 0)  # flags: class uint8
    head += struct.pack("<II", 5, 4 * len(shape)) + struct.pack(f"<{len(shape)}i", *shape)
    head += bytes(-len(head) % 8)
    head += struct.pack("<II", 1, len(text)) + text + bytes(-len(text) % 8)
    head += struct.pack("<II", 2, size)
    padding = bytes(-size % 8)
    head = struct.pack("<II", 14, len(head) + size + len(padding)) + head
    deflate = zlib.compressobj(3)
    at = file.tell()
    file.write(bytes(8))
    for piece in itertools.chain([head], pieces, [padding]):
        file.write(deflate.compress(piece))
    file.write(deflate.flush())
    end = file.tell()
    file.seek(at)
    file.write(struct.pack("<II", 15, end - at - 8))
    file.seek(end)


if __name__ == "__main__":
    main()
