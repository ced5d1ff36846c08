"""`calibrate`: fits the calibration of a run on the split `valid` of a data set."""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from bioq.dataset import BLOCK_BP, Dataset, label_kinds, open_dataset, require_undamaged
from bioq.errors import BioqError, counted
from bioq.evaluation.calibration_choice import Selection, select
from bioq.evaluation.data_match import require_match
from bioq.evaluation.predictions import predict_labelled
from bioq.evaluation.summary import VALID
from bioq.files import require_absent
from bioq.forward import BATCH_SIZE
from bioq.metrics import MIN_BLOCKS
from bioq.models.device import choose_device
from bioq.options import path_to, whole_number
from bioq.runs.calibration import CALIBRATION_FILE, Calibration, write_calibration
from bioq.runs.folder import read_config
from bioq.runs.named import require_own, resolve_run
from bioq.runs.trained_model import checksum_of, load
from bioq.runs.training_data import with_fold_of


@dataclass(frozen=True)
class Calibrated:
    """The result of `calibrate`."""

    calibration: Calibration | None
    """The calibration that was written; None if no map gains anything."""
    selection: Selection
    """The maps that were compared."""


def calibrate(
    run: str | Path,
    data: Dataset | str | Path,
    *,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    force: bool = False,
) -> Calibrated:
    """Fit a run's calibration on the split `valid`; write RUN/calibration.json if it gains.

    `predict` and every other function that returns probabilities then returns calibrated
    probabilities, as long as the run has the same weights. The calibration of an ensemble is fitted
    to the mean of its members' probabilities, each calibrated if the member is, and is applied to
    this mean, as long as no member changes.

    Args:
        run: The run: a folder, a name or an address.
        data: The data set, open or its folder.
        device: Where to compute; by default the first CUDA card, else the CPU.
        batch_size: Windows per forward pass.
        force: Replace or remove a calibration that the run has.

    Returns:
        The calibration that was written, None if no map gains anything (then there is no file
        afterwards), and the maps that were compared.

    Raises:
        BioqError: If the run has a calibration already, without `force`; if the run and the data
            set do not fit together; if the split is missing, has no target with both positive and
            negative windows, or covers too little of the genome.
    """
    run, there = resolve_run(run), choose_device(device)
    require_own(run, f"copy the run and calibrate the copy: 'cp -r {quote(str(run))} COPY'")
    batch_size = whole_number("batch_size", batch_size, least=1)
    data = data if isinstance(data, Dataset) else open_dataset(path_to("data", data))
    data = with_fold_of(run, read_config(run), data)
    require_undamaged(data, [VALID])
    model = load(run, calibrated=False)
    require_match(run, model, data)
    require_absent(run / CALIBRATION_FILE, force=force)
    positives = _require_labels(data)
    split = data[VALID]
    checksum = checksum_of(model)
    labels, probability = predict_labelled(
        [(model.to(there), slice(None))],
        split,
        run,
        strands="both",
        batch_size=batch_size,
        precision="32",
    )
    selection = select(labels, probability, split.blocks())
    if selection.map is None or selection.best is None:
        (run / CALIBRATION_FILE).unlink(missing_ok=True)  # with force only
        return Calibrated(None, selection)
    best = selection.best
    calibration = Calibration(
        name=best.name,
        map=selection.map,
        weights=checksum,
        data={
            "name": data.path.resolve().name,
            "fingerprint": data.fingerprint,
            "split": VALID,
            "windows": len(split),
            "positives": positives,
        },
        before=selection.before,
        after=selection.after,
        gain={
            "mean": best.gain,
            "low": best.low,
            "high": best.high,
            "blocks": selection.comparison.blocks,
        },
    )
    write_calibration(calibration, run)
    return Calibrated(calibration, selection)


def _require_labels(data: Dataset) -> int:
    """Return the positive labels of `valid`; raise BioqError if no map can be judged on it."""
    label_kinds(data, VALID).require_both("a calibration cannot be judged")
    split = data[VALID]
    positives = int(split.positives().sum())
    blocks = int(split.blocks().max()) + 1
    if blocks < MIN_BLOCKS:
        raise BioqError(
            f"{data.path}: split {VALID!r} covers {counted(blocks, 'block')} of {BLOCK_BP:,} bp; a "
            f"calibration is judged on at least {MIN_BLOCKS}: take a data set with more of the "
            "genome to validate on"
        )
    return positives
