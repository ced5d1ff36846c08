"""The calibration of a run: one number that its probabilities are raised by, and where it is kept.

A network that has seen few positives of a target learns to say 1 in a million where 1 in a thousand
comes true. So a calibrated probability is `lowest + (1 - lowest) * probability`: the chance that
a label is positive whatever the model saw, else what the model says. It rises with the probability,
so that no ROC AUC or average precision changes. Other maps were measured: `docs/calibration.md`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from bioq.errors import BioqError
from bioq.files import new_file, read_json

FORMAT = "bioq-calibration"
FORMAT_VERSION = 1
CALIBRATION = "calibration.json"
_REMEDY = "calibrate the run again, or remove the file"
_CHUNK_ROWS = 4096

Probability = TypeVar("Probability", npt.NDArray[np.float32], Tensor)


@dataclass(frozen=True)
class Calibration:
    """What `calibration.json` says."""

    lowest: float
    """The lowest probability there is, in [0, 1)."""
    weights: str
    """Checksum of the weights that it was fitted for."""
    data: Mapping[str, Any]
    """What it was fitted on: name and fingerprint of the data set, split, windows, positives."""
    before: Mapping[str, float]
    """Log loss, Brier score and calibration error there without it."""
    after: Mapping[str, float]
    """The same with it, on the same windows."""

    def __call__(self, probability: Probability) -> Probability:
        """Return calibrated probabilities, of whatever shape."""
        return probability * (1 - self.lowest) + self.lowest


def calibrated(model: nn.Module, probability: Probability) -> Probability:
    """Return the probabilities that a model gave, calibrated where it has a calibration."""
    known = getattr(model, "calibration", None)
    return known(probability) if isinstance(known, Calibration) else probability


def fit_lowest(labels: npt.NDArray[np.uint8], probability: npt.NDArray[np.floating[Any]]) -> float:
    """Return the `lowest` of maximum likelihood, for `(windows, targets)` arrays.

    Of a negative the likelihood is (1 - lowest) (1 - probability), so that only the number of the
    negatives counts, and the probabilities of the positives. Its logarithm is concave: where its
    slope is zero is found by bisection, to float64's last bits.
    """
    given = [
        probability[start : start + _CHUNK_ROWS][labels[start : start + _CHUNK_ROWS] == 1]
        for start in range(0, len(labels), _CHUNK_ROWS)
    ]
    positives = np.concatenate(given).astype(np.float64)
    negatives = labels.size - len(positives)

    def rises(lowest: float) -> bool:
        with np.errstate(divide="ignore"):
            gained = ((1 - positives) / (lowest + (1 - lowest) * positives)).sum()
        return bool(gained > negatives / (1 - lowest))

    low, high = 0.0, 1.0
    if not rises(low):
        return 0.0
    for _ in range(80):  # down to the smallest probabilities that float32 holds
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    return low


def read_calibration(run: Path) -> Calibration | None:
    """Return a run's calibration, None where it has none. Raises BioqError if it is damaged."""
    file = run / CALIBRATION
    if not file.is_file():
        return None
    content = read_json(
        file, what="a calibration", kind=FORMAT, version=FORMAT_VERSION, remedy=_REMEDY
    )
    try:
        found = Calibration(**{field.name: content[field.name] for field in fields(Calibration)})
        if not 0 <= found.lowest < 1:
            raise ValueError(f"lowest is {found.lowest}")
    except (KeyError, TypeError, ValueError) as error:
        raise BioqError(f"{file}: is not a calibration ({error}); {_REMEDY}") from error
    return found


def write_calibration(found: Calibration, run: Path) -> Path:
    """Write RUN/calibration.json in one step, in place of an earlier one; return its path."""
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(found)}
    with new_file(run / CALIBRATION) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return run / CALIBRATION
