"""`bioq calibrate`."""

from pathlib import Path

from bioq.cli.options import Device
from bioq.cli.tables import print_table
from bioq.dataset import open_dataset
from bioq.evaluation.fit_calibration import calibrate as calibrate_run
from bioq.forward import BATCH_SIZE
from bioq.progress import say
from bioq.runs.calibration import CALIBRATION_FILE, Calibration

_NAMES = {"log_loss": "log loss", "brier": "Brier score", "calibration_error": "calibration error"}


def calibrate(
    run: Path,
    dataset: Path,
    /,
    *,
    device: Device = None,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Calibrate a run's probabilities on the validation split.

    Fits the lowest probability that the run reports and writes it to RUN/calibration.json. From
    then on every command reports calibrated probabilities. The order of windows and of targets by
    probability does not change. To undo it, delete the file.

    For example:

        bioq calibrate run yeast

    Parameters
    ----------
    run
        Run folder, written by 'bioq train'.
    dataset
        Data set folder with the run's targets; its validation split is read.
    batch_size
        Windows per forward pass.
    """
    calibration = calibrate_run(run, open_dataset(dataset), device=device, batch_size=batch_size)
    print_table(_rows(calibration))
    say("on the windows it was fitted on; 'bioq evaluate' scores other windows")
    print(run / CALIBRATION_FILE)


def _rows(calibration: Calibration) -> list[list[str]]:
    rows = [["", "before", "after"]]
    for key, name in _NAMES.items():
        rows.append([name, f"{calibration.before[key]:.5f}", f"{calibration.after[key]:.5f}"])
    return [*rows, ["lowest probability", "0", f"{calibration.lowest:.3g}"]]
