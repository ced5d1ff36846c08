"""Which bases a prediction rests on: saturation mutagenesis, and attribution by gradients."""

from bioq.interpretation.gradients import Attribution, input_x_gradient, integrated_gradients
from bioq.interpretation.jobs import (
    AttributionOptions,
    ExplainOptions,
    attribution_file,
    mutagenesis_file,
)
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.writing import Explanation

__all__ = [
    "Attribution",
    "AttributionOptions",
    "ExplainOptions",
    "Explanation",
    "attribution_file",
    "input_x_gradient",
    "integrated_gradients",
    "mutagenesis_file",
    "mutate_window",
]
