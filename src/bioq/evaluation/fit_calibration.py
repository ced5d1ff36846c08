"""`calibrate`: fits the calibration of a run on the split `valid` of a data set."""

from pathlib import Path

from bioq import metrics
from bioq.dataset import Dataset, open_dataset, require_undamaged
from bioq.errors import BioqError
from bioq.evaluation.data_match import require_match
from bioq.evaluation.predictions import predict_labelled
from bioq.evaluation.summary import VALID, Labels, Probability
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

    It replaces an earlier calibration. `predict` and every other function that returns
    probabilities then returns calibrated probabilities, as long as the run has the same weights.
    Raises BioqError if the run and the data set do not fit together, or the split is missing or
    has only positive or only negative labels.
    """
    run = Path(run)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    require_undamaged(data, [VALID])
    model = load(run, calibrated=False)
    require_match(run, model, data)
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
    calibration = Calibration(
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
    write_calibration(calibration, run)
    return calibration


def _scores(labels: Labels, probability: Probability) -> dict[str, float]:
    return {
        "log_loss": metrics.log_loss(labels, probability),
        "brier": metrics.brier(labels, probability),
        "calibration_error": metrics.reliability(labels, probability).expected_error,
    }
