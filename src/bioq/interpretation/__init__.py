"""Which bases and motifs a prediction depends on: saturation mutagenesis, gradients, motifs of
filters, motifs put into windows and taken out."""

from bioq.interpretation.attribution import AttributionOptions, attribution_file
from bioq.interpretation.explanation import Explanation
from bioq.interpretation.gradients import (
    Attribution,
    expected_gradients,
    input_x_gradient,
    integrated_gradients,
)
from bioq.interpretation.jobs import ExplainJob, ExplainOptions, mutagenesis_file
from bioq.interpretation.motif_experiments.ablation import ablation_effects
from bioq.interpretation.motif_experiments.insertion import insertion_effects
from bioq.interpretation.motif_experiments.pairs import pair_effects
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.sites import Site, find_sites

__all__ = [
    "Attribution",
    "AttributionOptions",
    "ExplainJob",
    "ExplainOptions",
    "Explanation",
    "Site",
    "ablation_effects",
    "attribution_file",
    "expected_gradients",
    "find_sites",
    "input_x_gradient",
    "insertion_effects",
    "integrated_gradients",
    "mutagenesis_file",
    "mutate_window",
    "pair_effects",
]
