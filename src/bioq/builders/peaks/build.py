"""Builds data sets from a genome and a peak file per target."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.builders.peaks.background import BinNumbers
from bioq.builders.peaks.groups import ContigGroups, balanced_folds, groups_by_name
from bioq.builders.peaks.kept_bins import UNKNOWN, KeptBins, keep_bins
from bioq.builders.peaks.label_report import TargetPeaks, label_warnings
from bioq.builders.peaks.labels import (
    Bins,
    SparseLabels,
    bins_touched,
    contig_offsets,
    needed_bp,
    tile,
)
from bioq.builders.peaks.options import PeakOptions
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
from bioq.dataset.all_bins import KEEP_ALL, KEEP_ANY, KEEP_GIVEN, has_every_positive
from bioq.dataset.target_sheet import TargetSheet, read_target_sheet
from bioq.dataset.targets import NAME, matching_targets
from bioq.errors import BioqError, UsageError, counted, some
from bioq.files import refuse_input, require_absent
from bioq.files.streams import kept_streams
from bioq.genome import ContigNames, Genome, locate, open_genome, read_bed, read_chrom_alias
from bioq.genome.bed_lines import about_header
from bioq.genome.exclusions import exclusion_file, require_same_build
from bioq.genome.named import file_given
from bioq.genome.windows import read_windows
from bioq.progress import Advance, progress, say

_ROWS_AT_ONCE = 1 << 14

_NOTHING: Mapping[str, Any] = {}


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
    kept: KeptBins | None
    """How they were chosen; None if they are a list."""
    groups: ContigGroups
    """The splits or folds to write."""
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
    `exclude` is a BED file of regions, or the name of a list (`genome.exclusions`): bins that
    overlap a region are left out. `bins` is a BED file of the exact bins to use, in that order,
    each on its contig; no bin of it is left out.
    `chrom_alias` is a table of contig names, see `read_chrom_alias`. `attach` maps a name to a
    folder that is copied into the data set under that name. `more_options` is added to the recorded
    options. With `force` a data set that is there is replaced.

    Raises UsageError for arguments that cannot be combined and BioqError for bad input, before
    anything is written.
    """
    options = options or PeakOptions()
    if bins is not None:
        _refuse_choices(options, exclude)
    require_absent(Path(out), replaces=FOLDER_KIND if force else None)
    sheet = read_target_sheet(targets)
    excluded = None if exclude is None else exclusion_file(exclude)
    refuse_input(Path(out), file_given(genome), targets, exclude, bins, chrom_alias, *sheet.paths)
    chosen = _chosen_targets(sheet, options.keep)
    aliases = read_chrom_alias(chrom_alias) if chrom_alias else None
    with open_genome(genome) as opened:
        names = ContigNames(opened, {} if aliases is None else aliases.of(opened))
        splits = None
        if options.folds is None:
            splits = groups_by_name(names, options.valid_chrom, options.test_chrom)
        table, rows = _given_bins(names, options, bins) if bins else _tiled_bins(names, options)
        labels, peaks, has_peak = read_labels(table, names, sheet, options.label)

        def group_contigs(kept_rows: BinNumbers) -> ContigGroups:
            return splits or _folds(table, labels, kept_rows, options)

        kept = None
        if bins is None:
            kept = keep_bins(
                opened,
                options,
                labels,
                chosen=chosen,
                is_excluded=_excluded(table, names, exclude),
                has_peak=has_peak,
                group_contigs=group_contigs,
            )
            _require_bins(kept, sheet, opened, peaks)
            rows = kept.rows
        groups = group_contigs(rows) if kept is None else kept.groups
        plan = _Plan(names, options, sheet, table, labels, peaks, rows, kept, groups)
        given = [path for path in (opened.path, targets, chrom_alias, excluded, bins) if path]
        sources = _sources([*given, *sheet.paths])
        recorded = _recorded(options, kept) | dict(more_options)
        description = _described(plan, made_by, sources, recorded)
        with new_dataset(out, description, sheet.targets, force=force) as writer:
            for name, folder in attach.items():
                writer.attach(name, folder)
            summary = _write_splits(writer, plan)
    for line in summary:
        say(line)


def _refuse_choices(options: PeakOptions, exclude: Path | None) -> None:
    """Raise UsageError for options that choose bins, beside a list of bins."""
    asked = options.asked_background
    flags = {
        "--exclude": exclude is not None,
        "a --keep pattern": not has_every_positive(options.keep),
        "--background": bool(asked),
        "--all-bins": bool(options.all_bins),
    }
    given = [flag for flag, is_given in flags.items() if is_given]
    if given:
        raise UsageError(f"--bins names the exact bins to use; leave out {' and '.join(given)}")


def _described(
    plan: _Plan, made_by: str, sources: tuple[Source, ...], recorded: Mapping[str, Any]
) -> Description:
    names, kept = plan.names, plan.kept
    return Description(
        made_by=made_by,
        window_bp=plan.options.window_bp,
        bin_bp=plan.options.bin_bp,
        label_rule=plan.options.label,
        contigs=names.contigs,
        sources=sources,
        options=recorded,
        contig_bp=tuple(names.genome.lengths.values()),
        contig_bins=() if kept is None else tuple(kept.contig_bins.tolist()),
        folds=plan.groups.folds(names.contigs),
    )


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


def _folds(
    table: Bins, labels: SparseLabels, rows: BinNumbers, options: PeakOptions
) -> ContigGroups:
    """Return folds with about equally many of the bins `rows`."""
    is_positive = labels.any_of(np.ones(labels.targets, dtype=bool))
    return balanced_folds(table, rows, is_positive, options.folds or 0)


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


def _excluded(bins: Bins, names: ContigNames, exclude: Path | None) -> npt.NDArray[np.bool_]:
    """Return whether each bin overlaps an excluded region: `(bins,)`."""
    excluded = np.zeros(len(bins), dtype=bool)
    if exclude is not None:
        require_same_build(exclude, names.genome)
        located = read_regions(exclusion_file(exclude), names, "excluded regions")
        offset = bins.offsets[located.contig]
        excluded[bins_touched(bins, located.start + offset, located.end + offset)[0]] = True
    return excluded


def _require_bins(kept: KeptBins, sheet: TargetSheet, genome: Genome, peaks: TargetPeaks) -> None:
    """Raise BioqError if no bin is left."""
    if len(kept.rows):
        return
    if kept.dropped[UNKNOWN]:
        raise BioqError(
            f"{genome.path}: no window is left ({_listed(kept.dropped)}); is this the right genome?"
        )
    todo = "check the peaks, --keep and --exclude"
    if all(peaks.is_short):
        todo = "all peaks are shorter than half a bin: give --label midpoint"
    raise BioqError(f"{sheet.path}: no bin is left ({_listed(kept.dropped)}); {todo}")


def _write_splits(writer: DatasetWriter, plan: _Plan) -> list[str]:
    """Write every split or fold; return lines that report the windows written and left out."""
    split_of_contig = plan.groups.of_contig
    split_of_row = split_of_contig[plan.bins.local(plan.rows)[0]]
    summary = []
    all_positives = np.zeros(len(plan.sheet.targets), dtype=np.int64)
    with progress("write windows", len(plan.rows), "windows") as advance:
        for number, split in enumerate(plan.groups.names):
            rows = plan.rows[split_of_row == number]
            all_bins = None
            if plan.kept is not None:
                all_bins = int(plan.kept.contig_bins[split_of_contig == number].sum())
            with writer.split(split, all_bins=all_bins) as out:
                positives = _write_split(out, plan, rows, advance)
            if not len(rows):
                writer.drop_split(split)
                if (split_of_contig == number).any():
                    summary.append(
                        f"warning: {split}: no window, so the data set has no such split"
                    )
            all_positives += positives
    warnings = label_warnings(
        list(plan.sheet.targets[NAME]),
        plan.peaks,
        all_positives,
        windows=len(plan.rows),
        half_bp=needed_bp(plan.options.bin_bp, "half"),
        given_bins=plan.kept is None,
    )
    about = [] if plan.kept is None else plan.kept.lines()
    return [*summary, *about, *_left_out(plan), *warnings]


def _write_split(
    out: SplitWriter, plan: _Plan, rows: BinNumbers, advance: Advance
) -> npt.NDArray[np.int64]:
    """Write a split; return the positive windows of each target `(targets,)`."""
    positives = np.zeros(len(plan.sheet.targets), dtype=np.int64)
    packed = plan.labels.packed(rows)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = slice(first, first + _ROWS_AT_ONCE)
        codes, bins = _windows(plan, rows[chunk])
        out.append(codes, packed[chunk], bins)
        positives += unpack_labels(packed[chunk], len(positives)).sum(axis=0, dtype=np.int64)
        advance(len(codes))
    return positives


def _windows(plan: _Plan, rows: BinNumbers) -> tuple[dna.Bytes, npt.NDArray[np.int64]]:
    """Return codes `(n, window_bp)` and bins `(n, 2)`."""
    options, genome = plan.options, plan.names.genome
    contig, bin_start = plan.bins.local(rows)
    start = bin_start - options.flank_bp
    codes = read_windows(genome, contig, start, window_bp=options.window_bp)
    lengths = np.array(list(genome.lengths.values()), dtype=np.int64)
    past_end = (start < 0) | (start + options.window_bp > lengths[contig])
    plan.padded += int(past_end.sum())
    return codes, np.stack([contig, bin_start], axis=1)


def _left_out(plan: _Plan) -> Iterator[str]:
    if plan.kept is not None and any(plan.kept.dropped.values()):
        yield f"left out: {_listed(plan.kept.dropped)}"
    if plan.padded:
        one = plan.padded == 1
        yield (
            f"{counted(plan.padded, 'window')} {'reaches' if one else 'reach'} past the end of "
            f"{'its' if one else 'their'} contig and {'is' if one else 'are'} filled with unknown "
            "bases"
        )


def _listed(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} bins {reason}" for reason, count in dropped.items() if count)


def _recorded(options: PeakOptions, kept: KeptBins | None) -> dict[str, Any]:
    """Return the options for the description of the data set, without those in its other fields,
    and those that had no effect; the background is the one that was added."""
    recorded = asdict(options)
    for elsewhere in ("label", "window_bp", "bin_bp"):
        del recorded[elsewhere]
    if kept is None:
        recorded["keep"] = KEEP_GIVEN
    for unused in ("folds",) if options.folds is None else ("valid_chrom", "test_chrom"):
        del recorded[unused]
    if not options.all_bins:
        del recorded["all_bins"]
    if kept is None or not kept.background:
        del recorded["background"], recorded["seed"]
    else:
        recorded["background"] = str(kept.background)
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in recorded.items()
    }
