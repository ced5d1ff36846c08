"""`bioq calibrate`."""

from pathlib import Path

from bioq.cli.options import Device, Force, Run
from bioq.cli.tables import print_line, print_path, print_table
from bioq.dataset import open_dataset
from bioq.evaluation.calibration_choice import STRETCHES, Selection, Trial
from bioq.evaluation.fit_calibration import calibrate as calibrate_run
from bioq.forward import BATCH_SIZE
from bioq.progress import say
from bioq.runs.calibration import CALIBRATION_FILE
from bioq.runs.folder import BACKGROUND
from bioq.runs.named import resolve_run

_NAMES = {"log_loss": "log loss", "brier": "Brier score", "calibration_error": "calibration error"}
_CONSTANT = "a constant"
"""Each target's share of positives in the split, for every window."""


def calibrate(
    run: Run,
    dataset: Path,
    /,
    *,
    device: Device = None,
    batch_size: int = BATCH_SIZE,
    force: Force = False,
) -> None:
    """Calibrate a run's probabilities on the validation split, if that makes them better.

    Compares several maps of probabilities by cross-validation over stretches of the genome. The
    chosen map is written to RUN/calibration.json only if its log loss is lower, by more than
    chance and in every stretch, and its Brier score is not worse. From then on every command
    reports calibrated probabilities. The order of windows by the probability of a target does not
    change. To undo it, delete the file.

    For example:

        bioq calibrate run yeast

    Parameters
    ----------
    dataset
        Data set folder with the run's targets; its validation split is read.
    batch_size
        Windows per forward pass.
    """
    folder = resolve_run(run)
    file = folder / CALIBRATION_FILE
    earlier = file.exists()
    result = calibrate_run(
        folder, open_dataset(dataset), device=device, batch_size=batch_size, force=force
    )
    if (folder / BACKGROUND).exists() and (earlier or result.calibration is not None):
        say(
            f"note: {folder / BACKGROUND} has the effects of the earlier probabilities, so "
            "'bioq variants' refuses it: make it again with 'bioq background --force'"
        )
    print_table(_maps(result.selection))
    if result.calibration is None:
        removed = f"; the earlier {file} was removed" if earlier else ""
        say(f"nothing is saved: {_reason(result.selection)}{removed}")
        return
    print_line()
    print_table(_scores(result.selection))
    say(f"{result.calibration.name}: {result.calibration.gained()}")
    print_path(file)


def _maps(selection: Selection) -> list[list[str]]:
    rows = [["map", "log loss", "Brier score", "gain", "95 % interval", "better in", ""]]
    unchanged, *trials = selection.comparison.trials
    rows.append([unchanged.name, *_numbers(unchanged), "", "", "", ""])
    for trial in trials:
        mark = "chosen" if trial is selection.best and selection.map is not None else ""
        interval = f"{trial.low:.5f} to {trial.high:.5f}"
        better = f"{trial.stretches} of {STRETCHES}"
        rows.append([trial.name, *_numbers(trial), f"{trial.gain:.5f}", interval, better, mark])
    constant = [f"{selection.constant[key]:.5f}" for key in ("log_loss", "brier")]
    rows.append([_CONSTANT, *constant, "", "", "", ""])
    return rows if selection.map is not None else [row[:-1] for row in rows]


def _numbers(trial: Trial) -> list[str]:
    return [f"{trial.log_loss:.5f}", f"{trial.brier:.5f}"]


def _scores(selection: Selection) -> list[list[str]]:
    rows = [["", "before", "after, cross-validated", _CONSTANT]]
    for key, name in _NAMES.items():
        scores = (selection.before[key], selection.after[key], selection.constant[key])
        rows.append([name, *(f"{score:.5f}" for score in scores)])
    return rows


def _reason(selection: Selection) -> str:
    best = selection.best
    if best is None:
        return "every map makes the Brier score worse"
    if best.gain <= 0:
        return "no map that keeps the Brier score has a lower log loss"
    why = f"it is better in {best.stretches} of {STRETCHES} stretches of the genome only"
    if best.low <= 0:
        why = (
            f"the 95 % interval of this ({best.low:.5f} to {best.high:.5f}, over "
            f"{selection.comparison.blocks:,} blocks of the genome) includes 0"
        )
    return f"with the map '{best.name}' the log loss is lower by {best.gain:.5f}, but {why}"
