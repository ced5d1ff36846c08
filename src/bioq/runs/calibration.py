"""The calibration of a run: one number that raises its probabilities, and its file.

A network that has seen few positives of a target learns to predict 1 in a million where 1 in a
thousand is positive. A calibrated probability is `lowest + (1 - lowest) * probability`: with chance
`lowest` a label is positive whatever the window, else with the network's probability. The map is
increasing, so that no ROC AUC or average precision changes. Measurements of other maps:
`docs/calibration.md`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bioq.errors import BioqError
from bioq.files import read_json, write_json

FORMAT = "bioq-calibration"
FORMAT_VERSION = 1
CALIBRATION_FILE = "calibration.json"
_REMEDY = "calibrate the run again, or remove the file"
_CHUNK_ROWS = 4096

Probability = TypeVar("Probability", npt.NDArray[np.float32], Tensor)


@dataclass(frozen=True)
class Calibration:
    """The content of `calibration.json`."""

    lowest: float
    """The lowest calibrated probability, in [0, 1)."""
    weights: str
    """Checksum of the weights that it was fitted to (`runs.weights.weights_checksum`)."""
    data: Mapping[str, Any]
    """Its data: name and fingerprint of the data set, split, windows, positives."""
    before: Mapping[str, float]
    """Log loss, Brier score and calibration error of these data before calibration."""
    after: Mapping[str, float]
    """The same scores after calibration."""

    def __call__(self, probability: Probability) -> Probability:
        """Return calibrated probabilities, an array or tensor of any shape."""
        return probability * (1 - self.lowest) + self.lowest


def fit_lowest(labels: npt.NDArray[np.uint8], probability: npt.NDArray[np.floating[Any]]) -> float:
    """Return the `lowest` of maximum likelihood, for `(windows, targets)` arrays.

    The likelihood of a negative is (1 - lowest) (1 - probability): of the negatives only their
    number counts. The log likelihood is concave, so its maximum, where the slope is zero, is found
    by bisection, to the last bits of float64.
    """
    of_positives = [
        probability[start : start + _CHUNK_ROWS][labels[start : start + _CHUNK_ROWS] == 1]
        for start in range(0, len(labels), _CHUNK_ROWS)
    ]
    positives = np.concatenate(of_positives).astype(np.float64)
    negatives = labels.size - len(positives)

    def likelihood_rises(lowest: float) -> bool:
        with np.errstate(divide="ignore"):
            gained = ((1 - positives) / (lowest + (1 - lowest) * positives)).sum()
        return bool(gained > negatives / (1 - lowest))

    low, high = 0.0, 1.0
    if not likelihood_rises(low):
        return 0.0
    for _ in range(80):  # down to the smallest probabilities that float32 holds
        middle = (low + high) / 2
        low, high = (middle, high) if likelihood_rises(middle) else (low, middle)
    return low


def read_calibration(run: Path) -> Calibration | None:
    """Return a run's calibration; None if it has none. Raises BioqError if the file is damaged."""
    file = run / CALIBRATION_FILE
    if not file.is_file():
        return None
    content = read_json(
        file, what="a calibration", kind=FORMAT, version=FORMAT_VERSION, remedy=_REMEDY
    )
    try:
        calibration = Calibration(
            **{field.name: content[field.name] for field in fields(Calibration)}
        )
        if not 0 <= calibration.lowest < 1:
            raise ValueError(f"lowest is {calibration.lowest}")
    except (KeyError, TypeError, ValueError) as error:
        raise BioqError(f"{file}: is not a calibration ({error}); {_REMEDY}") from error
    return calibration


def write_calibration(calibration: Calibration, run: Path) -> Path:
    """Write RUN/calibration.json in one step, replacing an earlier file; return its path."""
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(calibration)}
    write_json(run / CALIBRATION_FILE, content)
    return run / CALIBRATION_FILE
