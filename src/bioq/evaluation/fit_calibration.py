"""Fits the calibration of a run on the split `valid` of a data set, and keeps it in the run."""

from pathlib import Path

from bioq import metrics
from bioq.dataset import Dataset, open_dataset
from bioq.errors import BioqError
from bioq.evaluation.files import VALID
from bioq.evaluation.split import Labels, Probability, predict_labelled, require_fit
from bioq.forward import BATCH_SIZE, choose_device
from bioq.runs.calibration import Calibration, fit_lowest, write_calibration
from bioq.runs.trained_model import load
from bioq.runs.weights import weights_checksum


def calibrate(
    run: str | Path,
    data: Dataset | str | Path,
    *,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> Calibration:
    """Fit a run's calibration on the split `valid` and write RUN/calibration.json.

    An earlier one is replaced. From then on `predict` and all that gives probabilities gives
    calibrated ones, until the run's weights are others. Raises BioqError if the run and the data
    set do not fit together, or the split is missing or has labels of one kind only.
    """
    run = Path(run)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    model = load(run, calibrated=False)
    require_fit(run, model, data)
    split = data[VALID]
    positives = int(split.positives().sum())
    if not 0 < positives < len(split) * split.targets:
        raise BioqError(
            f"{data.path}: split {VALID!r} has {positives:,} positive labels of "
            f"{len(split) * split.targets:,}; a calibration needs both kinds: "
            "take a data set with more windows to validate on"
        )
    checksum = weights_checksum(model.network)
    labels, probability = predict_labelled(
        model.to(choose_device(device)),
        split,
        run,
        strands="both",
        batch_size=batch_size,
        precision="32",
    )
    before = _scores(labels, probability)
    lowest = fit_lowest(labels, probability)
    probability *= 1 - lowest  # in place: the probabilities may be larger than memory
    probability += lowest
    found = Calibration(
        lowest=lowest,
        weights=checksum,
        data={
            "name": data.path.resolve().name,
            "fingerprint": data.fingerprint,
            "split": VALID,
            "windows": len(split),
            "positives": positives,
        },
        before=before,
        after=_scores(labels, probability),
    )
    write_calibration(found, run)
    return found


def _scores(labels: Labels, probability: Probability) -> dict[str, float]:
    return {
        "log_loss": metrics.log_loss(labels, probability),
        "brier": metrics.brier(labels, probability),
        "calibration_error": metrics.reliability(labels, probability).expected_error,
    }
