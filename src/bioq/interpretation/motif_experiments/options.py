"""The options of `bioq motif-effects`, and the motifs, pairs and distances that they choose."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bioq.errors import UsageError, did_you_mean, nearest, some
from bioq.forward import Strands
from bioq.interpretation.motif_experiments.ablation import MIN_SITES
from bioq.interpretation.motif_experiments.backgrounds import Background
from bioq.motifs import Motif
from bioq.options import AtLeastOne, AtLeastZero, check_types
from bioq.progress import say

DISTANCES, STEP_BP = "0:200", 5
_FORM = re.compile(r"(\d{1,9}):(\d{1,9})(?::(\d{1,9}))?")
_MOST_DISTANCES = 100_000


@dataclass(frozen=True)
class MotifEffectOptions:
    """The motifs and targets, and the windows of the experiments."""

    motif: tuple[str, ...] = ()
    """Only the motifs of this name or matrix ID; * and ? are wildcards, case is ignored. Give it
    again for more motifs."""
    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Give it again for more targets."""
    background: Background = "shuffled"
    """Windows that motifs are put into. shuffled: dinucleotide shuffles of the windows; gc: windows
    without a positive label, or random windows of the genome, as rich in G and C as the windows
    with one, or as the regions; unchanged: the windows."""
    windows: AtLeastOne = 100
    """Number of background windows, and most sites of a motif that are taken out."""
    min_sites: AtLeastZero = MIN_SITES
    """A motif with fewer sites is not taken out."""
    split: str = "test"
    """Of a data set: train, valid or test."""
    strands: Strands = "both"
    """both: the mean logit of a window and its reverse complement. forward: of the window only."""
    seed: AtLeastZero = 0
    """Seed of shuffles and random windows."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class PairOptions:
    """Two motifs together, and how far apart."""

    pair: tuple[tuple[str, str], ...] = ()
    """Two motifs, each by its name or matrix ID, to put in together: the effect beyond the sum of
    their effects, by distance, order and orientation. Give it again for more pairs. Without --motif
    only the motifs of the pairs are put in and taken out."""
    distances: str = DISTANCES
    """Bases between the two sites: the first and the last distance, both included, every 5 bases;
    0:200:1 for another step."""

    def __post_init__(self) -> None:
        check_types(self)
        if any(len(pair) != 2 for pair in self.pair):
            raise UsageError(f"--pair {self.pair[0]}: expected two motifs")
        parse_distances(self.distances)
        if not self.pair and self.distances != DISTANCES:
            raise UsageError(
                f"--distances {self.distances}: expected --pair too: two motifs, such as "
                "--pair CTCF SRF"
            )

    def motifs(self) -> tuple[str, ...]:
        """Return the motifs of the pairs, each once."""
        return tuple(dict.fromkeys(name for pair in self.pair for name in pair))


def parse_distances(text: str) -> range:
    """Return the distances of `FIRST:LAST` or `FIRST:LAST:STEP`. Raises UsageError for others."""
    match = _FORM.fullmatch(text.strip())
    first, last, step = (int(part or STEP_BP) for part in match.groups()) if match else (1, 0, 0)
    if last < first or step < 1:
        raise UsageError(
            f"--distances {text}: expected the first and the last distance in bp, such as 0:200, "
            "or with a step, such as 0:200:10"
        )
    distances = range(first, last + 1, step)
    if len(distances) > _MOST_DISTANCES:
        raise UsageError(f"--distances {text}: {len(distances):,} distances are too many")
    return distances


def choose_motifs(motifs: Sequence[Motif], patterns: Sequence[str], source: str) -> list[Motif]:
    """Return the motifs whose name or matrix ID matches a pattern, in order; all without patterns.

    Raises UsageError for a pattern that matches none.
    """
    if not patterns:
        return list(motifs)
    chosen: set[int] = set()
    for pattern in patterns:
        matches = {
            number
            for number, motif in enumerate(motifs)
            if any(
                fnmatchcase(text.upper(), pattern.upper()) for text in (motif.name, motif.matrix_id)
            )
        }
        if not matches:
            raise _no_motif("--motif", pattern, motifs, source)
        chosen |= matches
    return [motifs[number] for number in sorted(chosen)]


def choose_pairs(
    motifs: Sequence[Motif], options: PairOptions, source: str
) -> list[tuple[Motif, Motif]]:
    """Return the motifs of each pair, each pair once.

    Raises UsageError for a motif that is not there.
    """
    chosen = {name: find_motif(motifs, name, source) for name in options.motifs()}
    return [(chosen[a], chosen[b]) for a, b in dict.fromkeys(options.pair)]


def find_motif(motifs: Sequence[Motif], name: str, source: str) -> Motif:
    """Return the motif with a matrix ID or a name, in any case; of several the first, with a note.

    Raises UsageError if there is none.
    """
    wanted = name.upper()
    found = [each for each in motifs if each.matrix_id.upper() == wanted]
    found = found or [each for each in motifs if each.name.upper() == wanted]
    if not found:
        raise _no_motif("--pair", name, motifs, source)
    if len(found) > 1:
        ids = ", ".join(each.matrix_id for each in found[1:])
        say(f"--pair {name}: {found[0].matrix_id} is used; its name is also that of {ids}")
    return found[0]


def _no_motif(option: str, name: str, motifs: Sequence[Motif], source: str) -> UsageError:
    """Return the error for a name that no motif has, with the names that are spelled like it."""
    names = did_you_mean(nearest(name, (motif.name for motif in motifs))).rstrip()
    names = names or f"it has {some((motif.name for motif in motifs), 5)}"
    return UsageError(f"{option} {name}: no motif of {source} has this name; {names}")
