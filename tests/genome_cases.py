"""Genomes of real lengths for tests, and runs that were trained on them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path


def write_2bit(path: Path, name: str, length: int) -> Path:
    """Write a 2bit genome of one contig of T, as a sparse file."""
    start = 16 + 1 + len(name) + 4
    with open(path, "wb") as file:
        file.write(struct.pack("<4I", 0x1A412743, 0, 1, 0))
        file.write(struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", start))
        file.write(struct.pack("<4I", length, 0, 0, 0))
        file.truncate(start + 16 + -(-length // 4))
    return path


def twobit_of(lengths: Mapping[str, int], *, version: int = 0) -> bytes:
    """Return a 2bit genome whose contigs are of T; version 1 has 64-bit offsets."""
    entry = "<Q" if version else "<I"
    offset = 16 + sum(1 + len(name) + struct.calcsize(entry) for name in lengths)
    index, records = b"", b""
    for name, length in lengths.items():
        index += struct.pack("<B", len(name)) + name.encode()
        index += struct.pack(entry, offset + len(records))
        records += struct.pack("<4I", length, 0, 0, 0) + bytes(-(-length // 4))
    return struct.pack("<4I", 0x1A412743, version, len(lengths), 0) + index + records


def trained_on(run: Path, contigs: Mapping[str, int]) -> Path:
    """Make a run one that was trained on a genome of these contigs."""
    file = run / "config.json"
    config = json.loads(file.read_text())
    config["data"]["contigs"] = dict(contigs)
    file.write_text(json.dumps(config))
    return run
