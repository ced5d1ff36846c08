"""Every substitution of a window on a CPU: eager PyTorch, a forward pass of each, what they share.

    python benchmarks/mutagenesis.py [--models danq bioq] [--span 200] [--rounds 3] [--threads 1]
        [--tiny]
    python benchmarks/mutagenesis.py --runs RUN --span 1000

The middle --span bases of one random window, 919 targets, both strands. Three ways, in
turn: 3 * span forward passes by the plain model (BIOQ_PLAIN=1) and by its fast path, 256 windows at
a time, and `mutate_window`. Prints medians, each round's ratio to the plain model of that round,
the largest difference of a probability from the plain model's, and the peak memory of a process
that only does that.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import (
    Failures,
    Taken,
    in_own_process,
    in_turns,
    parse,
    parser,
    peak_mib,
    print_heads,
    print_row,
    timed,
)
from peers.lively import sizes_of, window_bp_of

import bioq
from bioq.forward import predict_codes
from bioq.interpretation import mutate_window
from bioq.models import build_model

BATCH = 256
PLAIN, EACH, SHARED = "eager PyTorch", "a forward pass of each", "shared"
WAYS = (PLAIN, EACH, SHARED)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--models", nargs="*", default=("danq", "bioq", "danq-jaspar", "deepsea"))
    options.add_argument("--runs", nargs="*", default=(), help="trained models, in their place")
    options.add_argument("--targets", type=int, default=919, help="of --models")
    options.add_argument("--span", type=int, default=200, help="bases in the middle")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    tiny = {"models": ["danq"], "targets": 3, "span": 20, "rounds": 2}
    arguments = parse(options, tiny=tiny)
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        name, way = arguments.peak
        run(way, load(name, arguments), arguments.span)
        print(peak_mib())
        return
    print_heads(
        *("model", "way", "ms a mutant", "CPU ms", "ratio", "CPU ratio"),
        *("differs by", "peak memory"),
    )
    failures = Failures()
    for name in arguments.runs or arguments.models:
        with failures.of(name):
            compare(name, arguments)
    failures.end()


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one model."""
    model = load(name, arguments)
    taken: dict[str, list[Taken]] = {way: [] for way in WAYS}
    effects: dict[str, Any] = {}
    for way in WAYS:
        run(way, model, 10)  # what is prepared once
    for way in in_turns(WAYS, arguments.rounds):
        taken[way].append(
            timed(lambda way=way: effects.update({way: run(way, model, arguments.span)}))
        )
    for way in WAYS:
        walls, cpus = ([one.seconds for one in taken[way]], [one.cpu_s for one in taken[way]])
        differs = np.abs(effects[way] - effects[PLAIN]).max()
        words = ("--span", arguments.span, "--threads", arguments.threads)
        words = (*words, "--targets", arguments.targets, *["--tiny"] * arguments.tiny)
        print_row(
            name,
            way,
            f"{each(walls, arguments):.2f}",
            f"{each(cpus, arguments):.2f}",
            f"{ratio([one.seconds for one in taken[PLAIN]], walls):.2f}",
            f"{ratio([one.cpu_s for one in taken[PLAIN]], cpus):.2f}",
            f"{differs:.1e}",
            f"{in_own_process(__file__, '--peak', name, way, *words):,.0f} MiB",
        )


def each(seconds: Sequence[float], arguments: argparse.Namespace) -> float:
    return statistics.median(seconds) * 1000 / (3 * arguments.span)


def ratio(plain: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(plain, other, strict=True))


def load(name: str, arguments: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(0)
    if Path(name).is_dir():
        return bioq.load(name)
    sizes = sizes_of(name, tiny=arguments.tiny)
    return build_model(name.split()[0], targets=arguments.targets, sizes=sizes)


def run(way: str, model: torch.nn.Module, span: int) -> Any:
    """Return the effects `(4, span, targets)`."""
    os.environ["BIOQ_PLAIN"] = "1" if way == PLAIN else "0"
    window_bp = window_bp_of(model)
    codes = np.random.default_rng(0).integers(0, 4, window_bp).astype(np.uint8)
    start = (window_bp - span) // 2
    if way == SHARED:
        return mutate_window(model, codes, start=start, end=start + span)[1]
    return passes(lambda windows: predict_codes(model, windows), codes, start, span)


def passes(predict: Callable[[Any], Any], codes: Any, start: int, span: int) -> Any:
    """Predict every mutant by itself."""
    position, base = np.nonzero(codes[start : start + span, None] != np.arange(4))
    reference = predict(codes[None])[0]
    effects = np.zeros((4, span, len(reference)), dtype=np.float32)
    for first in range(0, len(position), BATCH):
        rows = slice(first, first + BATCH)
        windows = np.repeat(codes[None], len(position[rows]), axis=0)
        windows[np.arange(len(windows)), start + position[rows]] = base[rows]
        effects[base[rows], position[rows]] = predict(windows) - reference
    return effects


if __name__ == "__main__":
    main()
