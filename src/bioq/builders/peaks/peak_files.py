"""Reads the peak files of a sheet, and reports the files that do not fit the genome."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.builders.peaks.label_report import TargetPeaks
from bioq.builders.peaks.labels import (
    Bins,
    Label,
    SparseLabels,
    positive_bins,
    summits_in_peaks,
)
from bioq.dataset.target_sheet import TargetSheet
from bioq.dataset.targets import NAME
from bioq.errors import BioqError, some
from bioq.genome import Bed, ContigNames, Located, locate, read_bed
from bioq.genome.bed import NO_SUMMIT
from bioq.progress import progress, say

_MOST_CONTIGS_NAMED = 5


@dataclass
class _FileNotes:
    """What was done with the intervals of some files; one line per kind, however many files."""

    what: str
    """What the intervals are, in plural."""
    clipped: Counter[str] = field(default_factory=Counter)
    """File -> intervals that reach past an end of their contig."""
    outside: Counter[str] = field(default_factory=Counter)
    """File -> summits that are not in their peak."""
    items: Counter[str] = field(default_factory=Counter)
    """File of BED12 or gappedPeak -> its items."""
    blocks: int = 0
    forms: set[str] = field(default_factory=set)
    absolute: list[str] = field(default_factory=list)
    """Files with summits as positions on the contig."""
    unlike_names: list[str] = field(default_factory=list)
    """Files that are narrowPeak by their names and not by their columns."""
    signals: list[str] = field(default_factory=list)
    """Files with a signal: a value for every interval, also 0."""
    other_builds: list[str] = field(default_factory=list)
    """Warnings for files whose track line names another build."""
    headers: dict[str, str] = field(default_factory=dict)
    """File -> its first line, if it is names of columns."""

    def add(self, bed: Bed, located: Located, names: ContigNames, *, has_summits: bool) -> None:
        file = str(bed.path)
        if bed.has_signal or bed.tracks.is_signal:
            self.signals.append(file)
        other_build = bed.tracks.about_build(file, names.genome, self.what)
        if other_build:
            self.other_builds.append(other_build)
        self.clipped[file] += int(located.is_clipped.sum()) + located.blocks_outside
        if has_summits:
            given = bed.summit[located.rows] > NO_SUMMIT
            _, in_peak = summits_in_peaks(bed, located)
            self.outside[file] += int((given & ~in_peak).sum())
            if bed.form != "narrowPeak" and ".narrowpeak" in bed.path.name.lower() and len(bed):
                self.unlike_names.append(file)
        if bed.item is not None and len(bed):
            self.items[file] += int(bed.item[-1]) + 1
            self.blocks += len(bed)
            self.forms.add(bed.form)
        if bed.has_absolute_summits:
            self.absolute.append(file)
        if bed.header:
            self.headers[file] = bed.header

    def lines(self) -> Iterator[str]:
        clipped, outside, items = +self.clipped, +self.outside, +self.items
        if self.other_builds:
            files = len(self.other_builds)
            yield self.other_builds[0] + f"; files like this: {files:,}" * (files > 1)
        if self.signals:
            yield (
                f"warning: {_files(self.signals)}: seems to be a signal (bedGraph or wiggle), not "
                "peaks: it has such a track line, or adjacent intervals with a value of 0; each "
                f"interval is read as one of the {self.what}; give called peaks"
            )
        if clipped:
            is_one = clipped.total() == 1
            yield (
                f"{clipped.total():,} {self.what[:-1] if is_one else self.what} of "
                f"{_files(clipped)} {'reaches' if is_one else 'reach'} past an end of "
                f"{'its' if is_one else 'their'} contig and {'is' if is_one else 'are'} clipped"
            )
        if items:
            is_one, total = len(items) == 1, items.total()
            yield (
                f"{_files(items)} {'is' if is_one else 'are'} {' or '.join(sorted(self.forms))}: "
                f"{'its' if is_one else 'their'} {total:,} item{'s are' if total > 1 else ' is'} "
                f"read as {self.blocks:,} block{'s' * (self.blocks > 1)}"
            )
        if self.absolute:
            yield (
                f"warning: the summits (column 10) of {_files(self.absolute)} are positions on the "
                "contig, not counted from the peak's start as in narrowPeak; they are read as "
                "positions"
            )
        if self.unlike_names:
            yield (
                f"warning: the columns of {_files(self.unlike_names)} are not those of narrowPeak "
                "(ten, the last one the summit); the middle of each peak is used"
            )
        if outside:
            is_one = outside.total() == 1
            yield (
                f"warning: {outside.total():,} summit{'s' * (not is_one)} of {_files(outside)} "
                f"{'is' if is_one else 'are'} outside {'its' if is_one else 'their'} peak; the "
                "middle of the peak is used"
            )
        if self.headers:
            yield (
                f"the first line of {_files(self.headers)} is read as names of columns: "
                f"{next(iter(self.headers.values()))}"
            )


def _files(files: Counter[str] | dict[str, str] | list[str]) -> str:
    """Return the name of one file, or the number of files and the name of the first."""
    first = next(iter(files))
    return first if len(files) == 1 else f"{len(files):,} files (first: {first})"


def read_labels(
    bins: Bins, names: ContigNames, sheet: TargetSheet, label: Label
) -> tuple[SparseLabels, TargetPeaks, npt.NDArray[np.bool_]]:
    """Return the labels of every bin for every target, the kind of each target's peaks, and whether
    each bin has a base of a peak, reading one peak file at a time.

    Peaks that are subtracted are not peaks of the target. Reports files without a peak on the
    genome, contigs that the genome lacks, and what was done with peaks past the end of their
    contig, blocks and summits. Raises BioqError if no file has a peak on the genome, or a peak is
    not on its contig.
    """
    _report_equal_files(sheet)
    labels, kinds = SparseLabels(len(bins), len(sheet.files)), TargetPeaks()
    has_peak = np.zeros(len(bins), dtype=bool)
    reader = _PeakReader(bins, names, label)
    with progress("read peaks", len(sheet.paths), "files") as advance:
        for name, files in zip(sheet.targets[NAME], sheet.files, strict=True):
            is_single = len(files.all) == 1
            read = []
            for path in files.all:
                read.append(reader.read(path, "" if is_single else name))
                advance(1)
            peaks, minus = read[: len(files.peaks)], read[len(files.peaks) :]
            positive = _positive_in([each.positive for each in peaks], files.least)
            for each in peaks:
                has_peak[each.touched] = True
            for each in minus:
                positive = np.setdiff1d(positive, each.positive, assume_unique=True)
            labels.add(positive)
            longest_bp = max(each.longest_bp for each in peaks)
            kinds.add(longest_bp=longest_bp, positive=len(positive), bins=bins, label=label)
    reader.report(sheet)
    return labels, kinds, has_peak


def _positive_in(bins: Sequence[npt.NDArray[np.int32]], least: int) -> npt.NDArray[np.int32]:
    """Return the numbers of the bins that are positive in at least `least` files, ascending."""
    if len(bins) == 1:
        return bins[0]
    number, files = np.unique(np.concatenate(bins), return_counts=True)
    positive: npt.NDArray[np.int32] = number[files >= least]
    return positive


@dataclass(frozen=True)
class _ReadPeaks:
    """The peaks of one file."""

    positive: npt.NDArray[np.int32]
    """Numbers of the positive bins, ascending."""
    touched: npt.NDArray[np.int32]
    """Numbers of the bins with a base of a peak, ascending."""
    longest_bp: int
    """Length of the longest peak on the genome; 0 without a peak."""


class _PeakReader:
    """Reads peak files one at a time, and keeps what there is to report."""

    def __init__(self, bins: Bins, names: ContigNames, label: Label):
        self._bins, self._names, self._label = bins, names, label
        self._notes = _FileNotes("peaks")
        self._empty: list[str] = []
        self._elsewhere: list[str] = []
        self._some_without: list[str] = []
        """Files without a peak on the genome of the targets that have several files."""
        self._absent_peaks: Counter[str] = Counter()
        self._absent_files = 0

    def read(self, path: Path, target: str) -> _ReadPeaks:
        """Read a file; `target` is its target's name if the target has several files."""
        has_summits = self._label == "midpoint"
        bed = read_bed(path, summits=has_summits, blocks=True)
        located = locate(bed, self._names)
        self._notes.add(bed, located, self._names, has_summits=has_summits)
        self._absent_peaks.update(located.absent)
        self._absent_files += bool(located.absent)
        has_peaks = len(located.rows) > 0
        if not has_peaks and target:
            self._some_without.append(f"{path}, of the target {target}")
        elif not len(bed):
            self._empty.append(str(path))
        elif not has_peaks:
            self._elsewhere.append(f"{path}: {some(located.absent)}")
        longest_bp = int((bed.end - bed.start).max()) if has_peaks else 0
        return _ReadPeaks(*positive_bins(self._bins, bed, located, self._label), longest_bp)

    def report(self, sheet: TargetSheet) -> None:
        """Print the notes; raise BioqError if no file has a peak on the genome."""
        genome, files = self._names.genome.path, len(sheet.paths)
        if len(self._empty) + len(self._elsewhere) + len(self._some_without) == files:
            is_one = files == 1
            which = "its peak file has no" if is_one else f"none of its {files:,} peak files has a"
            raise BioqError(
                f"{sheet.path}: {which} peak on {genome}: {'its' if is_one else 'their'} "
                f"contigs are {some(self._absent_peaks) or 'none at all'}, the genome's are "
                f"{some(self._names.contigs)}; check the genome build, or give --chrom-alias"
            )
        several = f"{self._absent_files:,} files" * (self._absent_files > 1)
        _report_absent(self._absent_peaks, "peaks", several, genome)
        _report_without_peaks(self._empty, "holds no peak", "hold no peak", files)
        is_elsewhere = f"on contigs that {genome.name} does not have (other names? another build?)"
        _report_without_peaks(
            self._elsewhere,
            f"has only peaks {is_elsewhere}",
            f"have only peaks {is_elsewhere}",
            files,
        )
        if self._some_without:
            say(
                f"warning: {len(self._some_without):,} of {files:,} peak files of targets with "
                f"several files {'has' if len(self._some_without) == 1 else 'have'} no peak on "
                f"{genome.name} (first: {self._some_without[0]})"
            )
        for line in self._notes.lines():
            say(line)


def _report_equal_files(sheet: TargetSheet) -> None:
    """Print one line if targets have the same peak files."""
    targets: defaultdict[tuple[tuple[str, ...], int, tuple[str, ...]], list[str]] = defaultdict(
        list
    )
    for name, files in zip(sheet.targets[NAME], sheet.files, strict=True):
        peaks, minus = (
            tuple(sorted(map(os.path.realpath, paths))) for paths in (files.peaks, files.minus)
        )
        targets[peaks, files.least, minus].append(name)
    equal = {key: names for key, names in targets.items() if len(names) > 1}
    if equal:
        (peaks, _, _), names = next(iter(equal.items()))
        file = f"file{'s' * (len(peaks) > 1)} {some(peaks, 2)}"
        more = f"; files like this: {len(equal):,}" * (len(equal) > 1)
        say(
            f"note: {sheet.path}: {len(names):,} targets have the peak {file}, so their "
            f"labels are equal: {some(names)}{more}"
        )


def _report_without_peaks(files: list[str], one: str, many: str, total: int) -> None:
    """Print one line for the peak files without a peak on the genome that have one reason."""
    if not files:
        return
    is_one = len(files) == 1
    first = f": {files[0]}" if is_one else f" (first: {files[0]})"
    say(
        f"warning: {len(files):,} of {total:,} peak files {one if is_one else many}, so all labels "
        f"of {'its target' if is_one else 'these targets'} are 0{first}"
        + "; 'bioq data info' lists targets without a positive"
        * (not is_one)
    )


def _report_absent(absent: Counter[str], what: str, files: str, genome: Path) -> None:
    """Print one line for the intervals on contigs that the genome does not have."""
    if not absent:
        return
    listed = some(
        [f"{contig}: {count:,}" for contig, count in absent.most_common()], _MOST_CONTIGS_NAMED
    )
    is_one = absent.total() == 1
    named = (what[:-1] if is_one else what) + f" of {files}" * bool(files)
    say(
        f"warning: {absent.total():,} {named} {'is' if is_one else 'are'} on "
        f"{len(absent):,} contig{'s' * (len(absent) > 1)} that {genome.name} does not have "
        f"({listed}); left out"
    )


def read_regions(path: Path, names: ContigNames, what: str) -> Located:
    """Read a BED file of regions, or their blocks, and locate them.

    Reports contigs that the genome lacks, and regions past the end of their contig.
    """
    bed = read_bed(path, blocks=True)
    located = locate(bed, names)
    if not len(bed):
        say(f"warning: {path}: holds no {what}; expected BED, one region per line")
    _report_absent(Counter(located.absent), what, bed.path.name, names.genome.path)
    notes = _FileNotes(what)
    notes.add(bed, located, names, has_summits=False)
    for line in notes.lines():
        say(line)
    return located
