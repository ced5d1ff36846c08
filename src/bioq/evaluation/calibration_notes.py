"""Notes of an evaluation about its probabilities: calibrated how, and for which base rate."""

import math
from collections.abc import Sequence

from bioq.dataset import Dataset
from bioq.evaluation.summary import VALID
from bioq.runs.calibration import Calibration
from bioq.runs.trained_model import TrainedModel, calibration_of, is_ensemble, members_of

_TRAIN = "train"
_SAME_RATE = 0.1
"""Base rates that differ by less than a tenth, or by chance, are not worth a note."""


def calibration_notes(data: Dataset, split: str, model: TrainedModel) -> list[str]:
    """Return the notes about the calibration of a model that is scored, and those of the members
    of an ensemble."""
    members = [calibration_of(member) for member in members_of(model)]
    fitted = [calibration for calibration in members if calibration is not None]
    notes = []
    if fitted and len(fitted) < len(members):
        notes.append(f"{len(fitted)} of the {len(members)} members are calibrated, the rest not")
    if is_ensemble(model) and model.calibration is not None:
        fitted.append(model.calibration)
    for calibration in dict.fromkeys(map(_described, fitted)):
        notes.append(f"the probabilities are calibrated: {calibration}")
    if split == VALID and _fitted_on(data, fitted):
        notes.append(
            f"the calibration was fitted on the split {VALID!r} that is scored here: "
            "Brier score and calibration error are too good"
        )
    shift = _base_rate_shift(data, split, VALID if _fitted_on(data, fitted) else _TRAIN)
    return [*notes, *([shift] if shift else [])]


def _described(calibration: Calibration) -> str:
    where = calibration.data
    return (
        f"map '{calibration.name}', fitted on the split {where.get('split', VALID)!r} of "
        f"{where.get('name', 'a data set')} ({where.get('windows', 0):,} windows); "
        f"{calibration.gained()}"
    )


def _fitted_on(data: Dataset, fitted: Sequence[Calibration]) -> bool:
    return data.fingerprint in [calibration.data.get("fingerprint") for calibration in fitted]


def _base_rate_shift(data: Dataset, split: str, fitted_on: str) -> str | None:
    """Return a note if the share of positive labels differs from that of the split `fitted_on`,
    to which the probabilities were fitted."""
    if fitted_on not in data or split == fitted_on:
        return None
    here, there = _positive_rate(data, split), _positive_rate(data, fitted_on)
    by_chance = 3 * math.sqrt(there * (1 - there) * (1 / _labels(data, split)))
    if abs(here - there) < max(_SAME_RATE * there, by_chance):
        return None
    known = f"{here:.1%} of the labels are positive in {split}, {there:.1%} in {fitted_on}"
    third = _TRAIN if fitted_on == VALID else VALID
    if third in data and third != split and len(data[third]):
        known += f", {_positive_rate(data, third):.1%} in {third}"
    direction = "low" if here > there else "high"
    how = "calibrated" if fitted_on == VALID else "learned"
    return (
        f"{known.replace('%', ' %')}: probabilities {how} on {fitted_on} tend to be too "
        f"{direction} here"
    )


def _positive_rate(data: Dataset, split: str) -> float:
    return float(data[split].positives().sum()) / _labels(data, split)


def _labels(data: Dataset, split: str) -> int:
    return max(len(data[split]) * data[split].targets, 1)
