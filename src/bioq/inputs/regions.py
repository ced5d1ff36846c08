"""The windows of the regions of a BED file, read line by line in small memory."""

import heapq
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, NamedTuple

import numpy as np

from bioq import dna
from bioq.errors import BioqError
from bioq.files.text import bounded_lines, open_text, too_long
from bioq.genome import NO_ALIAS, ContigNames, Genome, Interval
from bioq.genome.bed_forms import Form, form_of
from bioq.genome.bed_joined import JoinedLines
from bioq.genome.bed_lines import about_header, interval_lines, is_interval, parse_interval
from bioq.genome.bed_tracks import tracks_of
from bioq.genome.located import is_overhang, not_on_contig
from bioq.genome.windows import middle_start, read_windows, window_start
from bioq.inputs.windows import N_SHARE, WindowBatch, in_batches
from bioq.progress import progress, say

_STRETCH = 256
"""Windows per read from the genome, or regions per read from a sorted stretch."""
_SORTED_AT_ONCE = 1 << 17
_ROW_BYTES = 40
_ADVANCE_EVERY = 10_000
"""Windows between two updates of the progress."""


class Region(NamedTuple):
    """A region of a BED file, 0-based and half-open."""

    contig: int
    """The genome's number of the contig."""
    start: int
    end: int
    is_reverse: bool
    """Whether to predict the opposite strand of the genome."""
    contig_name: str
    """The BED file's name of the contig."""
    name: str


class Bin(NamedTuple):
    """A bin of a region; bins order by contig, start and strand."""

    contig: int
    start: int
    is_reverse: bool
    contig_name: str
    name: str


class RegionWindows:
    """The windows around the bins of every region of a BED file, of one region, or of several.

    A region has a bin every `stride_bp` from its start until the region is covered; the last bin
    may reach past the end of the region. A region that is no longer than a bin has one bin, around
    its middle. The bin is in the middle of its window; bases outside the contig are unknown. A
    region that begins before its contig is read from the contig's first base. A region is one line,
    also where the line has blocks (BED12).

    With `stranded` the windows of a region whose sixth column is `-` are the reverse complements.

    With `ordered` the bins are in the order of the genome and each comes once per strand, as bigWig
    needs them. Then `chrom` is the genome's name of the contig, and `name` is empty.

    Columns: `chrom` (the BED file's name of the contig), `start` and `end` of the bin (0-based,
    half-open), `name` (the fourth column of the BED file; the text of each of several regions),
    `n_share`.
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
        source: Path | Interval | Sequence[Interval],
        genome: Genome,
        *,
        window_bp: int,
        bin_bp: int,
        stride_bp: int,
        ordered: bool = False,
        stranded: bool = False,
        label: str = "",
        alias: Mapping[str, str] = NO_ALIAS,
    ):
        self.label = label or str(source)
        """The name of the file or region in messages."""
        self._source = source
        self.past_end = 0
        """Bins that reach past the end of their contig; set by `count`."""
        self.contigs: dict[str, int] = {}
        """The names in the column `chrom` -> the genome's numbers of the contigs; set by `count`.
        """
        self._has_compared_track = False
        self._genome = genome
        self._names = ContigNames(genome, alias)
        self._lengths = list(genome.lengths.values())
        self._window_bp = window_bp
        self._bin_bp = bin_bp
        self._stride_bp = stride_bp
        self._ordered = ordered
        self._stranded = stranded
        self._clipped = self._reverse = self._regions = 0
        """Of the last reading: regions that begin before their contig, regions on the - strand, and
        all regions."""
        self._header = ""
        self._form: Form = "BED"
        """What the first region looks like; see `bed_forms`."""

    def count(self) -> int:
        """Return the number of windows, after a check of every line.

        Prints how many regions begin before their contig, and how the strand is used. Raises
        BioqError, with the line, for a line that is not BED, a contig that the genome does not
        have, and a region past the end of its contig.
        """
        windows = self.past_end = twice = 0
        last: tuple[int, int] | None = None
        with progress(f"check {self.label}", None, "windows") as advance:
            for bin_ in self._bins():
                windows += 1
                self.contigs[bin_.contig_name] = bin_.contig
                self.past_end += bin_.start + self._bin_bp > self._lengths[bin_.contig]
                twice += self._ordered and bin_[:2] == last
                last = bin_[:2]
                if windows % _ADVANCE_EVERY == 0:
                    advance(_ADVANCE_EVERY)
        if not windows:
            raise BioqError(f"{self.label}: holds no regions; expected BED")
        self._report(twice)
        return windows

    def _report(self, twice: int) -> None:
        """Print what was done with the lines; `twice` bins are on both strands of one bigWig."""
        if self._header:
            say(about_header(self.label, self._header))
        if self._form in ("BED12", "gappedPeak"):
            say(f"{self.label}: is {self._form}; a region is a whole item, its blocks are not read")
        if self._clipped:
            say(
                f"{self.label}: {self._clipped:,} of {self._regions:,} regions begin before their "
                "contig's first base; they are read from that base on"
            )
        if self._reverse:
            say(
                f"{self.label}: {self._reverse:,} of {self._regions:,} regions are on the - strand "
                "(column 6): their reverse complements are used"
            )
        if twice:
            say(
                f"{self.label}: {twice:,} bin{'s are' if twice > 1 else ' is'} on both strands; "
                "each strand is predicted, and a bigWig has the mean of the two"
            )

    def batches(self, size: int) -> Iterator[WindowBatch]:
        """Yield every window in order, `size` at a time."""
        return in_batches(self._stretches(), size)

    def _stretches(self) -> Iterator[WindowBatch]:
        bins = self._bins()
        while stretch := list(itertools.islice(bins, _STRETCH)):
            contig, start, is_reverse, contig_name, name = zip(*stretch, strict=True)
            starts = np.array(start, dtype=np.int64)
            codes = read_windows(
                self._genome,
                np.array(contig, dtype=np.int64),
                window_start(starts, starts + self._bin_bp, self._window_bp),
                window_bp=self._window_bp,
            )
            if any(is_reverse):
                reverse = np.flatnonzero(is_reverse)
                codes[reverse] = dna.reverse_complement(codes[reverse])
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
        contig, start, end, is_reverse, contig_name, name = region
        if end - start <= self._bin_bp:
            only = max(middle_start(start, end, self._bin_bp), 0)
            yield Bin(contig, only, is_reverse, contig_name, name)
            return
        last = end - self._bin_bp
        for bin_start in range(start, last + self._stride_bp, self._stride_bp):
            yield Bin(contig, bin_start, is_reverse, contig_name, name)

    def _ordered_regions(self) -> Iterator[Region]:
        """Yield the regions by contig and start of their first bin, sorted in a temporary file."""
        with tempfile.TemporaryFile(prefix="bioq-") as file:
            stretches = []
            regions = self.regions()
            while rows := [region[:4] for region in itertools.islice(regions, _SORTED_AT_ONCE)]:
                contig, start, end, reverse = np.array(rows, dtype=np.int64).T
                middle = np.maximum(middle_start(start, end, self._bin_bp), 0)
                first = np.where(end - start <= self._bin_bp, middle, start)
                order = np.lexsort((end, start, reverse, first, contig))
                stretches.append(_stored(file.fileno(), file.tell(), len(rows)))
                row = np.stack([contig, first, reverse, start, end], axis=1)
                file.write(row[order].tobytes())
            file.flush()
            for number, _, is_reverse, first_base, last_base in heapq.merge(*stretches):
                contig_name = self._names.contigs[number]
                yield Region(number, first_base, last_base, bool(is_reverse), contig_name, "")

    def regions(self) -> Iterator[Region]:
        """Yield the region of every line, in the order of the file; or the given regions."""
        if isinstance(self._source, Path):
            yield from self._regions_of_file(self._source)
        elif isinstance(self._source, Interval):
            yield self._given(self._source)
        else:
            yield from (self._given(each)._replace(name=str(each)) for each in self._source)

    def _given(self, region: Interval) -> Region:
        """Return a region. Raises BioqError if it is not on its contig."""
        number = self._names.require(region.contig, self.label)
        if not region.is_within(self._lengths[number]):
            raise outside_genome(self.label, self._names, region.contig, "START <= END")
        return Region(number, region.start, region.end, False, region.contig, "")

    def _regions_of_file(self, path: Path) -> Iterator[Region]:
        contigs: dict[bytes, tuple[int, str]] = {}
        joined = JoinedLines(self.label)
        self._clipped = self._reverse = self._regions = 0
        with open_text(path, "a BED file", label=self.label) as text:
            lines = self._compare_track(_lines(text, self.label))
            for number, line in interval_lines(lines, self.label, found_header=self._note_header):
                where = f"{self.label}:{number}"
                fields, start, end = parse_interval(line, where)
                joined.add(number, fields)
                if fields[0] not in contigs:
                    contigs[fields[0]] = self._find_contig(fields[0], where)
                contig, contig_name = contigs[fields[0]]
                length = self._lengths[contig]
                is_on_contig = start >= 0 and end <= length  # of most regions
                if not is_on_contig and not is_overhang(start, end, length):
                    raise not_on_contig(
                        where, start, end, self._names.contigs[contig], self._genome
                    )
                name = fields[3].decode("utf-8", "replace") if len(fields) > 3 else ""
                is_reverse = self._stranded and fields[5:6] == [b"-"]
                if not self._regions:
                    self._form = form_of([fields], path)
                self._regions += 1
                self._clipped += start < 0
                self._reverse += is_reverse
                yield Region(
                    contig,
                    max(start, 0),
                    end,
                    is_reverse,
                    contig_name,
                    "" if name == "." else name,
                )
            joined.finish()

    def _note_header(self, line: str) -> None:
        self._header = line

    def _compare_track(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Return the lines; print a warning, once, if a track line before the first interval names
        another build than the genome's: UCSC's custom tracks have `db=hg19`."""
        head = []
        for line in lines:
            head.append(line)
            if is_interval(line):
                break
        if not self._has_compared_track:
            self._has_compared_track = True
            warning = tracks_of(head).about_build(self.label, self._genome, "regions")
            if warning:
                say(warning)
        return itertools.chain(head, lines)

    def _find_contig(self, field: bytes, where: str) -> tuple[int, str]:
        """Return (the genome's number of a contig, the BED file's name of it)."""
        name = field.decode("utf-8", "replace")
        return self._names.require(name, where), name


def _merged(bins_of_region: Iterable[Iterator[Bin]]) -> Iterator[Bin]:
    """Yield the bins of all regions in order, each position once per strand.

    The regions are ordered by their first bin, so only regions that overlap are held open.
    """
    opened: list[tuple[Bin, int, Iterator[Bin]]] = []
    last: tuple[int, int, bool] | None = None
    for number, bins in enumerate(itertools.chain(bins_of_region, [iter(())])):
        first = next(bins, None)
        while opened and (first is None or opened[0][0] < first):
            bin_, order, rest = opened[0]
            if bin_[:3] != last:
                yield bin_
                last = bin_[:3]
            following = next(rest, None)
            if following is None:
                heapq.heappop(opened)
            else:
                heapq.heapreplace(opened, (following, order, rest))
        if first is not None:
            heapq.heappush(opened, (first, number, bins))


def _stored(file: int, offset: int, rows: int) -> Iterator[list[int]]:
    """Yield rows of five int64 from a file, with few of them in memory at a time."""
    for row in range(0, rows, _STRETCH):
        size = min(rows - row, _STRETCH) * _ROW_BYTES
        os.lseek(file, offset + row * _ROW_BYTES, os.SEEK_SET)  # Windows has no pread
        yield from np.frombuffer(os.read(file, size), dtype=np.int64).reshape(-1, 5).tolist()


def _lines(text: BinaryIO, label: str) -> Iterator[bytes]:
    """Yield the lines of a text without line ends."""
    for number, (line, is_cut) in enumerate(bounded_lines(text), start=1):
        if is_cut:
            raise too_long(f"{label}:{number}")
        yield line.removesuffix(b"\n")


def outside_genome(where: str, names: ContigNames, contig: str, expected: str) -> BioqError:
    """Return the error, which begins with `where`, for bases that are not on `contig`."""
    length = names.genome.lengths[names.contigs[names.require(contig, where)]]
    return BioqError(
        f"{where}: {contig} has the bases 1 to {length:,} in {names.genome.title}; "
        f"expected {expected} among them"
    )
