"""Which bases a prediction depends on: saturation mutagenesis, gradients, motifs of filters."""

from bioq.interpretation.attribution import AttributionOptions, attribution_file
from bioq.interpretation.gradients import (
    Attribution,
    expected_gradients,
    input_x_gradient,
    integrated_gradients,
)
from bioq.interpretation.jobs import ExplainJob, ExplainOptions, mutagenesis_file
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.sites import Site, find_sites
from bioq.interpretation.writing import Explanation

__all__ = [
    "Attribution",
    "AttributionOptions",
    "ExplainJob",
    "ExplainOptions",
    "Explanation",
    "Site",
    "attribution_file",
    "expected_gradients",
    "find_sites",
    "input_x_gradient",
    "integrated_gradients",
    "mutagenesis_file",
    "mutate_window",
]
