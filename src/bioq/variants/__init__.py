"""Scores of the alleles of a VCF by a trained model: one row per allele, in input order."""

from bioq.genome.alleles import STATUSES
from bioq.variants.background.file import read_background
from bioq.variants.background.of_run import own_background, run_background
from bioq.variants.background.reference import Background
from bioq.variants.columns import COLUMN_MEANING, COLUMNS
from bioq.variants.frames import score_variants
from bioq.variants.jobs import VariantJob, make_background, write_variants
from bioq.variants.outputs.table import VariantTableOptions, variant_files
from bioq.variants.scores import BACKGROUND_SCORES, MEMBER_SCORES, SCORES
from bioq.variants.scoring import BLOCK, VariantOptions
from bioq.variants.summary import Summary

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
