"""The three commands with which the demo ends: a variant, its figure, and peak files."""

from pathlib import Path

import numpy as np
import pandas as pd

from bioq import dna
from bioq.builders.simulation.build import FOLDER, SITES, planted_motifs
from bioq.builders.simulation.grammar import CTCF
from bioq.dataset import Dataset
from bioq.genome import open_genome

OUTPUTS = ("scores.tsv", "variant.png", "peaks")
"""What the commands write into the folder of the demo."""
_FROM = 1000
"""The first position of the variant's site, so that its window is inside the contig."""


def next_commands(out: Path, data: Dataset) -> list[tuple[str, list[str]]]:
    """Return the commands, each as what it shows and its words without the program's name.

    They need the files of the demo only, and write into its folder, `out`.
    """
    scores, figure, peaks = (str(out / name) for name in OUTPUTS)
    run, simulation = str(out / "run"), data.path / FOLDER
    genome = ["--genome", str(simulation / "genome.fa")]
    targets = ["--targets", str(simulation / "targets.tsv")]
    sites = pd.read_csv(simulation / SITES, sep="\t")
    site = _variant_in_a_site(data, sites)
    return [
        (
            f"Score a variant, {site}, which breaks a CTCF site:",
            ["variants", run, site, *genome, "--out", scores],
        ),
        (
            "Draw the bases of that site, and how the variant changes them:",
            [
                *("mutagenesis", run, site, *genome),
                *("--targets", CTCF, "--span-bp", "60", "--out", figure),
            ],
        ),
        (
            "Make a data set from peak files, as from your own:",
            ["data", "peaks", *genome, *targets, *_splits(sites), "--out", peaks],
        ),
    ]


def _splits(sites: pd.DataFrame) -> list[str]:
    """Return the options that choose the contigs of the demo's splits: the last two."""
    contigs = sites["chrom"].unique()
    return ["--valid-chrom", str(contigs[-2]), "--test-chrom", str(contigs[-1])]


def _variant_in_a_site(data: Dataset, sites: pd.DataFrame) -> str:
    """Return a variant, such as chr6:20953:G>A, in a CTCF site that the training has not seen: the
    base that the motif needs most becomes the one that it has least."""
    contig = sites["chrom"].iloc[-1]  # the contigs are in order, and the last one is for the test
    of_contig = sites[(sites["chrom"] == contig) & (sites["start"] >= _FROM)]
    of_ctcf = of_contig[of_contig["motif"] == CTCF]
    site = (of_contig if of_ctcf.empty else of_ctcf).iloc[0]
    probabilities = planted_motifs()[site["motif"]].probabilities  # (bases, 4), A, C, G, T
    if site["strand"] == "-":
        probabilities = probabilities[::-1, ::-1]
    at = int(site["start"]) + int(probabilities.max(axis=1).argmax())
    alt = dna.decode(probabilities[at - int(site["start"])].argmin(keepdims=True).astype(np.uint8))
    with open_genome(data.path / FOLDER / "genome.fa") as genome:
        ref = dna.decode(genome.read(contig, at, at + 1))
    return f"{contig}:{at + 1}:{ref}>{alt}"
