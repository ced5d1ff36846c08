"""Scores of the alleles of a VCF by a trained model: one row per allele, in input order."""

from bioq.genome.alleles import STATUSES
from bioq.variants.background import Background
from bioq.variants.background_file import read_background
from bioq.variants.columns import COLUMN_MEANING, COLUMNS
from bioq.variants.frames import score_variants
from bioq.variants.jobs import VariantJob, make_background, write_variants
from bioq.variants.run_background import own_background, run_background
from bioq.variants.scores import BACKGROUND_SCORES, MEMBER_SCORES, SCORES
from bioq.variants.scoring import BLOCK, VariantOptions
from bioq.variants.summary import Summary
from bioq.variants.table import VariantTableOptions, variant_files

__all__ = [
    "BACKGROUND_SCORES",
    "BLOCK",
    "COLUMNS",
    "COLUMN_MEANING",
    "MEMBER_SCORES",
    "SCORES",
    "STATUSES",
    "Background",
    "Summary",
    "VariantJob",
    "VariantOptions",
    "VariantTableOptions",
    "make_background",
    "own_background",
    "read_background",
    "run_background",
    "score_variants",
    "variant_files",
    "write_variants",
]
