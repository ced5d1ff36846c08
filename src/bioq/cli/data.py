"""`bioq data ...`: make, download and check data sets."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from bioq.builders.deepsea.build import import_deepsea
from bioq.builders.deepsea.fetch import DEEPSEA_URL, fetch_deepsea
from bioq.builders.peaks.build import build_from_peaks
from bioq.builders.peaks.options import PeakOptions
from bioq.builders.simulation.build import SimulationOptions
from bioq.builders.simulation.build import simulate as simulate_dataset
from bioq.cli.options import FLAGS, ChromAlias, Force
from bioq.cli.tables import print_line, print_path
from bioq.dataset import Dataset, LabelKinds, Split, label_kinds, open_dataset
from bioq.dataset import verify as verify_dataset
from bioq.dataset.all_bins import all_bins_rates
from bioq.dataset.leaks import count_leaks
from bioq.dataset.targets import NAME
from bioq.errors import counted, some
from bioq.genome.builds import build_of

_MOST_TARGETS = 100
"""Targets without a positive that `info` names."""

_MOST_CONTIGS = 5
"""Contigs of a fold that `info` names."""


def peaks(
    *,
    genome: Path,
    targets: Path,
    out: Path,
    options: Annotated[PeakOptions, FLAGS] = PeakOptions(),  # noqa: B008 frozen
    exclude: Path | None = None,
    chrom_alias: ChromAlias = None,
    bins: Path | None = None,
    force: Force = False,
) -> None:
    """Make a data set from peak files and a genome.

    The genome is cut into bins. A bin is positive for a target if the target's peaks fit the rule
    --label. The window of a bin has the bin in its middle.

    For example:

        bioq data peaks --genome hg38 --exclude encode:hg38 --targets targets.tsv --out data
        bioq data peaks --genome hg38 --targets ctcf.tsv --out ctcf --all-bins test
        bioq data peaks --genome hg38 --targets targets.tsv --out folded --folds 5
        bioq data peaks --genome sacCer3.fa.gz --targets targets.tsv --out yeast \\
            --label midpoint --chrom-alias chromAlias.tsv --exclude exclude.bed \\
            --valid-chrom chrII --test-chrom chrIV

    Parameters
    ----------
    genome
        Genome that the peaks were called on: FASTA (plain, gzip or bgzip), 2bit, or a name such as
        hg38, which is downloaded once from UCSC.
    targets
        Tab-separated table with the columns name and peaks: a path relative to the table, or the
        paths of replicates with ; between them (docs/how-to/peaks.md). More columns are kept as
        annotation.
    out
        New folder for the data set.
    exclude
        BED of regions, or the name of an exclusion list of ENCODE, such as encode:hg38; bins that
        overlap a region (of BED12: one of its blocks) are left out.
    bins
        BED of the bins to use, in this order; by default the whole genome is cut into bins.
    """
    build_from_peaks(
        out,
        genome=genome,
        targets=targets,
        options=options,
        exclude=exclude,
        chrom_alias=chrom_alias,
        bins=bins,
        force=force,
    )
    _print_info(open_dataset(out))


def deepsea(
    *,
    out: Path,
    train: Path | None = None,
    valid: Path | None = None,
    test: Path | None = None,
    bed: Path | None = None,
    targets: Path | None = None,
    force: Force = False,
) -> None:
    """Make a data set from DeepSEA's .mat files.

    Any of the three files may be left out. The second half of each file holds the reverse
    complements of the first half: they are checked, not stored, and computed when needed.

    For example:

        bioq data deepsea --train train.mat --valid valid.mat --test test.mat --out deepsea

    Parameters
    ----------
    out
        New folder for the data set.
    train
        train.mat (MATLAB v7.3, which is HDF5).
    valid
        valid.mat (MATLAB v5).
    test
        test.mat (MATLAB v5).
    bed
        allTFs.pos.bed, which gives the genomic position of every window.
    targets
        Target table of files that have DeepSEA's layout and different targets.
    """
    import_deepsea(out, train=train, valid=valid, test=test, bed=bed, targets=targets, force=force)
    _print_info(open_dataset(out))


def simulate(
    *,
    out: Path,
    options: Annotated[SimulationOptions, FLAGS] = SimulationOptions(),  # noqa: B008 frozen
    force: Force = False,
) -> None:
    """Make a data set of random DNA with motifs planted by known rules.

    OUT/simulation contains the genome, the peaks and the true labels. The same seed gives the same
    bytes.

    For example:

        bioq data simulate --out simulated --seed 1

    Parameters
    ----------
    out
        New folder for the data set.
    """
    simulate_dataset(out, options, force=force)
    _print_info(open_dataset(out))


def info(dataset: Path, /) -> None:
    """Print what a data set contains.

    For example:

        bioq data info yeast

    Parameters
    ----------
    dataset
        Data set folder.
    """
    _print_info(open_dataset(dataset), most_targets=_MOST_TARGETS)


def _print_info(data: Dataset, *, most_targets: int = 3) -> None:
    """Print what a data set contains, with up to `most_targets` names of targets."""
    about = data.description
    size = sum(file["bytes"] for file in data.files.values())
    print_line(f"{data.path}: made by 'bioq data {about.made_by}', {size / 1e6:,.1f} MB")
    print_line(
        f"  windows of {about.window_bp:,} bp with a bin of {about.bin_bp} bp, "
        f"label rule {about.label_rule}, {counted(len(data.targets), 'target')}"
    )
    build = build_of(about.contig_lengths)
    if build is not None:
        print_line(f"  genome {build.name}")
    for split in data.values():
        print_line(f"  {_split_line(data, split)}{_contigs_of(data, split)}")
    _print_rates(data, most_targets)
    _print_leaks(data)
    print_line(f"  fingerprint {data.fingerprint}")


def verify(dataset: Path, /) -> None:
    """Check every checksum and shape of a data set.

    For example:

        bioq data verify yeast

    Parameters
    ----------
    dataset
        Data set folder.
    """
    data = verify_dataset(dataset)
    print_line(f"{data.path}: {len(data.files)} files, every checksum and shape is right")


def fetch(
    name: Literal["deepsea"],
    /,
    *,
    out: Path,
    url: str = DEEPSEA_URL,
    sha256: str | None = None,
    force: Force = False,
) -> None:
    """Download the DeepSEA training bundle and unpack it.

    The free space on the disk is checked first. If a download was interrupted, the same command
    continues it.

    For example:

        bioq data fetch deepsea --out bundle

    Parameters
    ----------
    name
        deepsea: the training bundle of Zhou & Troyanskaya 2015.
    out
        New folder for the unpacked files.
    url
        Address of the bundle.
    sha256
        SHA-256 checksum that the download must have; the publisher gives none.
    """
    fetch_deepsea(out, url=url, sha256=sha256, force=force)
    print_path(out)


def _split_line(data: Dataset, split: Split) -> str:
    strands = f" ({2 * len(split):,} with reverse complements)" if split.strands_folded else ""
    unknown = f", {split.masked_windows:,} with unknown bases" if split.masked_windows else ""
    coordinates = "" if split.has_coordinates else ", no coordinates"
    total = int(split.positives().sum())
    rate = f"{total / max(len(split) * split.targets, 1):.2%}"
    bins, in_genome = split.all_bins or 0, all_bins_rates(data, split.name).mean()
    if bins > len(split) and not np.isnan(in_genome):
        of_all = f"{in_genome:.3%} of all {bins:,} bins of its contigs"
    else:
        of_all = "every bin of its contigs" if bins == len(split) and bins else ""
    if split.targets == 1:
        positive = f"{total:,} positive ({rate}{'; ' * bool(of_all)}{of_all})"
    else:
        positive = f"{rate} of the labels positive" + (f" ({of_all})" if of_all else "")
    return (
        f"{split.name}: {counted(len(split), 'window')}{strands}, {positive}{unknown}{coordinates}"
    )


def _contigs_of(data: Dataset, split: Split) -> str:
    """Return the contigs of a fold; empty for a split."""
    if not data.folds:
        return ""
    number = int(split.name.rpartition("-")[2])
    contigs = [contig for contig, fold in data.description.folds.items() if fold == number]
    return f"; {some(contigs, _MOST_CONTIGS)}"


def _print_leaks(data: Dataset) -> None:
    """Print how many windows of a split are also in another."""
    leaks = count_leaks(data)
    lines = [line for leak in leaks for line in leak.lines()]
    for line in lines:
        print_line(f"  warning: {line}")
    if leaks and not lines:
        if any(leak.overlapping is None for leak in leaks):
            unknown = "windows that overlap in part cannot be found without coordinates"
            print_line(f"  no window is in two splits ({unknown})")
        else:
            kind = "fold" if data.folds else "split"
            print_line(f"  no window shares bases with a window of another {kind}")


def _print_kinds(kinds: LabelKinds, most_targets: int) -> None:
    """Print which targets have windows of one kind only in a split."""
    if kinds.is_useless:
        use = "nothing can be learned" if kinds.split == "train" else "no score means anything"
        print_line(f"  warning: {kinds.problem(use)}")
        return
    for line in kinds.lines(most_targets):
        print_line(f"  {line}")


def _print_rates(data: Dataset, most_targets: int) -> None:
    """Print for each split how many positive windows the targets have, and the targets without."""
    total = np.zeros(len(data.targets), dtype=np.int64)
    for split in data.values():
        positives = split.positives()
        total += positives
        if not len(split):
            continue
        if len(positives) > 1:  # the count of one target is in the line of its split
            low, middle, high = (sorted(positives)[i] for i in (0, len(positives) // 2, -1))
            least = f"least {low:,}, median {middle:,}, most {high:,}"
            print_line(f"  {split.name} positives per target: {least}")
        _print_kinds(label_kinds(data, split.name), most_targets)
    without = list(data.targets[NAME][total == 0])
    if without:
        named = some(without, most_targets)
        print_line(
            f"  {len(without):,} target{'s have' if len(without) > 1 else ' has'} no positive in "
            f"any split: {named}"
        )
