"""Whether a data set has the targets and the windows that a run was trained on."""

from pathlib import Path

from bioq.dataset import Dataset
from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.runs.folder import require_window_bp
from bioq.runs.trained_model import TrainedModel


def require_match(run: Path, model: TrainedModel, data: Dataset) -> None:
    """Raise BioqError if a data set has other targets or windows than the model of a run."""
    in_run, in_data = list(model.targets[NAME]), list(data.targets[NAME])
    advice = "take a data set built with the target sheet that the run was trained on"
    if len(in_run) != len(in_data):
        raise BioqError(
            f"{data.path}: has {len(in_data)} targets, the run {run} predicts {len(in_run)}; "
            f"{advice}"
        )
    for number, (expected, name) in enumerate(zip(in_run, in_data, strict=True), start=1):
        if name != expected:
            raise BioqError(
                f"{data.path}: target {number} is {name!r}, in the run {run} it is {expected!r}; "
                f"{advice}"
            )
    require_window_bp(run, model.config, data)
