"""SNVs to the difference that each makes: BioQ beside tangermeme and Selene.

    python benchmarks/peers/variants.py [--model bioq] [--variants 128] [--threads 1]

A VCF on a random genome, both strands averaged, 919 targets, 64 windows at a time. BioQ and Selene
read the VCF and the FASTA; Selene writes the differences as HDF5. tangermeme and the loop get the
windows as one-hot arrays that lie ready. The SNVs are sorted and their windows do not repeat.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import Call, Contender, main, parser
from genome import write_genome, write_snvs
from lively import TARGETS, lively_model, one_hot
from strands import BothStrands, load_selene

from bioq import dna

BATCH = 64


def loop(options: argparse.Namespace, case: str) -> Call:
    model, windows, rows = BothStrands(_model(options)), *_windows(options.folder)
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
    """BioQ with a forward pass of every window."""
    from bioq import forward as inference

    inference.prepare_edits = lambda model, precision: None
    return bioq(options, case)


def tangermeme(options: argparse.Namespace, case: str) -> Call:
    from tangermeme.variant_effect import substitution_effect

    model, windows, rows = BothStrands(_model(options)), *_windows(options.folder)

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
    genome = write_genome(folder / "genome.fa", 2_000_000)
    write_snvs(folder / "snvs.vcf", genome, options.variants)


def _model(options: argparse.Namespace) -> torch.nn.Module:
    torch.set_num_threads(options.threads)
    return lively_model(options.model)


def _windows(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the genome's windows one-hot, and (row, place, base) of each SNV."""
    letters = "".join((folder / "genome.fa").read_text().splitlines()[1:])
    codes = dna.encode(letters)
    records = [line.split() for line in (folder / "snvs.vcf").read_text().splitlines()[3:]]
    starts = [int(record[1]) - 1 - 499 for record in records]  # index 499: DeepSEA's centring
    windows = np.stack([codes[start : start + 1000] for start in starts])
    bases = ["ACGT".index(record[4]) for record in records]
    rows = [[row, 499, base] for row, base in enumerate(bases)]
    return one_hot(windows), torch.tensor(rows)


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
    arguments.add_argument("--model", default="bioq", help="bioq, danq, danq-jaspar or deepsea")
    arguments.add_argument("--variants", type=int, default=128)
    chosen = arguments.parse_args()
    main(
        chosen,
        CONTENDERS,
        {f"{chosen.model}, {chosen.variants} SNVs, {TARGETS} targets": chosen.variants},
        subject="variants",
        unit="SNVs",
        generate=generate,
    )
