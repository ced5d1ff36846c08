"""Genomes, intervals, variants and their files. Coordinates are 0-based and half-open."""

from bioq.genome.bed import Bed, read_bed
from bioq.genome.chrom_alias import ChromAlias, open_names, read_chrom_alias
from bioq.genome.contigs import NO_ALIAS, ContigNames, find_region
from bioq.genome.fasta import Genome, open_genome
from bioq.genome.located import Located, locate
from bioq.genome.notation import Interval

__all__ = [
    "NO_ALIAS",
    "Bed",
    "ChromAlias",
    "ContigNames",
    "Genome",
    "Interval",
    "Located",
    "find_region",
    "locate",
    "open_genome",
    "open_names",
    "read_bed",
    "read_chrom_alias",
]
