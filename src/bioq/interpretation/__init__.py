"""Which bases and motifs a prediction depends on: saturation mutagenesis, gradients, motifs of
filters, motifs put into windows and taken out."""

from bioq.interpretation.gradients import Attribution, input_x_gradient, integrated_gradients
from bioq.interpretation.jobs import (
    AttributionOptions,
    ExplainJob,
    ExplainOptions,
    attribution_file,
    mutagenesis_file,
)
from bioq.interpretation.motif_experiments.ablation import ablation_effects
from bioq.interpretation.motif_experiments.insertion import insertion_effects
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.writing import Explanation

__all__ = [
    "Attribution",
    "AttributionOptions",
    "ExplainJob",
    "ExplainOptions",
    "Explanation",
    "ablation_effects",
    "attribution_file",
    "input_x_gradient",
    "insertion_effects",
    "integrated_gradients",
    "mutagenesis_file",
    "mutate_window",
]
