"""The windows of motif experiments: those that a run reads, and backgrounds without their sites."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from bioq import dna
from bioq.dataset import Dataset, open_dataset, require_undamaged
from bioq.dataset.batches import Batches
from bioq.dataset.layout import METADATA
from bioq.dna.shuffle import dinucleotide_shuffles
from bioq.errors import BioqError, UsageError
from bioq.genome import ContigNames, Genome, open_names
from bioq.inputs import open_loci, require_genome
from bioq.interpretation.filters import spaced_rows
from bioq.progress import say
from bioq.runs.folder import report_other_genome, require_window_bp
from bioq.runs.trained_model import TrainedModel
from bioq.runs.training_data import training_data, with_fold_of

Background = Literal["shuffled", "gc", "unchanged"]

MOST_WINDOWS = 8192
"""Windows that are read, evenly spaced in a data set or random in a genome: enough for 100 sites of
most motifs."""
_MOST_BASES = 1 << 26
"""Bases of these windows: fewer windows are read if they are long."""
_TRIES = 20
"""Random positions per window that are tried until it has no unknown base."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReadWindows:
    """Windows that a run can read."""

    codes: dna.Bytes
    """uint8 `(n, window_bp)`; see `dna`."""
    what: str
    """What they are, for people."""
    is_positive: Flags | None = None
    """Whether a chosen target is positive `(n,)`; None without labels."""
    others: dna.Bytes | None = None
    """Random windows of the same genome `(m, window_bp)`, to match the windows in GC; None without
    a genome, for windows that are random already, and if no background is matched in GC."""


@dataclass(frozen=True)
class WindowSource:
    """Where windows are read."""

    given: str | None = None
    """A data set folder, a FASTA or, with a genome, regions; None: the data set of the run or, with
    a genome, random windows of it."""
    genome: Path | None = None
    chrom_alias: Path | None = None
    split: str = "test"
    """Of a data set."""


def read_windows(
    run: Path,
    model: TrainedModel,
    source: WindowSource,
    targets: npt.NDArray[np.int64],
    random: np.random.Generator,
    *,
    with_others: bool = True,
) -> ReadWindows:
    """Read the windows of a source for a run, of which `targets` are the chosen targets.

    Without `with_others` no random windows beside regions are read: only a background that is
    matched in GC needs them.

    Raises BioqError for windows of another length than the run reads, and UsageError for a genome
    beside a data set.
    """
    given = source.given
    is_dataset = given is not None and (Path(given) / METADATA).exists()
    require_genome(source.chrom_alias, source.genome)
    most = _most_windows(model.window_bp)
    if source.genome is None:
        if given is None or is_dataset:
            return _of_split(run, model, source, targets)
        codes = _of_loci(given, None, model.window_bp, most)
        return ReadWindows(codes, f"{len(codes):,} windows of {given}")
    if is_dataset:
        raise UsageError(f"--genome: {given} is a data set, whose windows need no genome")
    with open_names(source.genome, source.chrom_alias) as names:
        report_other_genome(run, model.config, names.genome)
        if given is None:
            codes = random_windows(names.genome, most, model.window_bp, random)
            return ReadWindows(codes, f"{len(codes):,} random windows of {names.genome.title}")
        codes = _of_loci(given, names, model.window_bp, most)
        others = None
        if with_others:
            others = random_windows(names.genome, most, model.window_bp, random)
        return ReadWindows(codes, f"{len(codes):,} windows of {given}", others=others)


def make_backgrounds(
    windows: ReadWindows, kind: Background, number: int, random: np.random.Generator
) -> tuple[dna.Bytes, str]:
    """Return at most `number` background windows uint8 `(n, window_bp)`, and what they are.

    shuffled: dinucleotide shuffles of windows spaced evenly, of each as often as needed for
    `number`. unchanged: the windows. gc: windows without a positive label, or random windows of the
    genome, that have the GC shares of the windows with a positive label, or of all; see `match_gc`.
    Raises UsageError if there are none to match.
    """
    if kind == "gc":
        wanted, candidates, what = _to_match(windows)
        codes = candidates[match_gc(wanted, candidates, number, random)]
        if not len(codes):
            raise UsageError(
                f"--background gc: no {what}; choose other --targets or another genome"
            )
        return codes, f"{len(codes):,} {what}"
    rows = spaced_rows(len(windows.codes), number).numpy()
    if kind == "unchanged":
        return windows.codes[rows], f"{len(rows):,} of {windows.what}"
    copies = np.diff(np.linspace(0, number, len(rows) + 1).round().astype(int))
    shuffled = [
        dinucleotide_shuffles(windows.codes[row], int(copy), random)
        for row, copy in zip(rows, copies, strict=True)
    ]
    return np.concatenate(shuffled), f"{number:,} dinucleotide shuffles of {windows.what}"


def match_gc(
    wanted: dna.Bytes, candidates: dna.Bytes, number: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return rows of at most `number` of the candidates `(m, window_bp)` whose shares of G and C
    are those of the wanted windows `(n, window_bp)`.

    For wanted windows in random order the nearest candidate that is left is taken, if its share
    differs by at most 0.01.
    """
    shares = gc_share(candidates)
    order = np.argsort(shares, kind="stable")
    left = shares[order]
    taken: list[int] = []
    targets = gc_share(wanted)
    for share in random.permutation(np.resize(targets, max(number, len(targets)))):
        if len(taken) == number or not len(left):
            break
        at = min(int(np.searchsorted(left, share)), len(left) - 1)
        if at and share - left[at - 1] < left[at] - share:
            at -= 1
        if abs(left[at] - share) <= 0.01:
            taken.append(int(order[at]))
            left, order = np.delete(left, at), np.delete(order, at)
    return np.array(sorted(taken), np.int64)


def gc_share(codes: dna.Bytes) -> npt.NDArray[np.float64]:
    """Return the share of G and C among the known bases of windows `(n, window_bp)`: `(n,)`; 0
    where no base is known."""
    is_gc = (codes == dna.BASES.index("C")) | (codes == dna.BASES.index("G"))
    known = (codes != dna.UNKNOWN).sum(axis=1)
    share: npt.NDArray[np.float64] = is_gc.sum(axis=1) / np.maximum(known, 1)
    return share


def random_windows(
    genome: Genome, number: int, window_bp: int, random: np.random.Generator
) -> dna.Bytes:
    """Return random windows of a genome without unknown bases, all equally likely: uint8
    `(n, window_bp)`, fewer than `number` if few positions have none.

    Raises BioqError if no window is found.
    """
    names = [name for name, length in genome.lengths.items() if length >= window_bp]
    places = np.array([genome.lengths[name] - window_bp + 1 for name in names])
    found: list[dna.Bytes] = []
    for _ in range(_TRIES if len(names) else 0):
        if len(found) == number:
            break
        drawn = random.integers(0, places.sum(), number - len(found))
        contig = np.searchsorted(np.cumsum(places), drawn, side="right")
        start = drawn - (np.cumsum(places) - places)[contig]
        for at, first in sorted(zip(contig.tolist(), start.tolist(), strict=True)):
            codes = genome.read(names[at], first, first + window_bp)
            if (codes != dna.UNKNOWN).all():
                found.append(codes)
    if not found:
        raise BioqError(f"{genome.title}: has no {window_bp:,} bp without unknown bases")
    return np.stack(found)


def _to_match(windows: ReadWindows) -> tuple[dna.Bytes, dna.Bytes, str]:
    """Return the windows whose GC is wanted, the candidates, and what the candidates are."""
    if windows.is_positive is not None:
        positive, negative = windows.codes[windows.is_positive], windows.codes[~windows.is_positive]
        if not len(positive) or not len(negative):
            which = "no window" if len(negative) else "every window"
            raise UsageError(
                f"--background gc: {which} of {windows.what} is positive for a target; choose "
                "--targets of which some windows are positive and others not"
            )
        return (
            positive,
            negative,
            "windows without a positive label, as rich in GC as those with one",
        )
    if windows.others is not None:
        return windows.codes, windows.others, f"random windows as rich in GC as {windows.what}"
    raise UsageError(
        "--background gc: needs the labels of a data set, or regions with --genome, to match"
    )


def _of_split(
    run: Path, model: TrainedModel, source: WindowSource, targets: npt.NDArray[np.int64]
) -> ReadWindows:
    data = _open_data(run, model, source)
    split = data[source.split]
    rows = spaced_rows(len(split), _most_windows(model.window_bp))
    codes, labels = Batches(split, torch.device("cpu"), data_in="disk").read_codes(rows)
    what = f"{len(rows):,} windows of {data.path.resolve().name}, split {source.split}"
    is_positive: Flags | None = None
    if labels.shape[1] == len(model.targets):
        is_positive = np.asarray(labels.numpy()[:, targets].any(axis=1))
    return ReadWindows(codes.numpy(), what, is_positive)


def _open_data(run: Path, model: TrainedModel, source: WindowSource) -> Dataset:
    if source.given is not None:
        data = with_fold_of(run, model.config, open_dataset(Path(source.given)))
    else:
        try:
            data = training_data(run)
        except BioqError as error:
            raise BioqError(f"{error}; or give --genome, to use random windows of it") from error
        say(f"data set: {data.path}")
    require_window_bp(run, model.config, data)
    require_undamaged(data, [source.split])
    return data


def _of_loci(given: str, names: ContigNames | None, window_bp: int, most: int) -> dna.Bytes:
    """Return the windows of a FASTA or of regions, at most `most`, evenly spaced."""
    with open_loci(given, names, window_bp=window_bp, span_bp=window_bp, pad=False) as loci:
        if not loci.count:
            raise BioqError(f"{given}: has no window; expected at least one")
        rows = set(spaced_rows(loci.count, most).tolist())
        codes = [locus.codes for row, locus in enumerate(loci.read()) if row in rows]
    return np.stack(codes)


def _most_windows(window_bp: int) -> int:
    return max(1, min(MOST_WINDOWS, _MOST_BASES // window_bp))
