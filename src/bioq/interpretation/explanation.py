"""The explanation of a window: the effects or contributions of its bases, and its scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.inputs import Locus

REFERENCE, LOGIT, BASELINE_LOGIT, GAP = (
    "reference",
    "logit",
    "baseline_logit",
    "completeness_gap",
)
"""Names of a window's scores. `reference` is the probability of the unchanged window: effects are
differences from it."""


@dataclass(frozen=True)
class Explanation:
    """The effects or contributions of the explained bases of one window."""

    locus: Locus
    values: npt.NDArray[np.float32]
    """The effects or contributions of A, C, G and T at each base: `(4, bases, targets)`."""
    scores: Mapping[str, npt.NDArray[np.float32]]
    """The scores of the window: name -> `(targets,)`."""


def contributions(
    bases: dna.Bytes, hypothetical: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the contributions of the window's bases: `(bases, targets)`; 0 for an unknown base."""
    index = np.arange(len(bases))
    of_window = hypothetical[np.minimum(bases, 3), index]
    return np.where((bases < dna.UNKNOWN)[:, None], of_window, np.float32(0))
