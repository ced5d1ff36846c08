"""Reads the peak files of a sheet, and reports the files that do not fit the genome."""

from collections import Counter
from pathlib import Path

from bioq.builders.peaks.labels import Bins, Label, SparseLabels, positive_bins
from bioq.dataset.targets import NAME, TargetSheet
from bioq.errors import BioqError
from bioq.genome import Bed, ContigNames, Located, locate, read_bed, some
from bioq.progress import progress, say


def read_labels(bins: Bins, names: ContigNames, sheet: TargetSheet, label: Label) -> SparseLabels:
    """Return the labels of every bin for every target, reading one peak file at a time.

    Reports files without a peak on the genome, and contigs that the genome lacks.
    Raises BioqError if no file has a peak on the genome, or a peak is past the end of its contig.
    """
    labels = SparseLabels(len(bins), len(sheet.peaks))
    empty: list[str] = []
    absent_peaks: Counter[str] = Counter()
    absent_files: Counter[str] = Counter()
    with progress("read peaks", len(sheet.peaks), "files") as advance:
        for name, path in zip(sheet.targets[NAME], sheet.peaks, strict=True):
            bed = read_bed(path)
            located = locate(bed, names)
            absent_peaks.update(located.absent)
            absent_files.update(located.absent.keys())
            if not len(located.rows):
                empty.append(f"{name} ({path}): {_why_empty(bed, located)}")
            labels.add(positive_bins(bins, bed, located, label))
            advance(1)
    genome = names.genome.path
    if len(empty) == len(sheet.peaks):
        raise BioqError(
            f"{sheet.path}: none of its {len(empty):,} peak files has a peak on {genome}: their "
            f"contigs are {some(absent_peaks) or 'none at all'}, the genome's are "
            f"{some(names.contigs)}; check the genome build, or give --chrom-alias"
        )
    for contig, peaks in absent_peaks.most_common():
        files = absent_files[contig]
        say(
            f"warning: {peaks:,} peaks of {files:,} file{'s' * (files != 1)} are on {contig}, "
            f"which {genome.name} does not have; they are left out"
        )
    for line in empty:
        say(f"warning: no peak on the genome for {line}; its labels are all 0")
    return labels


def _why_empty(bed: Bed, located: Located) -> str:
    if not len(bed):
        return "the file holds no peak"
    return f"the genome does not have {some(located.absent)} (other names? another build?)"


def read_regions(path: Path, names: ContigNames, what: str) -> tuple[Bed, Located]:
    """Read a BED file of regions and locate them; report contigs that the genome lacks."""
    bed = read_bed(path)
    located = locate(bed, names)
    if not len(bed):
        say(f"warning: {path}: holds no {what}; expected BED, one region per line")
    for contig, count in located.absent.items():
        say(
            f"warning: {count:,} {what} of {bed.path.name} are on {contig}, which "
            f"{names.genome.path.name} does not have"
        )
    return bed, located
