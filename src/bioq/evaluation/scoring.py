"""`evaluate`: predicts a split with a run, or the mean of several, and scores the predictions.

Thresholds are chosen on the split `valid`, never on the split that is scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bioq.dataset import Dataset, Split, open_dataset, require_undamaged
from bioq.errors import BioqError, UsageError
from bioq.evaluation.calibration_notes import calibration_notes
from bioq.evaluation.data_match import require_match, with_fold_of_all
from bioq.evaluation.files import make_folder, require_not_evaluated, write_evaluation
from bioq.evaluation.leaks import TRAIN, leak_notes
from bioq.evaluation.predictions import predict_labelled
from bioq.evaluation.split_scores import choose_thresholds, score
from bioq.evaluation.summary import VALID, About, DataName, Evaluation, Labels, Probability
from bioq.files import real
from bioq.forward import BATCH_SIZE, Precision, Strands
from bioq.models.device import choose_device
from bioq.options import AtLeastOne, check_types, of_type, path_to
from bioq.progress import say
from bioq.runs.calibration import Calibration
from bioq.runs.folder import CONFIG, has_history, read_config, read_history
from bioq.runs.same_everywhere import what_to_try
from bioq.runs.trained_model import TrainedModel, load


@dataclass(frozen=True)
class EvaluateOptions:
    """The windows to score, and how they are predicted."""

    split: str = "test"
    """Split to score: train, valid or test."""
    strands: Strands = "both"
    """both: average the probabilities of a window and its reverse complement. forward: use the
    window only."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows per forward pass."""
    precision: Precision = "32"
    """Number format of the forward pass: 32 (exact float32), tf32 or bf16."""

    def __post_init__(self) -> None:
        check_types(self)


def evaluate(
    run: str | Path | Sequence[str | Path],
    data: Dataset | str | Path,
    *,
    out: str | Path | None = None,
    split: str = EvaluateOptions.split,
    strands: Strands = EvaluateOptions.strands,
    device: str | None = EvaluateOptions.device,
    batch_size: int = EvaluateOptions.batch_size,
    precision: Precision = EvaluateOptions.precision,
    force: bool = False,
) -> Evaluation:
    """Score the run's best model on one split, and write `RUN/evaluation/`.

    The evaluation of another split than test is written into `RUN/evaluation-SPLIT/`; an earlier
    evaluation of the same split is replaced only with `force`.

    Of several runs the mean of their probabilities is scored (an ensemble: Lakshminarayanan et al.
    2017), with one model in memory at a time; they need `out`, and `OUT/evaluation/` is written.
    With strands="both" the probabilities of the two strands are averaged. The default device is the
    first CUDA card, else the CPU. Raises BioqError if a run and the data set have other targets or
    another window length, or the split is missing or empty; UsageError for options that are wrong,
    and for runs and an `out` that do not go together.
    """
    paths = [run] if isinstance(run, str | Path) else of_type("run", run, Sequence, "a path")
    runs = [path_to("run", path) for path in paths]
    options = EvaluateOptions(split, strands, device, batch_size, precision)
    return evaluate_runs(runs, data, out, options, force=force)


def evaluate_runs(
    runs: Sequence[Path],
    data: Dataset | str | Path,
    out: str | Path | None,
    options: EvaluateOptions,
    *,
    force: bool = False,
) -> Evaluation:
    """Do what `evaluate` does, for the options of `options`."""
    split = options.split
    home = _home(runs, None if out is None else path_to("out", out))
    require_not_evaluated(home, split, force=force)
    data = data if isinstance(data, Dataset) else open_dataset(path_to("data", data))
    data = with_fold_of_all(runs, data)
    require_undamaged(data, {split, VALID, TRAIN})  # TRAIN: for the leaks
    members = [_open_member(path, data, keep=len(runs) == 1) for path in runs]
    if not len(data[split]):
        raise BioqError(f"{data.path}: split {split!r} holds no windows; there is nothing to score")
    device = choose_device(options.device)
    ensemble = _Ensemble(members, make_folder(home, split), device, options)
    calibrations = [member.calibration for member in members]
    about: About = {
        "run": home.resolve().name,
        "data": _data_name(data),
        "split": split,
        "windows": len(data[split]),
        "targets": len(data.targets),
        "members": [member.run.resolve().name for member in members],
        "calibrated": all(calibration is not None for calibration in calibrations),
        "strands": options.strands,
        "precision": options.precision,
        "notes": [
            *_notes(data, split, options.strands, calibrations),
            *leak_notes(runs, data, split),
        ],
    }
    thresholds = None
    if VALID in data and len(data[VALID]):
        thresholds = choose_thresholds(*ensemble.predict(data[VALID]))
    evaluation = score(
        *ensemble.predict(data[split]), data.targets, thresholds, about, data[split].blocks()
    )
    _add_advice(evaluation, data, members)
    write_evaluation(evaluation, home)
    for note in about["notes"]:
        say(f"note: {note}")
    return evaluation


@dataclass(frozen=True, eq=False)
class _Member:
    """A run whose probabilities count."""

    run: Path
    calibration: Calibration | None
    model: TrainedModel | None
    """The model, if it is kept in memory."""

    def load(self) -> TrainedModel:
        """Return the model, with the calibration that was read before."""
        if self.model is not None:
            return self.model
        return load(self.run, calibrated=False).with_calibration(self.calibration)


@dataclass(frozen=True)
class _Ensemble:
    """Runs whose mean probability is scored, and the options of their prediction."""

    members: Sequence[_Member]
    folder: Path
    """The folder of predictions that are too large for memory."""
    device: torch.device
    options: EvaluateOptions

    def predict(self, split: Split) -> tuple[Labels, Probability]:
        """Return the labels and the mean probabilities of a split, `(windows, targets)`."""
        labels, total = self._predict_with(self.members[0], split)
        for member in self.members[1:]:
            total += self._predict_with(member, split)[1]
        if len(self.members) > 1:
            total /= len(self.members)
        return labels, total

    def _predict_with(self, member: _Member, split: Split) -> tuple[Labels, Probability]:
        return predict_labelled(
            member.load().to(self.device),
            split,
            self.folder,
            strands=self.options.strands,
            batch_size=self.options.batch_size,
            precision=self.options.precision,
        )


def _add_advice(evaluation: Evaluation, data: Dataset, members: Sequence[_Member]) -> None:
    """Add what to try to the targets that get the same prediction for every window."""
    found = evaluation.summary.get("same_everywhere")
    if found is None or not found["targets"]:
        return
    run = members[0].run
    config = read_config(run)
    is_of_run = config.data.get("fingerprint") == data.fingerprint and "train" in data
    found["advice"] = what_to_try(
        evaluation.per_target["same_everywhere"].to_numpy() == 1,
        data["train"].positives() if is_of_run else None,
        len(data["train"]) if is_of_run else 0,
        learning_rate=config.recipe.get("learning_rate"),
        epochs=len(read_history(run)) if has_history(run) else 0,
    )


def _open_member(run: Path, data: Dataset, *, keep: bool) -> _Member:
    """Load a run and check it against a data set; `keep` its model in memory."""
    model = load(run)
    require_match(run, model, data)
    return _Member(run, model.calibration, model if keep else None)


def _data_name(data: Dataset) -> DataName:
    name: DataName = {"name": data.path.resolve().name, "fingerprint": data.fingerprint}
    if data.chosen is not None:
        name["fold"] = str(data.chosen)
    return name


def _home(runs: Sequence[Path], out: str | Path | None) -> Path:
    """Return the folder in which `evaluation/` is written."""
    if out is None:
        if len(runs) != 1:
            raise UsageError(f"{len(runs)} runs: give the folder for their evaluation with --out")
        return runs[0]
    seen: set[Path] = set()
    for run in runs:
        if real(run) in seen:
            raise UsageError(f"{run}: is named twice; an ensemble is of different runs")
        seen.add(real(run))
    if (Path(out) / CONFIG).exists():
        raise UsageError(
            f"--out {out}: is a run folder, which holds its own evaluation; give another folder"
        )
    return Path(out)


def _notes(
    data: Dataset, split: str, strands: Strands, calibrations: Sequence[Calibration | None]
) -> list[str]:
    """Return the warnings about the scores of a split."""
    notes = calibration_notes(data, split, calibrations)
    if VALID not in data or not len(data[VALID]):
        notes.append(
            f"the data set has no split {VALID!r}, so no threshold could be chosen: "
            "accuracy, F1, precision and recall are given at 0.5 only"
        )
    elif split == VALID:
        notes.append(
            f"the thresholds were chosen on the split {VALID!r} that is scored here: "
            "the scores at them are too good"
        )
    if split == "train":
        notes.append("the model has seen these windows: every score is too good")
    if data[split].strands_folded and strands == "forward":
        notes.append(
            "the source holds every window on both strands; only the stored strand was scored"
        )
    return notes
