"""Windows of the regions of a BED file on a genome, read line by line in small memory."""

import heapq
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal

import numpy as np

from bioq.errors import BioqError
from bioq.genome import ContigNames, Genome, some
from bioq.genome.bed import is_interval, parse_interval
from bioq.genome.text import bounded_lines, open_text, too_long
from bioq.genome.windows import read_windows
from bioq.inputs.windows import N_SHARE, WindowBatch, in_batches
from bioq.progress import progress

_STRETCH = 256
"""Windows that are read from the genome, or regions from a sorted stretch, at a time."""
_SORTED_AT_ONCE = 1 << 17
_ROW_BYTES = 32
_SHOWN_EVERY = 10_000
"""Windows that are counted between two looks at the clock."""

Tile = tuple[int, int, str, str]
"""(the genome's contig number, start of the bin, the BED's contig name, the region's name)"""


class RegionWindows:
    """The windows around the bins of every region of a BED file.

    A region has a bin every `stride_bp` from its start until the region is covered; the last may
    reach past its end. A region that is no longer than a bin has one bin, around its middle. The
    window has the bin in its middle; bases before and after the contig are unknown.

    With `ordered` the bins come in the genome's order and each only once, as bigWig needs them.
    They then go by the genome's contig names and without names of their own.

    Columns: `contig` (as the BED calls it), `start` and `end` of the bin (0-based, half-open),
    `name` (the BED's fourth column), `n_share`.
    """

    columns: ClassVar[dict[str, Literal["text", "integer", "number"]]] = {
        "chrom": "text",
        "start": "integer",
        "end": "integer",
        "name": "text",
        N_SHARE: "number",
    }

    def __init__(
        self,
        path: Path,
        genome: Genome,
        *,
        window_bp: int,
        bin_bp: int,
        stride_bp: int,
        ordered: bool = False,
        label: str = "",
    ):
        self.path = path
        self.label = label or str(path)
        """What messages call the file."""
        self.past_end = 0
        """Bins that reach past their contig's end, counted by `count`."""
        self._genome = genome
        self._names = ContigNames(genome)
        self._window_bp = window_bp
        self._bin_bp = bin_bp
        self._stride_bp = stride_bp
        self._ordered = ordered

    def count(self) -> int:
        """Return the number of windows. Raises BioqError, with the line, for what is no BED and
        for a contig that the genome does not have."""
        lengths = list(self._genome.lengths.values())
        windows = self.past_end = 0
        with progress(f"check {self.label}", None, "windows") as advance:
            for contig, start, _, _ in self._tiles():
                windows += 1
                self.past_end += start + self._bin_bp > lengths[contig]
                if windows % _SHOWN_EVERY == 0:
                    advance(_SHOWN_EVERY)
        if not windows:
            raise BioqError(f"{self.label}: holds no regions; expected BED")
        return windows

    def batches(self, size: int) -> Iterator[WindowBatch]:
        """Yield every window in order, `size` at a time."""
        return in_batches(self._stretches(), size)

    def _stretches(self) -> Iterator[WindowBatch]:
        tiles = self._tiles()
        before = (self._window_bp - self._bin_bp) // 2
        while some_tiles := list(itertools.islice(tiles, _STRETCH)):
            contig, start, contig_name, name = zip(*some_tiles, strict=True)
            starts = np.array(start, dtype=np.int64)
            codes = read_windows(
                self._genome,
                np.array(contig, dtype=np.int64),
                starts - before,
                window_bp=self._window_bp,
            )
            columns = {
                "chrom": np.array(contig_name, dtype=object),
                "start": starts,
                "end": starts + self._bin_bp,
                "name": np.array(name, dtype=object),
            }
            yield WindowBatch(columns, codes)

    def _tiles(self) -> Iterator[Tile]:
        if self._ordered:
            return _merged(self._tiles_of(*region) for region in self._ordered_regions())
        return (tile for region in self.regions() for tile in self._tiles_of(*region))

    def _tiles_of(
        self, contig: int, start: int, end: int, contig_name: str, name: str
    ) -> Iterator[Tile]:
        spare = end - start - self._bin_bp
        if spare <= 0:
            yield contig, max(start + spare // 2, 0), contig_name, name
            return
        for place in range(start, start + spare + self._stride_bp, self._stride_bp):
            yield contig, place, contig_name, name

    def _ordered_regions(self) -> Iterator[tuple[int, int, int, str, str]]:
        """Yield the regions by contig and the start of their first bin, sorted by way of a file."""
        contigs = list(self._genome.lengths)
        with tempfile.TemporaryFile(prefix="bioq-") as file:
            stretches = []
            regions = self.regions()
            while rows := [region[:3] for region in itertools.islice(regions, _SORTED_AT_ONCE)]:
                contig, start, end = np.array(rows, dtype=np.int64).T
                spare = end - start - self._bin_bp
                first = np.where(spare <= 0, np.maximum(start + spare // 2, 0), start)
                order = np.lexsort((end, start, first, contig))
                stretches.append(_stored(file.fileno(), file.tell(), len(rows)))
                file.write(np.stack([contig, first, start, end], axis=1)[order].tobytes())
            file.flush()
            for number, _, first_base, last_base in heapq.merge(*stretches):
                yield number, first_base, last_base, contigs[number], ""

    def regions(self) -> Iterator[tuple[int, int, int, str, str]]:
        """Yield (the genome's contig number, start, end, the BED's contig name, name) a line."""
        found: dict[bytes, tuple[int, str]] = {}
        lengths = list(self._genome.lengths.values())
        with open_text(self.path, "a BED file", label=self.label) as text:
            for number, line in enumerate(_lines(text, self.label), start=1):
                if not is_interval(line):
                    continue
                if line.startswith(b">"):
                    raise BioqError(
                        f"{self.label}:{number}: begins with '>', as FASTA does; with a genome BED "
                        "is expected, for sequences leave the genome away"
                    )
                fields, start, end = parse_interval(line, f"{self.label}:{number}")
                if fields[0] not in found:
                    found[fields[0]] = self._find(fields[0], number)
                name = fields[3].decode("utf-8", "replace") if len(fields) > 3 else ""
                contig, contig_name = found[fields[0]]
                if start >= lengths[contig]:
                    raise BioqError(
                        f"{self.label}:{number}: start {start} is past the end of {contig_name}, "
                        f"which has {lengths[contig]} bases in {self._genome.path}; is the file of "
                        "another genome build?"
                    )
                if end > 2 * lengths[contig] + self._window_bp:  # 10**18 would take for ever
                    raise BioqError(
                        f"{self.label}:{number}: end {end} is far past the end of "
                        f"{contig_name}, which has {lengths[contig]} bases in {self._genome.path}; "
                        "is the file of another genome build?"
                    )
                yield contig, start, end, contig_name, "" if name == "." else name

    def _find(self, field: bytes, line: int) -> tuple[int, str]:
        name = field.decode("utf-8", "replace")
        contig = self._names.find(name)
        if contig is None:
            raise BioqError(
                f"{self.label}:{line}: {self._genome.path} has no contig {name!r}; "
                f"it has {some(self._genome.lengths)}"
            )
        return contig, name


def _merged(tiles_of_region: Iterable[Iterator[Tile]]) -> Iterator[Tile]:
    """Yield the tiles of all regions in order, each place once.

    The regions come by the place of their first tile, so only those that overlap are open.
    """
    opened: list[tuple[Tile, int, Iterator[Tile]]] = []
    last: tuple[int, int] | None = None
    for number, tiles in enumerate(itertools.chain(tiles_of_region, [iter(())])):
        first = next(tiles, None)
        while opened and (first is None or opened[0][0] < first):
            tile, order, rest = opened[0]
            if tile[:2] != last:
                yield tile
                last = tile[:2]
            following = next(rest, None)
            if following is None:
                heapq.heappop(opened)
            else:
                heapq.heapreplace(opened, (following, order, rest))
        if first is not None:
            heapq.heappush(opened, (first, number, tiles))


def _stored(file: int, offset: int, rows: int) -> Iterator[list[int]]:
    """Yield rows of four int64 that stand in a file, few of them in memory at a time."""
    for row in range(0, rows, _STRETCH):
        size = min(rows - row, _STRETCH) * _ROW_BYTES
        block = os.pread(file, size, offset + row * _ROW_BYTES)
        yield from np.frombuffer(block, dtype=np.int64).reshape(-1, 4).tolist()


def _lines(text: BinaryIO, label: str) -> Iterator[bytes]:
    """Yield the lines of a text without line ends."""
    for number, (line, is_cut) in enumerate(bounded_lines(text), start=1):
        if is_cut:
            raise too_long(f"{label}:{number}")
        yield line.removesuffix(b"\n")
