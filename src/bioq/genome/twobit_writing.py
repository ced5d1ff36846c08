"""2bit genomes as files: what UCSC's browser and IGV read of a genome that they do not know.

Source of the format: UCSC, FAQformat.html#format7; `genome/twobit.py` reads it.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bioq import dna
from bioq.errors import BioqError
from bioq.genome.fasta import Genome
from bioq.genome.runs import edges_of
from bioq.genome.twobit import MAGIC

_LETTER_OF_CODE = np.array([2, 1, 3, 0, 0], dtype=np.uint8)  # A, C, G, T, unknown: T is 0
_MOST_OFFSET = 1 << 32
"""Version 0 has offsets of 32 bits; version 1 has 64."""
_LONGEST_NAME = 255


def write_twobit(genome: Genome, path: Path) -> None:
    """Write a genome as 2bit, one contig in memory at a time; lower case is kept.

    Letters that are not A, C, G or T become N. Raises BioqError for a name of a contig that has
    more than 255 bytes.
    """
    names = {contig: contig.encode() for contig in genome.lengths}
    long = next((contig for contig, name in names.items() if len(name) > _LONGEST_NAME), None)
    if long is not None:
        raise BioqError(
            f"{genome.path}: the contig {long[:40]!r}... has a name of more than {_LONGEST_NAME} "
            "bytes, which 2bit cannot have; give the contig a shorter name"
        )
    with open(path, "wb") as file:
        if not _write(file, genome, names, is_large=False):
            file.seek(0)
            _write(file, genome, names, is_large=True)


def _write(file: BinaryIO, genome: Genome, names: Mapping[str, bytes], *, is_large: bool) -> bool:
    """Write all contigs, then the index before them; return False if an offset does not fit."""
    word = struct.Struct("<Q" if is_large else "<I")
    file.write(struct.pack("<4I", MAGIC, int(is_large), len(names), 0))
    file.write(bytes(sum(1 + len(name) + word.size for name in names.values())))
    offsets = {}
    for contig in names:
        offsets[contig] = file.tell()
        if offsets[contig] >= _MOST_OFFSET and not is_large:
            return False
        _write_contig(file, *genome.read_masked(contig, 0, genome.lengths[contig]))
    file.seek(struct.calcsize("<4I"))
    for contig, name in names.items():
        file.write(bytes([len(name)]) + name + word.pack(offsets[contig]))
    return True


def _write_contig(file: BinaryIO, codes: dna.Bytes, is_lower: np.ndarray) -> None:
    """Append the record of a contig: bases, runs of unknown bases, runs of lower case, letters."""
    file.write(struct.pack("<I", len(codes)))
    for flags in (codes == dna.UNKNOWN, is_lower):
        starts, ends = edges_of(flags, 0).T
        file.write(struct.pack("<I", len(starts)))
        file.write(starts.astype("<u4").tobytes() + (ends - starts).astype("<u4").tobytes())
    file.write(struct.pack("<I", 0))
    letters = np.zeros(dna.packed_bytes(len(codes)) * 4, dtype=np.uint8)
    letters[: len(codes)] = _LETTER_OF_CODE[codes]
    first, second, third, fourth = letters.reshape(-1, 4).T
    file.write((first << 6 | second << 4 | third << 2 | fourth).tobytes())
