"""SNVs to the difference that each makes: BioQ beside tangermeme and Selene.

    python benchmarks/peers/variants.py [--model bioq] [--variants 128] [--threads 1] [--tiny]

A VCF on a random genome, both strands averaged, 919 targets, 64 windows at a time. BioQ and Selene
read the VCF and the FASTA; Selene writes the differences as HDF5. tangermeme and the loop get the
windows as one-hot arrays that lie ready, "BioQ, nothing shared" as codes. The SNVs are
sorted and their windows do not repeat.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import TINY, Call, Contender, main, parser
from generated import write_genome, write_snvs
from lively import lively_model, one_hot, targets_of, window_bp_of
from measuring import parse
from strands import BothStrands, Probability, load_selene

from bioq import dna

BATCH = 64


def loop(options: argparse.Namespace, case: str) -> Call:
    model, windows, rows = BothStrands(Probability(_model(options))), *_windows(options)
    edited = _edited(windows, rows)

    def call() -> Any:
        with torch.inference_mode():
            return torch.cat(
                [
                    model(edited[start : start + BATCH]) - model(windows[start : start + BATCH])
                    for start in range(0, len(windows), BATCH)
                ]
            ).numpy()

    return call


def bioq(options: argparse.Namespace, case: str) -> Call:
    from bioq.variants import VariantOptions, score_variants

    model = _model(options)
    vcf, genome = options.folder / "snvs.vcf", options.folder / "genome.fa"
    settings = VariantOptions(batch_size=BATCH)

    def call() -> Any:
        tables = list(score_variants(model, vcf, genome, options=settings))
        return np.concatenate(
            [
                table[[name for name in table if name.startswith("diff:")]].to_numpy()
                for table in tables
            ]
        )

    return call


def each(options: argparse.Namespace, case: str) -> Call:
    """BioQ with a forward pass of every window, from bases that lie ready."""
    from bioq.forward import predict_codes

    model, (codes, rows) = _model(options), _codes(options)
    edited = codes.copy()
    edited[rows[:, 0], rows[:, 1]] = rows[:, 2]

    def call() -> Any:
        return np.concatenate(
            [
                predict_codes(model, edited[start : start + BATCH])
                - predict_codes(model, codes[start : start + BATCH])
                for start in range(0, len(codes), BATCH)
            ]
        )

    return call


def tangermeme(options: argparse.Namespace, case: str) -> Call:
    from tangermeme.variant_effect import substitution_effect

    model, windows, rows = BothStrands(Probability(_model(options))), *_windows(options)

    def call() -> Any:
        result = substitution_effect(model, windows, rows, batch_size=BATCH, device="cpu")
        return (result.y_after - result.y_before).numpy()

    return call


def selene(options: argparse.Namespace, case: str) -> Call:
    import h5py

    output_folder = options.folder / f"contender-{options.turns_of}"
    analysis = load_selene(
        _model(options), output_folder, options.folder / "genome.fa", batch_size=BATCH
    )

    def call() -> Any:
        analysis.variant_effect_prediction(
            str(options.folder / "snvs.vcf"),
            ["diffs"],
            str(output_folder / "out"),
            output_format="hdf5",
        )
        with h5py.File(output_folder / "out" / "snvs_diffs.h5") as file:
            return file["data"][:]

    return call


def generate(folder: Path, options: argparse.Namespace) -> None:
    genome = write_genome(folder / "genome.fa", 20_000 if options.tiny else 2_000_000)
    window_bp = window_bp_of(_model(options))
    write_snvs(folder / "snvs.vcf", genome, options.variants, window_bp=window_bp)


def _model(options: argparse.Namespace) -> torch.nn.Module:
    torch.set_num_threads(options.threads)
    return lively_model(options.model, tiny=options.tiny)


def _windows(options: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the genome's windows one-hot, and (row, place, base) of each SNV."""
    codes, rows = _codes(options)
    return one_hot(codes), torch.from_numpy(rows)


def _codes(options: argparse.Namespace) -> tuple[dna.Bytes, Any]:
    """Return the genome's windows as codes, and (row, place, base) of each SNV."""
    folder, window_bp = options.folder, window_bp_of(_model(options))
    middle = window_bp // 2 - 1  # index 499 of 1000: DeepSEA's centring
    letters = "".join((folder / "genome.fa").read_text().splitlines()[1:])
    codes = dna.encode(letters)
    records = [line.split() for line in (folder / "snvs.vcf").read_text().splitlines()[3:]]
    starts = [int(record[1]) - 1 - middle for record in records]
    windows = np.stack([codes[start : start + window_bp] for start in starts])
    bases = ["ACGT".index(record[4]) for record in records]
    rows = [[row, middle, base] for row, base in enumerate(bases)]
    return windows, np.array(rows)


def _edited(windows: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    edited = windows.clone()
    edited[rows[:, 0], :, rows[:, 1]] = 0
    edited[rows[:, 0], rows[:, 2], rows[:, 1]] = 1
    return edited


CONTENDERS = (
    Contender("PyTorch eager loop", loop, ("torch",)),
    Contender("BioQ", bioq, ours=True, tolerance=2e-5),
    Contender("BioQ, nothing shared", each, ours=True, tolerance=2e-5),
    Contender("tangermeme", tangermeme, ("tangermeme",)),
    Contender("Selene SDK", selene, ("selene-sdk",)),
)

if __name__ == "__main__":
    arguments = parser(__doc__, rounds=3)
    arguments.add_argument("--model", default="bioq", help="such as beluga or 'danq gates=hard'")
    arguments.add_argument("--variants", type=int, default=128)
    chosen = parse(arguments, tiny={**TINY, "variants": 20})
    targets = targets_of(tiny=chosen.tiny)
    main(
        chosen,
        CONTENDERS,
        {f"{chosen.model}, {chosen.variants} SNVs, {targets} targets": chosen.variants},
        subject="variants",
        unit="SNVs",
        generate=generate,
    )
