"""`bioq calibrate`."""

from pathlib import Path

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
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Have a run's probabilities mean what they say.

    Fits on the split valid how low a probability may be, and keeps it in RUN/calibration.json:
    every command gives calibrated probabilities from then on. Which target or window is more
    probable than another stays as it was. Remove the file to undo it.

    For example:

        bioq calibrate run yeast

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    dataset
        Data set folder with the same targets; its split valid is read.
    device
        cpu, cuda, mps; by default the first CUDA card, else the CPU.
    batch_size
        Windows a forward pass.
    """
    found = calibrate_run(run, open_dataset(dataset), device=device, batch_size=batch_size)
    print_table(_rows(found))
    say("on the windows it was fitted on: 'bioq evaluate' says what it is worth on others")
    print(run / CALIBRATION_FILE)


def _rows(found: Calibration) -> list[list[str]]:
    rows = [["", "before", "after"]]
    for key, name in _NAMES.items():
        rows.append([name, f"{found.before[key]:.5f}", f"{found.after[key]:.5f}"])
    return [*rows, ["lowest probability", "0", f"{found.lowest:.3g}"]]
