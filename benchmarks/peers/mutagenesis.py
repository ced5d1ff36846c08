"""Every substitution in one window: BioQ beside tangermeme and Selene.

    python benchmarks/peers/mutagenesis.py [--model danq] [--span-bp 1000] [--threads 1] [--tiny]

One random window of 1,000 bp, 919 targets, one strand (the peers know one; BioQ shares the same on
two). Everybody predicts 64 mutants at a time; Selene also writes the differences as HDF5.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import TINY, Call, Contender, main, parser
from generated import write_genome
from lively import lively_model, one_hot, random_codes
from measuring import parse
from strands import Probability, load_selene

from bioq import dna

BATCH = 64


def loop(options: argparse.Namespace, case: str) -> Call:
    model, codes = Probability(_model(options)), random_codes(1)[0]
    start, end = _span(options)

    def call() -> Any:
        mutants, rows = _mutants(codes, start, end)
        with torch.inference_mode():
            reference = model(one_hot(codes[None]))
            effects = torch.zeros((4, end - start, reference.shape[1]))
            for first in range(0, len(mutants), BATCH):
                part = slice(first, first + BATCH)
                result = model(one_hot(mutants[part])) - reference
                effects[rows[part, 1], rows[part, 0] - start] = result
        return effects.numpy()

    return call


def bioq(options: argparse.Namespace, case: str) -> Call:
    from bioq.interpretation import mutate_window

    model, codes = _model(options), random_codes(1)[0]
    start, end = _span(options)
    return lambda: mutate_window(model, codes, start=start, end=end, strands="forward")[1]


def tangermeme(options: argparse.Namespace, case: str) -> Call:
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis

    model, windows = Probability(_model(options)), one_hot(random_codes(1))
    start, end = _span(options)

    def call() -> Any:
        reference, result = saturation_mutagenesis(
            model,
            windows,
            start=start,
            end=end,
            batch_size=BATCH,
            raw_outputs=True,
            device="cpu",
        )
        return (result[0] - reference[0]).numpy()

    return call


def tangermeme_fast(options: argparse.Namespace, case: str) -> Call:
    from tangermeme import saturation_mutagenesis as module

    module._FAST_MIN_SECONDS = 0.0  # as shipped, work of less than 30 s does not try the fast path
    return tangermeme(options, case)


def selene(options: argparse.Namespace, case: str) -> Call:
    import h5py

    output_folder = options.folder / f"contender-{options.turns_of}"
    analysis = load_selene(
        _model(options),
        output_folder,
        options.folder / "genome.fa",
        batch_size=BATCH,
        both_strands=False,
    )
    codes = random_codes(1)[0]
    start, end = _span(options)
    _, rows = _mutants(codes, start, end)

    def call() -> Any:
        analysis.in_silico_mutagenesis(
            dna.decode(codes),
            ["diffs"],
            str(output_folder / "ism"),
            output_format="hdf5",
            start_position=start,
            end_position=end,
        )
        with h5py.File(output_folder / "ism_diffs.h5") as file:
            result = file["data"][:]
        effects = np.zeros((4, end - start, result.shape[1]), dtype=np.float32)
        effects[rows[:, 1], rows[:, 0] - start] = result
        return effects

    return call


def generate(folder: Path, options: argparse.Namespace) -> None:
    write_genome(folder / "genome.fa", 10_000)  # Selene wants one, and does not read it here


def _model(options: argparse.Namespace) -> torch.nn.Module:
    torch.set_num_threads(options.threads)
    return lively_model(options.model, tiny=options.tiny)


def _span(options: argparse.Namespace) -> tuple[int, int]:
    start = (1000 - options.span_bp) // 2
    return start, start + options.span_bp


def _mutants(codes: dna.Bytes, start: int, end: int) -> tuple[dna.Bytes, Any]:
    """Return every mutant's codes, and its (place, base): by place, then base."""
    position, base = np.nonzero(codes[start:end, None] != np.arange(4))
    mutants = np.repeat(codes[None], len(position), axis=0)
    mutants[np.arange(len(position)), start + position] = base
    return mutants, np.stack([position + start, base], axis=1)


CONTENDERS = (
    Contender("PyTorch eager, every mutant", loop, ("torch",)),
    Contender("BioQ", bioq, ours=True, tolerance=2e-5),
    Contender("tangermeme", tangermeme, ("tangermeme",)),
    Contender("tangermeme, fast path at any size", tangermeme_fast, ("tangermeme",)),
    Contender("Selene SDK", selene, ("selene-sdk",)),
)

if __name__ == "__main__":
    arguments = parser(__doc__, rounds=3)
    arguments.add_argument("--model", default="danq", help="bioq, danq, danq-jaspar or deepsea")
    arguments.add_argument("--span-bp", type=int, default=1000, help="in the window's middle")
    chosen = parse(arguments, tiny={**TINY, "span_bp": 20})
    main(
        chosen,
        CONTENDERS,
        {f"{chosen.model}, {chosen.span_bp} bp": 3 * chosen.span_bp},
        subject="mutagenesis",
        unit="mutants",
        generate=generate,
    )
