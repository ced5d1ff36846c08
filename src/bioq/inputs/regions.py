"""The windows of the regions of a BED file, read line by line in small memory."""

import heapq
import itertools
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, NamedTuple

import numpy as np

from bioq.errors import BioqError
from bioq.files.text import bounded_lines, open_text, too_long
from bioq.genome import ContigNames, Genome
from bioq.genome.bed import is_interval, parse_interval
from bioq.genome.builds import build_named, which_build
from bioq.genome.windows import middle_start, read_windows, window_start
from bioq.inputs.windows import N_SHARE, WindowBatch, in_batches
from bioq.progress import progress, say

_TRACK_DB = re.compile(rb"track\s.*\bdb=[\"']?([A-Za-z0-9._-]+)")
_STRETCH = 256
"""Windows per read from the genome, or regions per read from a sorted stretch."""
_SORTED_AT_ONCE = 1 << 17
_ROW_BYTES = 32
_ADVANCE_EVERY = 10_000
"""Windows between two updates of the progress."""


class Region(NamedTuple):
    """A region of a BED file, 0-based and half-open."""

    contig: int
    """The genome's number of the contig."""
    start: int
    end: int
    contig_name: str
    """The BED file's name of the contig."""
    name: str


class Bin(NamedTuple):
    """A bin of a region; bins order by contig and start."""

    contig: int
    start: int
    contig_name: str
    name: str


class RegionWindows:
    """The windows around the bins of every region of a BED file.

    A region has a bin every `stride_bp` from its start until the region is covered; the last bin
    may reach past the end of the region. A region that is no longer than a bin has one bin, around
    its middle. The bin is in the middle of its window; bases outside the contig are unknown.

    With `ordered` the bins are in the order of the genome and each comes once, as bigWig needs
    them. Then `chrom` is the genome's name of the contig, and `name` is empty.

    Columns: `chrom` (the BED file's name of the contig), `start` and `end` of the bin (0-based,
    half-open), `name` (the fourth column of the BED file), `n_share`.
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
        """The name of the file in messages."""
        self.past_end = 0
        """Bins that reach past the end of their contig; set by `count`."""
        self._has_compared_track = False
        self._genome = genome
        self._names = ContigNames(genome)
        self._lengths = list(genome.lengths.values())
        self._window_bp = window_bp
        self._bin_bp = bin_bp
        self._stride_bp = stride_bp
        self._ordered = ordered

    def count(self) -> int:
        """Return the number of windows, after a check of every line.

        Raises BioqError, with the line, for a line that is not BED, a contig that the genome does
        not have, and a region past the end of its contig.
        """
        windows = self.past_end = 0
        with progress(f"check {self.label}", None, "windows") as advance:
            for bin_ in self._bins():
                windows += 1
                self.past_end += bin_.start + self._bin_bp > self._lengths[bin_.contig]
                if windows % _ADVANCE_EVERY == 0:
                    advance(_ADVANCE_EVERY)
        if not windows:
            raise BioqError(f"{self.label}: holds no regions; expected BED")
        return windows

    def batches(self, size: int) -> Iterator[WindowBatch]:
        """Yield every window in order, `size` at a time."""
        return in_batches(self._stretches(), size)

    def _stretches(self) -> Iterator[WindowBatch]:
        bins = self._bins()
        while stretch := list(itertools.islice(bins, _STRETCH)):
            contig, start, contig_name, name = zip(*stretch, strict=True)
            starts = np.array(start, dtype=np.int64)
            codes = read_windows(
                self._genome,
                np.array(contig, dtype=np.int64),
                window_start(starts, starts + self._bin_bp, self._window_bp),
                window_bp=self._window_bp,
            )
            columns = {
                "chrom": np.array(contig_name, dtype=object),
                "start": starts,
                "end": starts + self._bin_bp,
                "name": np.array(name, dtype=object),
            }
            yield WindowBatch(columns, codes)

    def _bins(self) -> Iterator[Bin]:
        if self._ordered:
            return _merged(self._bins_of(region) for region in self._ordered_regions())
        return (bin_ for region in self.regions() for bin_ in self._bins_of(region))

    def _bins_of(self, region: Region) -> Iterator[Bin]:
        contig, start, end, contig_name, name = region
        if end - start <= self._bin_bp:
            yield Bin(contig, max(middle_start(start, end, self._bin_bp), 0), contig_name, name)
            return
        last = end - self._bin_bp
        for bin_start in range(start, last + self._stride_bp, self._stride_bp):
            yield Bin(contig, bin_start, contig_name, name)

    def _ordered_regions(self) -> Iterator[Region]:
        """Yield the regions by contig and start of their first bin, sorted in a temporary file."""
        contigs = list(self._genome.lengths)
        with tempfile.TemporaryFile(prefix="bioq-") as file:
            stretches = []
            regions = self.regions()
            while rows := [region[:3] for region in itertools.islice(regions, _SORTED_AT_ONCE)]:
                contig, start, end = np.array(rows, dtype=np.int64).T
                middle = np.maximum(middle_start(start, end, self._bin_bp), 0)
                first = np.where(end - start <= self._bin_bp, middle, start)
                order = np.lexsort((end, start, first, contig))
                stretches.append(_stored(file.fileno(), file.tell(), len(rows)))
                file.write(np.stack([contig, first, start, end], axis=1)[order].tobytes())
            file.flush()
            for number, _, first_base, last_base in heapq.merge(*stretches):
                yield Region(number, first_base, last_base, contigs[number], "")

    def regions(self) -> Iterator[Region]:
        """Yield the region of every line, in the order of the file."""
        contigs: dict[bytes, tuple[int, str]] = {}
        with open_text(self.path, "a BED file", label=self.label) as text:
            for number, line in enumerate(_lines(text, self.label), start=1):
                where = f"{self.label}:{number}"
                if not is_interval(line):
                    self._compare_track(line, where)
                    continue
                if line.startswith(b">"):
                    raise BioqError(
                        f"{where}: begins with '>', as FASTA does; with a genome BED is expected; "
                        "for sequences leave out the genome"
                    )
                fields, start, end = parse_interval(line, where)
                if fields[0] not in contigs:
                    contigs[fields[0]] = self._find_contig(fields[0], where)
                contig, contig_name = contigs[fields[0]]
                self._check_ends(where, contig, contig_name, start, end)
                name = fields[3].decode("utf-8", "replace") if len(fields) > 3 else ""
                yield Region(contig, start, end, contig_name, "" if name == "." else name)

    def _compare_track(self, line: bytes, where: str) -> None:
        """Print a warning, once, if a track line names another build than the genome's: UCSC's
        custom tracks have `db=hg19`."""
        match = _TRACK_DB.match(line)
        if match is None or self._has_compared_track:
            return
        self._has_compared_track = True
        named, build = build_named(match[1].decode()), self._genome.build
        if named is not None and build is not None and not named.has_chromosomes_of(build):
            say(
                f"warning: {where}: the track line says {named.name}, {self._genome.path} is "
                f"{build.name}; check that the regions are those of the genome"
            )

    def _find_contig(self, field: bytes, where: str) -> tuple[int, str]:
        """Return (the genome's number of a contig, the BED file's name of it)."""
        name = field.decode("utf-8", "replace")
        return self._names.require(name, where), name

    def _check_ends(self, where: str, contig: int, name: str, start: int, end: int) -> None:
        length = self._lengths[contig]
        # An end of 10**18 would give more bins than can be counted.
        far_past_end = end > 2 * length + self._window_bp
        if start >= length or far_past_end:
            side = f"end {end} is far past" if start < length else f"start {start} is past"
            raise BioqError(
                f"{where}: {side} the end of {name}, which has {length} bases in "
                f"{self._genome.title}; {which_build(name, start, self._genome.build)}"
            )


def _merged(bins_of_region: Iterable[Iterator[Bin]]) -> Iterator[Bin]:
    """Yield the bins of all regions in order, each position once.

    The regions are ordered by their first bin, so only regions that overlap are held open.
    """
    opened: list[tuple[Bin, int, Iterator[Bin]]] = []
    last: tuple[int, int] | None = None
    for number, bins in enumerate(itertools.chain(bins_of_region, [iter(())])):
        first = next(bins, None)
        while opened and (first is None or opened[0][0] < first):
            bin_, order, rest = opened[0]
            if bin_[:2] != last:
                yield bin_
                last = bin_[:2]
            following = next(rest, None)
            if following is None:
                heapq.heappop(opened)
            else:
                heapq.heapreplace(opened, (following, order, rest))
        if first is not None:
            heapq.heappush(opened, (first, number, bins))


def _stored(file: int, offset: int, rows: int) -> Iterator[list[int]]:
    """Yield rows of four int64 from a file, with few of them in memory at a time."""
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
