"""The second stage: a score that is fitted to two sets of alleles, and applied to others."""

from bioq.variants.second_stage.apply import apply_rank
from bioq.variants.second_stage.fit import Extras, Report, fit_rank

__all__ = ["Extras", "Report", "apply_rank", "fit_rank"]
