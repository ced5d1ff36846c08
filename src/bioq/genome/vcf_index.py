"""The index of a bgzip VCF, BCF or table, by which tools find the records of a region."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bioq.files import new_file
from bioq.genome.fasta import quiet_htslib
from bioq.genome.libraries import pysam

FileKind = Literal["vcf", "bcf", "table"]
"""A table has CHROM and POS, counted from 1, in its first two columns, and a line of names."""
_LAST_OF_TBI = 1 << 29
"""Bases of a contig that a .tbi can index: tabix specification, bins of 2^14 to 2^29 bases."""
_COLUMNS_OF_TABLE = {"seq_col": 0, "start_col": 1, "end_col": 1, "line_skip": 1}


@dataclass
class Order:
    """Whether the records so far are in the order that an index needs: contig after contig, by
    position."""

    is_sorted: bool = True
    last: int = 0
    """The largest position, or the bases of the longest contig."""
    _contig: str = ""
    _pos: int = 0
    _seen: set[str] = field(default_factory=set)

    def add(self, contig: str, pos: int) -> None:
        """Add a record."""
        if contig != self._contig:
            self.is_sorted &= contig not in self._seen
            self._seen.add(contig)
            self._contig = contig
        else:
            self.is_sorted &= pos >= self._pos
        self._pos = pos
        self.last = max(self.last, pos)


def index_files(packed: Path) -> list[Path]:
    """Return the files that an index of a file may be in."""
    return [packed.with_name(packed.name + ending) for ending in (".tbi", ".csi")]


def write_index(packed: Path, order: Order, *, kind: FileKind) -> bool:
    """Write the index beside a file, .tbi or, of a BCF or long contigs, .csi.

    Returns False, and writes nothing, if the records are not sorted or htslib cannot index them.
    """
    if not order.is_sorted:
        return False
    is_csi = kind == "bcf" or order.last >= _LAST_OF_TBI
    how: Any = {"preset": kind} if kind != "table" else _COLUMNS_OF_TABLE
    try:
        with new_file(index_files(packed)[is_csi]) as partial, quiet_htslib():
            pysam.tabix_index(str(packed), **how, index=str(partial), csi=is_csi, force=True)
    except (OSError, ValueError):
        return False
    return True
