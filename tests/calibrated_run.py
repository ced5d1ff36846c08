"""A run with a calibration that cannot be missed: for tests of whatever reads one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bioq.runs.calibration import Calibration, CalibrationMap, write_calibration
from bioq.runs.trained_model import checksum_of, load

SCORES = {"log_loss": 0.5, "brier": 0.2, "calibration_error": 0.1}


def give_calibration(
    run: Path, map_: CalibrationMap, data: Mapping[str, Any] | None = None
) -> Path:
    """Write a calibration of this map into a run; return the run."""
    calibration = Calibration(
        name="by hand",
        map=map_,
        weights=checksum_of(load(run, calibrated=False)),
        data={"name": "data", "fingerprint": "", "split": "valid", "windows": 20, **(data or {})},
        before=SCORES,
        after=SCORES,
        gain={"mean": 0.1, "low": 0.05, "high": 0.15, "blocks": 9},
    )
    write_calibration(calibration, run)
    return run


def floor(lowest: float) -> CalibrationMap:
    """The map `lowest + (1 - lowest) * probability`."""
    return CalibrationMap(lowest=lowest, tail=0)
