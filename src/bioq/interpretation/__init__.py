"""Which bases a prediction depends on: saturation mutagenesis, gradients, motifs of filters."""

from bioq.interpretation.gradients import Attribution, input_x_gradient, integrated_gradients
from bioq.interpretation.jobs import (
    AttributionOptions,
    ExplainJob,
    ExplainOptions,
    attribution_file,
    mutagenesis_file,
)
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.writing import Explanation

__all__ = [
    "Attribution",
    "AttributionOptions",
    "ExplainJob",
    "ExplainOptions",
    "Explanation",
    "attribution_file",
    "input_x_gradient",
    "integrated_gradients",
    "mutagenesis_file",
    "mutate_window",
]
