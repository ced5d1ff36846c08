"""Motifs put into background windows on a CPU: tangermeme, a forward pass of each, what they share.

    python benchmarks/motif_effects.py [--models danq deepsea marq] [--backgrounds 100] [--motifs 4]
        [--rounds 3] [--threads 1] [--tiny]
    python benchmarks/motif_effects.py --models RUN

Random backgrounds of 1,000 bp and random motifs of 12 bp, 919 targets, both strands. Each motif and
its scrambled sites are put into the middle of the backgrounds in both orientations. Three ways, in
turn: tangermeme's `marginalize` of the plain model, `window_logits` of every window, and
`insertion_effects`. Prints medians, each round's ratio to tangermeme of that round, and the largest
difference of a mean effect from tangermeme's.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from measuring import Failures, Taken, in_turns, parse, parser, print_heads, print_row, timed
from peers.lively import sizes_of
from peers.strands import BothStrands
from tangermeme.marginalize import marginalize
from torch import Tensor, nn

import bioq
from bioq import dna
from bioq.interpretation import insertion_effects
from bioq.interpretation.motif_experiments.insertion import SCRAMBLES, most_probable, with_site
from bioq.interpretation.motif_experiments.logits import window_logits
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
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    tiny = {"models": ["danq"], "targets": 3, "backgrounds": 4, "motifs": 1, "rounds": 2}
    arguments = parse(options, tiny=tiny)
    torch.set_num_threads(arguments.threads)
    print_heads("model", "way", "ms a window", "CPU ms", "ratio", "CPU ratio", "differs by")
    failures = Failures()
    for name in arguments.models:
        with failures.of(name):
            compare(name, arguments)
    failures.end()


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one model."""
    random = np.random.default_rng(0)
    model = load(name, arguments)
    backgrounds = random.integers(0, 4, (arguments.backgrounds, 1000)).astype(np.uint8)
    sites = random.integers(0, 4, (arguments.motifs, SITE_BP))
    motifs = [Motif(f"m{at}", f"m{at}", np.eye(4)[site]) for at, site in enumerate(sites)]
    taken: dict[str, list[Taken]] = {way: [] for way in WAYS}
    effects: dict[str, Effects] = {}
    compute: dict[str, Callable[[], Effects]] = {
        PEER: lambda: by_tangermeme(model, backgrounds, motifs),
        EACH: lambda: by_forward_passes(model, backgrounds, motifs),
        SHARED: lambda: by_bioq(model, backgrounds, motifs),
    }
    for way in WAYS:
        if way != PEER:
            compute[way]()  # what is prepared once
    for way in in_turns(WAYS, arguments.rounds):
        taken[way].append(timed(lambda way=way: effects.update({way: compute[way]()})))
    windows = 4 * arguments.backgrounds * arguments.motifs
    for way in WAYS:
        walls, cpus = ([one.seconds for one in taken[way]], [one.cpu_s for one in taken[way]])
        print_row(
            name,
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


if __name__ == "__main__":
    main()
