"""The share of positive windows of each target: what a model that ignores the DNA would predict."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq.dataset.targets import NAME
from bioq.evaluation.summary import scored_windows
from bioq.web.evaluated import evaluation_of
from bioq.web.service import Service


@dataclass(frozen=True)
class PositiveRates:
    """The share of positive windows of each target in an evaluation."""

    windows_of: str
    """Which windows: "the split test", "all folds"."""
    rate: npt.NDArray[np.float64]
    """`(targets,)`."""


def positive_rates(service: Service) -> PositiveRates | None:
    """Return the rates in the split of the run's evaluation, of test first; None without one.

    Raises BioqError for a damaged evaluation.
    """
    found = evaluation_of(service.folder)
    if found is None:
        return None
    table, summary = found.evaluation.per_target, found.evaluation.summary
    if list(table[NAME]) != list(service.targets[NAME]):
        return None
    rate = table["positive_rate"].to_numpy(np.float64)
    scored = scored_windows(summary)
    return PositiveRates(scored if "folds" in summary else f"the split {scored}", rate)
