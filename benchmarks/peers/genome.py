"""A random genome and SNVs on it, for the contenders that read files."""

from pathlib import Path

import numpy as np

from bioq import dna

CONTIG = "chr1"


def write_genome(path: Path, length: int) -> dna.Bytes:
    """Write a FASTA of one contig with its index; returns its bases as codes."""
    import pysam

    codes = np.random.default_rng(2).integers(0, 4, length, dtype=np.uint8)
    lines = [dna.decode(codes[start : start + 60]) for start in range(0, length, 60)]
    path.write_text(f">{CONTIG}\n" + "\n".join(lines) + "\n")
    pysam.faidx(str(path))
    return codes


def write_snvs(path: Path, genome: dna.Bytes, variants: int) -> None:
    """Write a VCF of SNVs at sorted random places, away from the ends."""
    random = np.random.default_rng(3)
    positions = np.sort(random.choice(np.arange(1000, len(genome) - 1000), variants, replace=False))
    others = (genome[positions] + random.integers(1, 4, variants)) % 4
    with open(path, "w") as file:
        file.write("##fileformat=VCFv4.2\n")
        file.write(f"##contig=<ID={CONTIG},length={len(genome)}>\n")
        file.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for position, other in zip(positions, others, strict=True):
            letters = f"{'ACGT'[genome[position]]}\t{'ACGT'[other]}"
            file.write(f"{CONTIG}\t{position + 1}\t.\t{letters}\t.\t.\t.\n")
