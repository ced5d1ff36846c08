"""Motifs and pairs put into windows on a CPU: tangermeme, a forward pass of each, what they share.

    python benchmarks/motif_effects.py [--models danq deepsea marq] [--backgrounds 100] [--motifs 4]
        [--distances 0 10 20 40 80] [--rounds 3] [--threads 1] [--tiny]
    python benchmarks/motif_effects.py --models RUN

Random backgrounds of 1,000 bp and random motifs of 12 bp, 919 targets, both strands. Each motif and
its scrambled sites are put into the middle of the backgrounds in both orientations. Two motifs are
put in together, in the four arrangements at every distance, each alone at the same place, and the
same with scrambled sites of the second: 20 windows per background and distance. Three ways, in
turn: tangermeme's `marginalize` and `space` of the plain model, `window_logits` of every window,
and `insertion_effects` or `pair_effects`. Prints medians, each round's ratio to tangermeme of that
round, and the largest difference of a mean effect, or of one beyond the sum, from tangermeme's.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from measuring import Failures, Taken, in_turns, parse, parser, print_heads, print_row, timed
from peers.lively import sizes_of
from peers.strands import BothStrands
from tangermeme.marginalize import marginalize
from tangermeme.space import space
from torch import Tensor, nn

import bioq
from bioq import dna
from bioq.interpretation import insertion_effects, pair_effects
from bioq.interpretation.motif_experiments.insertion import (
    SCRAMBLES,
    most_probable,
    with_bases,
    with_site,
)
from bioq.interpretation.motif_experiments.logits import window_logits
from bioq.interpretation.motif_experiments.pairs import ARRANGEMENTS
from bioq.models import build_model
from bioq.motifs import Motif

PEER, EACH, SHARED = "tangermeme", "a forward pass of each", "shared"
WAYS = (PEER, EACH, SHARED)
SITE_BP = 12
Effects = npt.NDArray[np.floating]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--models", nargs="*", default=("danq", "deepsea", "marq"))
    options.add_argument("--targets", type=int, default=919, help="of models that are no run")
    options.add_argument("--backgrounds", type=int, default=100)
    options.add_argument("--motifs", type=int, default=4)
    options.add_argument("--distances", type=int, nargs="+", default=[0, 10, 20, 40, 80])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    tiny = {"models": ["danq"], "targets": 3, "backgrounds": 4, "motifs": 1, "rounds": 2}
    tiny["distances"] = [0, 30]
    arguments = parse(options, tiny=tiny)
    torch.set_num_threads(arguments.threads)
    print_heads(
        "model", "experiment", "way", "ms a window", "CPU ms", "ratio", "CPU ratio", "differs by"
    )
    failures = Failures()
    for name in arguments.models:
        with failures.of(name):
            compare(name, arguments)
    failures.end()


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one model: of single motifs, then of a pair."""
    random = np.random.default_rng(0)
    model = load(name, arguments)
    backgrounds = random.integers(0, 4, (arguments.backgrounds, 1000)).astype(np.uint8)
    sites = random.integers(0, 4, (arguments.motifs, SITE_BP))
    motifs = [Motif(f"m{at}", f"m{at}", np.eye(4)[site]) for at, site in enumerate(sites)]
    compute: dict[str, Callable[[], Effects]] = {
        PEER: lambda: by_tangermeme(model, backgrounds, motifs),
        EACH: lambda: by_forward_passes(model, backgrounds, motifs),
        SHARED: lambda: by_bioq(model, backgrounds, motifs),
    }
    windows = 4 * arguments.backgrounds * arguments.motifs
    measure(name, "motifs", compute, windows, arguments.rounds)
    pair = make_pair(backgrounds, random)
    distances = arguments.distances
    of_pair: dict[str, Callable[[], Effects]] = {
        PEER: lambda: pair_by_tangermeme(model, pair, distances),
        EACH: lambda: pair_by_forward_passes(model, pair, distances),
        SHARED: lambda: pair_by_bioq(model, pair, distances),
    }
    windows = 5 * len(ARRANGEMENTS) * arguments.backgrounds * len(distances)
    measure(name, "a pair", of_pair, windows, arguments.rounds)


def measure(
    name: str,
    experiment: str,
    compute: Mapping[str, Callable[[], Effects]],
    windows: int,
    rounds: int,
) -> None:
    """Print the rows of the three ways of an experiment with as many windows."""
    taken: dict[str, list[Taken]] = {way: [] for way in WAYS}
    effects: dict[str, Effects] = {}
    for way in WAYS:
        if way != PEER:
            compute[way]()  # what is prepared once
    for way in in_turns(WAYS, rounds):
        taken[way].append(timed(lambda way=way: effects.update({way: compute[way]()})))
    for way in WAYS:
        walls, cpus = ([one.seconds for one in taken[way]], [one.cpu_s for one in taken[way]])
        print_row(
            name,
            experiment,
            way,
            f"{statistics.median(walls) * 1000 / windows:.2f}",
            f"{statistics.median(cpus) * 1000 / windows:.2f}",
            f"{ratio([one.seconds for one in taken[PEER]], walls):.2f}",
            f"{ratio([one.cpu_s for one in taken[PEER]], cpus):.2f}",
            f"{np.abs(effects[way] - effects[PEER]).max():.1e}",
        )


def ratio(peer: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(peer, other, strict=True))


def load(name: str, arguments: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    if Path(name).is_dir() or name == "yeast":
        return bioq.load(name)
    sizes = sizes_of(name, tiny=arguments.tiny)
    return build_model(name.split()[0], targets=arguments.targets, sizes=sizes).eval()


def by_tangermeme(model: nn.Module, backgrounds: dna.Bytes, motifs: list[Motif]) -> Effects:
    """Return the mean effects `(motifs, targets)` of both orientations; computes the controls."""
    both = BothStrands(model)
    hot = torch.from_numpy(dna.one_hot(backgrounds)).float()
    start = (backgrounds.shape[1] - SITE_BP) // 2

    def change(windows: Tensor, site: dna.Bytes) -> Tensor:
        text = dna.decode(site)
        before, after = marginalize(both, windows, text, start=start, batch_size=256, device="cpu")
        return after - before

    random, effects = np.random.default_rng(0), []
    for motif in motifs:
        site = most_probable(motif)
        found = [change(hot, each) for each in (site, dna.reverse_complement(site))]
        effects.append(torch.stack(found).mean(dim=(0, 1)).numpy())
        for group in range(min(SCRAMBLES, len(hot))):
            scramble = random.permutation(site)
            for each in (scramble, dna.reverse_complement(scramble)):
                change(hot[group::SCRAMBLES], each)
    return np.stack(effects)


def by_forward_passes(model: nn.Module, backgrounds: dna.Bytes, motifs: list[Motif]) -> Effects:
    """Return what `by_tangermeme` returns, from the logits of as many windows."""
    start = (backgrounds.shape[1] - SITE_BP) // 2
    before, effects = window_logits(model, backgrounds), []
    for motif in motifs:
        site = most_probable(motif)
        both = (site, dna.reverse_complement(site))
        edited = np.concatenate([with_site(backgrounds, each, start) for each in both * 2])
        after = window_logits(model, edited).reshape(4, *before.shape)
        effects.append((after[:2] - before).mean(axis=(0, 1)))
    return np.stack(effects)


def by_bioq(model: nn.Module, backgrounds: dna.Bytes, motifs: list[Motif]) -> Effects:
    table = insertion_effects(model, backgrounds, motifs)
    return table["effect"].to_numpy().reshape(len(motifs), -1)


@dataclass(frozen=True)
class Pair:
    """Two motifs, and the windows that they are put into."""

    backgrounds: dna.Bytes
    a: Motif
    b: Motif
    scrambled: dna.Bytes
    """Sites with the bases of B in random order, one per background `(backgrounds, SITE_BP)`."""

    def places(self, distances: list[int]) -> list[list[list[tuple[dna.Bytes, int]]]]:
        """Return, for each arrangement and distance, the sites of A, B and scrambled B as they are
        put in, from left to right as `pair_effects` places them: their bases and first bases."""
        window_bp = self.backgrounds.shape[1]
        forward = (most_probable(self.a), most_probable(self.b), self.scrambled)
        found = []
        for each in ARRANGEMENTS:
            if not each.a_is_left:
                each = each.from_other_strand()  # the same DNA
            strands = [each.strand_a, each.strand_b, each.strand_b]
            sites = [
                bases if strand == "+" else dna.reverse_complement(bases)
                for bases, strand in zip(forward, strands, strict=True)
            ]
            starts = []
            for distance in distances:
                left = window_bp // 2 - (2 * SITE_BP + distance) // 2
                starts.append((left, *[left + SITE_BP + distance] * 2))
            found.append([list(zip(sites, each, strict=True)) for each in starts])
        return found


def make_pair(backgrounds: dna.Bytes, random: np.random.Generator) -> Pair:
    a, b = (
        Motif(name, name, np.eye(4)[random.integers(0, 4, SITE_BP)]) for name in ("first", "second")
    )
    sites = np.tile(most_probable(b), (len(backgrounds), 1))
    return Pair(backgrounds, a, b, random.permuted(sites, axis=1))


def pair_by_tangermeme(model: nn.Module, pair: Pair, distances: list[int]) -> Effects:
    """Return the mean effects beyond the sum `(arrangements, distances, targets)`; computes the
    controls."""
    both = BothStrands(model)
    hot = torch.from_numpy(dna.one_hot(pair.backgrounds)).float()
    chosen = {"batch_size": 256, "device": "cpu"}

    def letters(site: dna.Bytes) -> Tensor:
        return torch.from_numpy(dna.one_hot(np.atleast_2d(site))).float()

    effects = []
    for arrangement in pair.places(distances):
        alone = [
            torch.stack([after - before for before, after in changes], dim=1)
            for changes in (
                [
                    marginalize(both, hot, letters(place[of][0]), start=place[of][1], **chosen)
                    for place in arrangement
                ]
                for of in range(3)
            )
        ]
        beyond = []
        for other in (1, 2):
            a, b = arrangement[0][0], arrangement[0][other]
            sites = [letters(site) for site, _ in (a, b)]
            before, after = space(both, hot, sites, [[each] for each in distances], **chosen)
            beyond.append(after - before[:, None] - alone[0] - alone[other])
        effects.append(beyond[0].mean(dim=0).numpy())
    return np.stack(effects)


def pair_by_forward_passes(model: nn.Module, pair: Pair, distances: list[int]) -> Effects:
    """Return what `pair_by_tangermeme` returns, from the logits of as many windows."""
    before, effects = window_logits(model, pair.backgrounds), []
    for arrangement in pair.places(distances):
        for a, b, scrambled in arrangement:
            edited = []
            for edit in ((a,), (b,), (scrambled,), (a, b), (a, scrambled)):
                windows = pair.backgrounds
                for site, start in edit:
                    windows = with_bases(windows, site, start)
                edited.append(windows)
            after = window_logits(model, np.concatenate(edited)).reshape(5, *before.shape) - before
            effects.append((after[3] - after[0] - after[1]).mean(axis=0))
    return np.stack(effects).reshape(len(ARRANGEMENTS), len(distances), -1)


def pair_by_bioq(model: nn.Module, pair: Pair, distances: list[int]) -> Effects:
    table = pair_effects(model, pair.backgrounds, pair.a, pair.b, distances=distances)
    return table["beyond"].to_numpy().reshape(len(ARRANGEMENTS), len(distances), -1)


if __name__ == "__main__":
    main()
