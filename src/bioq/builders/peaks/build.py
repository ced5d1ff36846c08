"""Builds data sets from a genome and a peak file per target."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.builders import BIN_BP
from bioq.builders.peaks.groups import ContigGroups, balanced_folds, groups_by_name
from bioq.builders.peaks.label_report import TargetPeaks, label_warnings, split_summary
from bioq.builders.peaks.labels import (
    Bins,
    Label,
    SparseLabels,
    bins_covered,
    contig_offsets,
    needed_bp,
    tile,
)
from bioq.builders.peaks.peak_files import read_labels, read_regions
from bioq.dataset import (
    FOLDER_KIND,
    DatasetWriter,
    Description,
    Source,
    SplitWriter,
    new_dataset,
    unpack_labels,
)
from bioq.dataset.folds import FoldCount
from bioq.dataset.target_sheet import TargetSheet, read_target_sheet
from bioq.dataset.targets import NAME, matching_targets
from bioq.errors import BioqError, UsageError, some
from bioq.files import refuse_input, require_absent
from bioq.files.streams import kept_streams
from bioq.genome import ContigNames, locate, open_genome, read_bed, read_chrom_alias
from bioq.genome.bed_lines import about_header
from bioq.genome.windows import read_windows
from bioq.options import AtLeastOne, WindowBp, check_types, flag_of
from bioq.progress import Advance, progress, say

KEEP_ANY = "any"
KEEP_ALL = "all"
_ROWS_AT_ONCE = 1 << 14

_NOTHING: Mapping[str, Any] = {}
BinNumbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PeakOptions:
    """How peaks become labelled windows."""

    label: Label = "half"
    """When a bin is positive: peaks cover at least half of it (half), it holds a peak's summit or
    middle (midpoint), or a peak covers one of its bases (any). The blocks of BED12 and gappedPeak
    are peaks."""
    window_bp: WindowBp = 1000
    """Length of the window that a model reads, in bases: the bin and equal flanks on its two
    sides."""
    bin_bp: AtLeastOne = BIN_BP
    """Length of a bin, which a label describes, in bases. Bins are adjacent, from each contig's
    first base; bases at its end that do not fill a bin have no bin."""
    valid_chrom: tuple[str, ...] = ("chr7",)
    """Contigs for validation, by their names in the genome or the peak files; none: no validation
    split."""
    test_chrom: tuple[str, ...] = ("chr8", "chr9")
    """Contigs for testing, by their names in the genome or the peak files; none: no test split."""
    folds: FoldCount | None = None
    """Divide the contigs into this many folds, with about equally many windows in each, instead of
    into splits: for training one model per fold (bioq train --fold)."""
    keep: str = KEEP_ANY
    """Bins to keep: positive in any target (any), every bin (all), or positive in a target of this
    name or COLUMN=VALUE of the targets, such as '*Tfbs*'; * and ? are wildcards."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.window_bp < self.bin_bp or (self.window_bp - self.bin_bp) % 2:
            raise UsageError(
                f"window_bp {self.window_bp} with bin_bp {self.bin_bp}: the window is the bin "
                "with equal flanks, so their difference must be even and not negative"
            )
        named = [
            flag_of(name)
            for name in ("valid_chrom", "test_chrom")
            if getattr(self, name) != getattr(PeakOptions, name)
        ]
        if self.folds is not None and named:
            raise UsageError(
                f"--folds with {' and '.join(named)}: each fold is the test split in turn; omit "
                f"{'it' if len(named) == 1 else 'them'}, or --folds"
            )

    @property
    def flank_bp(self) -> int:
        """Bases on each side of the bin."""
        return (self.window_bp - self.bin_bp) // 2


@dataclass
class _Plan:
    """The bins to write, and the counts of bins that were left out."""

    names: ContigNames
    options: PeakOptions
    sheet: TargetSheet
    bins: Bins
    labels: SparseLabels
    peaks: TargetPeaks
    rows: BinNumbers
    """The numbers of the bins to write, in order."""
    drop_unknown: bool
    """Whether windows without a known base are left out."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> bins left out."""
    padded: int = 0
    """Windows that reach past the end of their contig."""


@kept_streams()
def build_from_peaks(
    out: Path,
    *,
    genome: Path,
    targets: Path,
    options: PeakOptions | None = None,
    exclude: Path | None = None,
    chrom_alias: Path | None = None,
    bins: Path | None = None,
    attach: Mapping[str, Path] = _NOTHING,
    made_by: str = "peaks",
    more_options: Mapping[str, Any] = _NOTHING,
    force: bool = False,
) -> None:
    """Build a data set from a genome and a sheet of targets with their peak files.

    A bin at s has the window from s - flank to s + bin + flank. A window that reaches past the end
    of its contig is filled with unknown bases; a window without a known base is left out.
    Peaks and regions that reach past an end of their contig are clipped to it, and the blocks of
    BED12 and gappedPeak are read: see `genome.locate` and `read_bed`.
    `exclude` is a BED file of regions: bins that overlap a region are left out. `bins` is a BED
    file of the exact bins to use, in that order, each on its contig; no bin of it is left out.
    `chrom_alias` is a table of contig names, see `read_chrom_alias`. `attach` maps a name to a
    folder that is copied into the data set under that name. `more_options` is added to the recorded
    options. With `force` a data set that is there is replaced.

    Raises UsageError for arguments that cannot be combined and BioqError for bad input, before
    anything is written.
    """
    options = options or PeakOptions()
    if bins is not None and (exclude is not None or options.keep not in (KEEP_ANY, KEEP_ALL)):
        raise UsageError(
            "--bins names the exact bins to use; leave out --exclude and a --keep pattern"
        )
    require_absent(Path(out), replaces=FOLDER_KIND if force else None)
    sheet = read_target_sheet(targets)
    refuse_input(Path(out), genome, targets, exclude, bins, chrom_alias, *sheet.paths)
    chosen = _chosen_targets(sheet, options.keep)
    aliases = read_chrom_alias(chrom_alias) if chrom_alias else None
    with open_genome(genome) as opened:
        names = ContigNames(opened, {} if aliases is None else aliases.of(opened))
        groups = None
        if options.folds is None:
            groups = groups_by_name(names, options.valid_chrom, options.test_chrom)
        table, rows = _given_bins(names, options, bins) if bins else _tiled_bins(names, options)
        labels, peaks = read_labels(table, names, sheet, options.label)
        plan = _Plan(names, options, sheet, table, labels, peaks, rows, drop_unknown=bins is None)
        if bins is None:
            _leave_out(plan, chosen, exclude)
        groups = groups or _folds(plan, options.folds or 0)
        given = [path for path in (genome, targets, chrom_alias, exclude, bins) if path]
        sources = _sources([*given, *sheet.paths])
        recorded = _recorded(options, given_bins=bins is not None) | dict(more_options)
        description = Description(
            made_by=made_by,
            window_bp=options.window_bp,
            bin_bp=options.bin_bp,
            label_rule=options.label,
            contigs=names.contigs,
            sources=sources,
            options=recorded,
            contig_bp=tuple(opened.lengths.values()),
            folds=groups.folds(names.contigs),
        )
        with new_dataset(out, description, sheet.targets, force=force) as writer:
            for name, folder in attach.items():
                writer.attach(name, folder)
            summary = _write_splits(writer, plan, groups)
    for line in summary:
        say(line)


def _sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    sources = []
    with progress("checksums of the sources", len(paths), "files") as advance:
        for path in paths:
            sources.append(Source.of(path))
            advance(1)
    return tuple(sources)


def _chosen_targets(sheet: TargetSheet, keep: str) -> npt.NDArray[np.bool_] | None:
    """Return the targets for which a kept bin must be positive, bool `(targets,)`; None to keep
    every bin."""
    names = sheet.targets[NAME]
    if keep == KEEP_ALL:
        return None
    if keep == KEEP_ANY:
        return np.ones(len(names), dtype=bool)
    chosen = matching_targets(sheet.targets, keep)
    if not chosen.any():
        raise BioqError(
            f"{sheet.path}: no target fits the keep pattern {keep!r}; its names are {some(names)}"
        )
    return chosen


def _folds(plan: _Plan, count: int) -> ContigGroups:
    is_positive = plan.labels.any_of(np.ones(len(plan.sheet.targets), dtype=bool))
    return balanced_folds(plan.bins, plan.rows, is_positive, count)


def _tiled_bins(names: ContigNames, options: PeakOptions) -> tuple[Bins, BinNumbers]:
    bins = tile(names.genome.lengths, options.bin_bp)
    if not len(bins):
        raise BioqError(
            f"{names.genome.path}: no contig is as long as one bin of {options.bin_bp} bp"
        )
    return bins, np.arange(len(bins), dtype=np.int32)


def _given_bins(names: ContigNames, options: PeakOptions, path: Path) -> tuple[Bins, BinNumbers]:
    """Read a list of bins; return them ascending, and their numbers in the order of the file."""
    bed = read_bed(path)
    if not len(bed):
        raise BioqError(f"{path}: holds no bin; expected one bin per line")
    odd = np.flatnonzero(bed.end - bed.start != options.bin_bp)
    if len(odd):
        row = int(odd[0])
        raise BioqError(
            f"{path}:{bed.line(row)}: the bin is {bed.end[row] - bed.start[row]} bp wide, "
            f"expected {options.bin_bp}; give its width as --bin-bp"
        )
    located = locate(bed, names)
    if located.absent:
        row = int(np.setdiff1d(np.arange(len(bed)), located.rows)[0])
        names.require(bed.contigs[bed.contig[row]], f"{path}:{bed.line(row)}")
    if located.is_clipped.any():
        row = int(np.argmax(located.is_clipped))
        name = names.contigs[located.contig[row]]
        raise BioqError(
            f"{path}:{bed.line(row)}: the bin {bed.start[row]} to {bed.end[row]} reaches past an "
            f"end of {name}, which has {names.genome.lengths[name]} bases in "
            f"{names.genome.path}; a bin must be on its contig: leave this line out, or give the "
            "genome of the bins"
        )
    other_build = bed.tracks.about_build(path, names.genome, "bins")
    if other_build:
        say(other_build)
    if bed.header:
        say(about_header(path, bed.header))
    offsets = contig_offsets(names.genome.lengths)
    start = bed.start + offsets[located.contig]
    order = np.argsort(start, kind="stable")
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return Bins(start[order], options.bin_bp, offsets), number


def _leave_out(plan: _Plan, chosen: npt.NDArray[np.bool_] | None, exclude: Path | None) -> None:
    """Leave out bins in excluded regions, and bins without a positive label of a chosen target."""
    kept = np.ones(len(plan.bins), dtype=bool)
    if exclude is not None:
        located = read_regions(exclude, plan.names, "excluded regions")
        offset = plan.bins.offsets[located.contig]
        start, end = located.start + offset, located.end + offset
        kept[bins_covered(plan.bins, start, end, needed_bp=1)] = False
        plan.dropped["excluded"] = int((~kept).sum())
    if chosen is not None:
        positive = plan.labels.any_of(chosen)
        plan.dropped["without a positive"] = int((kept & ~positive).sum())
        kept &= positive
    plan.rows = np.flatnonzero(kept).astype(np.int32)
    if not len(plan.rows):
        short = "; all peaks are shorter than half a bin: give --label midpoint"
        raise BioqError(
            f"{plan.sheet.path}: no bin is left ({_listed(plan.dropped)}); check the peaks, --keep "
            f"and --exclude{short * all(plan.peaks.is_short)}"
        )


def _write_splits(writer: DatasetWriter, plan: _Plan, groups: ContigGroups) -> list[str]:
    """Write every split or fold; return lines that report the windows written and left out."""
    split_of_row = groups.of_contig[plan.bins.local(plan.rows)[0]]
    summary, written = [], 0
    all_positives = np.zeros(len(plan.sheet.targets), dtype=np.int64)
    with progress("write windows", len(plan.rows), "windows") as advance:
        for number, split in enumerate(groups.names):
            rows = plan.rows[split_of_row == number]
            with writer.split(split) as out:
                windows, positives = _write_split(out, plan, rows, advance)
            if not windows:
                writer.drop_split(split)
            if groups.are_folds and not windows:
                raise BioqError(
                    f"{plan.names.genome.path}: {split} has no window: all {len(rows):,} are of "
                    f"unknown bases only; give a number below --folds {len(groups.names)}"
                )
            if windows or (groups.of_contig == number).any():
                summary.append(split_summary(split, windows, positives))
            written += windows
            all_positives += positives
    if not written:
        raise BioqError(
            f"{plan.names.genome.path}: no window is left ({_listed(plan.dropped)}); "
            "is this the right genome?"
        )
    warnings = label_warnings(
        list(plan.sheet.targets[NAME]),
        plan.peaks,
        all_positives,
        windows=written,
        half_bp=needed_bp(plan.options.bin_bp, "half"),
        given_bins=not plan.drop_unknown,
    )
    return [*summary, *_left_out(plan), *warnings]


def _write_split(
    out: SplitWriter, plan: _Plan, rows: BinNumbers, advance: Advance
) -> tuple[int, npt.NDArray[np.int64]]:
    """Write a split; return its windows and the positive windows of each target `(targets,)`."""
    positives = np.zeros(len(plan.sheet.targets), dtype=np.int64)
    windows = 0
    packed = plan.labels.packed(rows)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = slice(first, first + _ROWS_AT_ONCE)
        codes, bins, kept = _windows(plan, rows[chunk])
        labels = packed[chunk][kept]
        out.append(codes[kept], labels, bins[kept])
        positives += unpack_labels(labels, len(positives)).sum(axis=0, dtype=np.int64)
        windows += len(labels)
        advance(len(kept))
    return windows, positives


def _windows(
    plan: _Plan, rows: BinNumbers
) -> tuple[dna.Bytes, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return codes `(n, window_bp)`, bins `(n, 2)` and whether to keep each window `(n,)`."""
    options, genome = plan.options, plan.names.genome
    contig, bin_start = plan.bins.local(rows)
    start = bin_start - options.flank_bp
    codes = read_windows(genome, contig, start, window_bp=options.window_bp)
    kept = np.ones(len(rows), dtype=bool)
    if plan.drop_unknown:
        kept = (codes != dna.UNKNOWN).any(axis=1)
        reason = "of unknown bases only"
        plan.dropped[reason] = plan.dropped.get(reason, 0) + int((~kept).sum())
    lengths = np.array(list(genome.lengths.values()), dtype=np.int64)
    past_end = (start < 0) | (start + options.window_bp > lengths[contig])
    plan.padded += int((past_end & kept).sum())
    return codes, np.stack([contig, bin_start], axis=1), kept


def _left_out(plan: _Plan) -> Iterator[str]:
    if any(plan.dropped.values()):
        yield f"left out: {_listed(plan.dropped)}"
    if plan.padded:
        yield (
            f"{plan.padded:,} windows reach past the end of their contig and are filled with "
            "unknown bases"
        )


def _listed(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} bins {reason}" for reason, count in dropped.items() if count)


def _recorded(options: PeakOptions, *, given_bins: bool) -> dict[str, Any]:
    """Return the options for the description of the data set, without those in its other fields."""
    recorded = asdict(options)
    for elsewhere in ("label", "window_bp", "bin_bp"):
        del recorded[elsewhere]
    if given_bins:
        recorded["keep"] = "the bins given"
    for unused in ("folds",) if options.folds is None else ("valid_chrom", "test_chrom"):
        del recorded[unused]
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in recorded.items()
    }
