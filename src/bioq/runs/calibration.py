"""The calibration of a run: a map from its probabilities to calibrated ones, and its file.

The map is increasing, so that no ROC AUC or average precision of a target changes. How it is fitted
and chosen: `evaluation.calibration_choice`; measurements: `docs/how-to/calibration.md`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.files import read_json, write_json
from bioq.files.inside import kept_file

if TYPE_CHECKING:  # PyTorch takes a second to load, and most readers of a run need none of it
    from torch import Tensor

FORMAT = "bioq-calibration"
FORMAT_VERSION = 2
CALIBRATION_FILE = "calibration.json"
TAIL = 0.01
"""The `tail` of new maps: with 0, float32 would round all probabilities far below `lowest` to the
same number. With 0.01 the order of probabilities stays, and 1e-10 becomes 0.8 `lowest`."""
_OLD_VERSION = 1
_OLD_MAP = "floor"
_REMEDY = "calibrate the run again, or remove the file"
_SMALLEST, _LARGEST = 2.0**-150, 1 - 2.0**-25  # half a step of float32 away from 0 and 1

Probability = TypeVar("Probability", npt.NDArray[np.float32], "Tensor")


@dataclass(frozen=True)
class CalibrationMap:
    """An increasing map of probabilities.

    `sure = sigmoid(scale * logit(probability) + shift)` is Platt's map (Platt 1999); the calibrated
    probability is `lowest * sure**tail + (1 - lowest) * sure`: with chance `lowest` a label is
    positive whatever the window. Raises ValueError for numbers that are not such a map.
    """

    scale: float = 1.0
    """Above 0; 1 changes nothing."""
    shift: float = 0.0
    lowest: float = 0.0
    """In [0, 1)."""
    tail: float = TAIL
    """From 0, with which no probability is below `lowest`, to 1."""

    def __post_init__(self) -> None:
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ValueError(f"scale is {self.scale}")
        if not math.isfinite(self.shift):
            raise ValueError(f"shift is {self.shift}")
        if not 0 <= self.lowest < 1:
            raise ValueError(f"lowest is {self.lowest}")
        if not 0 <= self.tail <= 1:
            raise ValueError(f"tail is {self.tail}")

    def __call__(self, probability: Probability) -> Probability:
        """Return calibrated probabilities `(..., targets)`, an array or tensor of the same type.

        They are computed in float64 (in float32 on a device without it), so that rounding is the
        only loss of order.
        """
        if not isinstance(probability, np.ndarray):
            tensor: Tensor = self._map(probability).to(probability.dtype)
            return tensor
        return self.of(probability).astype(probability.dtype)

    def of(self, probability: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities `(..., targets)` of an array, not rounded to float32."""
        import torch

        mapped: npt.NDArray[np.float64] = self._map(torch.tensor(probability)).numpy()
        return mapped

    def _map(self, probability: Any) -> Any:
        """Return a tensor of calibrated probabilities of a tensor."""
        import torch

        exact = torch.float32 if probability.device.type == "mps" else torch.float64
        clipped = probability.to(exact).clamp(_SMALLEST, _LARGEST)
        sure = torch.sigmoid(torch.logit(clipped) * self.scale + self.shift)
        mapped = sure * (1 - self.lowest)
        if self.lowest:
            mapped += sure.pow_(self.tail).mul_(self.lowest)
        return mapped


@dataclass(frozen=True)
class Calibration:
    """The content of `calibration.json`."""

    name: str
    """The name of the map, such as "floor after Platt"."""
    map: CalibrationMap
    weights: str
    """Checksum of the weights that it was fitted to (`runs.weights.weights_checksum`)."""
    data: Mapping[str, Any]
    """Its data: name and fingerprint of the data set, split, windows, positives."""
    before: Mapping[str, float]
    """Log loss, Brier score and calibration error of these data before calibration."""
    after: Mapping[str, float]
    """The same scores after calibration, cross-validated; in version 1 not cross-validated."""
    gain: Mapping[str, float] = field(default_factory=dict)
    """How much the log loss falls: mean, low and high (95 % interval), blocks; {} in version 1."""

    def __call__(self, probability: Probability) -> Probability:
        """Return calibrated probabilities `(..., targets)`, an array or tensor."""
        return self.map(probability)

    def gained(self) -> str:
        """Return what was gained, for people."""
        before, after = self.before["log_loss"], self.after["log_loss"]
        if not self.gain:
            return f"log loss from {before:.5f} to {after:.5f} on the labels it was fitted on"
        return (
            f"cross-validated log loss from {before:.5f} to {after:.5f}, lower by "
            f"{self.gain['low']:.5f} to {self.gain['high']:.5f} (95 % interval over "
            f"{self.gain['blocks']:,} blocks of the genome)"
        )

    def identity(self) -> bytes:
        """Return bytes that are equal for equal maps; those of version 1 have not changed."""
        if self.map == CalibrationMap(lowest=self.map.lowest, tail=0):
            return f"lowest {self.map.lowest!r}".encode()
        return repr(self.map).encode()


def read_calibration(run: Path) -> Calibration | None:
    """Return a run's calibration; None if it has none. Raises BioqError if the file is damaged."""
    file = run / CALIBRATION_FILE
    if kept_file(run, CALIBRATION_FILE) is None:
        return None
    content = read_json(
        file,
        what="a calibration",
        kind=FORMAT,
        version=FORMAT_VERSION,
        older=(_OLD_VERSION,),
        remedy=_REMEDY,
        shape=_File,
    )
    try:
        return _parsed(content)
    except ValueError as error:
        raise BioqError(f"{file}: is not a calibration ({error}); {_REMEDY}") from error


def write_calibration(calibration: Calibration, run: Path) -> Path:
    """Write RUN/calibration.json in one step, replacing an earlier file; return its path."""
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(calibration)}
    write_json(run / CALIBRATION_FILE, content)
    return run / CALIBRATION_FILE


def _parsed(content: Mapping[str, Any]) -> Calibration:
    """Return the calibration; raises ValueError if a number is out of its range."""
    shared = {name: content[name] for name in ("weights", "data", "before", "after")}
    if content["format_version"] == _OLD_VERSION:
        old = CalibrationMap(lowest=_required(content, "lowest"), tail=0)
        return Calibration(name=_OLD_MAP, map=old, **shared)
    numbers = _required(content, "map")
    new = CalibrationMap(
        **{name: float(_required(numbers, name)) for name in asdict(CalibrationMap())}
    )
    name, gain = _required(content, "name"), _required(content, "gain")
    return Calibration(name=name, map=new, gain=gain, **shared)


def _required(content: Mapping[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"it has no {name}")
    return content[name]


class _Scores(TypedDict):
    log_loss: float


class _Gain(TypedDict):
    low: float
    high: float
    blocks: int


class _Data(TypedDict, total=False):
    name: str
    fingerprint: str
    split: str
    windows: int


class _File(TypedDict):
    """The content of `calibration.json` of both versions."""

    weights: str
    data: _Data
    before: _Scores
    after: _Scores
    name: NotRequired[str]
    map: NotRequired[CalibrationMap]
    gain: NotRequired[_Gain]
    lowest: NotRequired[float]
