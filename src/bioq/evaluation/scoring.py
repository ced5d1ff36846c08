"""`evaluate`: predicts a split with a run and scores the predictions.

Thresholds are chosen on the split `valid`, never on the split that is scored.
"""

from dataclasses import dataclass
from pathlib import Path

from bioq.dataset import Dataset, Split, label_kinds, open_dataset, require_undamaged
from bioq.dataset.folds import ALL
from bioq.errors import BioqError
from bioq.evaluation.all_bins import sample_of
from bioq.evaluation.calibration_notes import calibration_notes
from bioq.evaluation.cross_validation import Members, cross_validation_notes, members_of_folds
from bioq.evaluation.data_match import require_match
from bioq.evaluation.files import make_folder, require_not_evaluated, write_evaluation
from bioq.evaluation.leaks import TRAIN, leak_notes, source_notes
from bioq.evaluation.predictions import predict_labelled
from bioq.evaluation.published_scores import PublishedTest
from bioq.evaluation.split_scores import choose_thresholds, score
from bioq.evaluation.summary import VALID, About, DataName, Evaluation, Labels, Probability
from bioq.forward import BATCH_SIZE, Precision, Strands
from bioq.models.device import choose_device
from bioq.options import AtLeastOne, check_types, path_to
from bioq.progress import say
from bioq.published.scores import is_published_test, model_with_scores, with_published_scores
from bioq.runs.folder import (
    RunConfig,
    has_history,
    read_config,
    read_history,
    read_members,
)
from bioq.runs.named import require_own, resolve_run
from bioq.runs.same_everywhere import what_to_try
from bioq.runs.trained_model import TrainedModel, calibration_of, load, members_of
from bioq.runs.training_data import with_fold_of


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
    run: str | Path,
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

    Args:
        run: The run: a folder, a name or an address.
        data: The data set, open or its folder.
        out: Write `OUT/evaluation/` instead.
        split: Split to score. Another split than test is written into `RUN/evaluation-SPLIT/`.
        strands: `"both"` averages the probabilities of the two strands.
        device: Where to compute; by default the first CUDA card, else the CPU.
        batch_size: Windows per forward pass.
        precision: Number format of the forward pass.
        force: Replace an earlier evaluation of the same split.

    Returns:
        The scores as `per_target`, a data frame with one row per target, and `summary`, as in
        `summary.json`.

    Raises:
        BioqError: If the run and the data set have other targets or another window length, or the
            split is missing or empty.
        UsageError: For options that are wrong.
    """
    options = EvaluateOptions(split, strands, device, batch_size, precision)
    return evaluate_run(resolve_run(run), data, out, options, force=force)


def evaluate_run(
    run: Path,
    data: Dataset | str | Path,
    out: str | Path | None,
    options: EvaluateOptions,
    *,
    force: bool = False,
) -> Evaluation:
    """Do what `evaluate` does, for the options of `options`."""
    split = options.split
    home = run if out is None else path_to("out", out)
    require_own(home, "give --out, the folder of the evaluation")
    require_not_evaluated(home, split, force=force)
    data = data if isinstance(data, Dataset) else open_dataset(path_to("data", data))
    config = read_config(run)
    members = members_of_folds(run, config, data)
    with_folds = data
    data = with_fold_of(run, config, data) if members is None else data.every_fold()
    require_undamaged(data, {split, VALID, TRAIN})  # TRAIN: for the leaks
    model = load(run)
    require_match(run, model, data)
    if not len(data[split]):
        raise BioqError(f"{data.path}: split {split!r} holds no windows; there is nothing to score")
    label_kinds(data, split).require_both("every score is that of a constant, or undefined")
    model = model.to(choose_device(options.device))
    folder = make_folder(home, split)
    thresholds = None
    if VALID in data and len(data[VALID]):
        thresholds = choose_thresholds(*_predict(model, members, data[VALID], folder, options))
    about = _about(run, home, model, data, options)
    if members is None:
        about["notes"] += leak_notes(_runs(run, config), data, split)
    else:
        about["notes"] += cross_validation_notes(with_folds)
    about["notes"] += source_notes(run, config, with_folds if members else data, split)
    labels, probability = _predict(model, members, data[split], folder, options)
    if members is not None:
        about["folds"] = members.scores(labels, probability, data[split])
    evaluation = score(
        labels,
        probability,
        with_published_scores(data.targets),
        thresholds,
        about,
        data[split].blocks(),
        sample_of(data, split, labels),
        _published_test(config) if is_published_test(data, split) else None,
    )
    _add_advice(evaluation, data, run)
    write_evaluation(evaluation, home)
    for note in about["notes"]:
        say(f"note: {note}")
    return evaluation


def _predict(
    model: TrainedModel,
    members: Members | None,
    split: Split,
    folder: Path,
    options: EvaluateOptions,
) -> tuple[Labels, Probability]:
    """Return the labels and the probabilities of a split, `(windows, targets)`; `members` are those
    that predict each fold. `folder` is for predictions that are too large for memory."""
    return predict_labelled(
        [(model, slice(None))] if members is None else members.pieces(model, split),
        split,
        folder,
        strands=options.strands,
        batch_size=options.batch_size,
        precision=options.precision,
    )


def _about(
    run: Path, home: Path, model: TrainedModel, data: Dataset, options: EvaluateOptions
) -> About:
    """Return what is scored, and how it is predicted."""
    split = options.split
    return {
        "run": home.resolve().name,
        "data": _data_name(data),
        "split": split,
        "windows": len(data[split]),
        "targets": len(data.targets),
        "members": [folder.resolve().name for folder in _runs(run, model.config)],
        "calibrated": model.calibration is not None
        or all(calibration_of(member) is not None for member in members_of(model)),
        "strands": options.strands,
        "precision": options.precision,
        "notes": _notes(data, split, options.strands, model),
    }


def _runs(run: Path, config: RunConfig) -> list[Path]:
    """Return the folders of the members of an ensemble, or the run itself."""
    return [folder for folder, _ in read_members(run, config)] or [run]


def _published_test(config: RunConfig) -> PublishedTest:
    """Return which published model a run is, trained or imported: none of them is any other run,
    and the mean of several."""
    own = None if config.members else model_with_scores(config.model["name"])
    return PublishedTest(own, is_import=config.imported is not None)


def _add_advice(evaluation: Evaluation, data: Dataset, run: Path) -> None:
    """Add what to try to the targets that get the same prediction for every window."""
    found = evaluation.summary.get("same_everywhere")
    if found is None or not found["targets"]:
        return
    config = read_config(run)
    is_of_run = config.data.get("fingerprint") == data.fingerprint and "train" in data
    found["advice"] = what_to_try(
        evaluation.per_target["same_everywhere"].to_numpy() == 1,
        data["train"].positives() if is_of_run else None,
        len(data["train"]) if is_of_run else 0,
        learning_rate=config.recipe.get("learning_rate"),
        epochs=len(read_history(run)) if has_history(run) else 0,
    )


def _data_name(data: Dataset) -> DataName:
    name: DataName = {"name": data.path.resolve().name, "fingerprint": data.fingerprint}
    if data.folds:
        name["fold"] = ALL if data.chosen is None else str(data.chosen)
    return name


def _notes(data: Dataset, split: str, strands: Strands, model: TrainedModel) -> list[str]:
    """Return the warnings about the scores of a split."""
    notes = calibration_notes(data, split, model)
    if VALID not in data or not len(data[VALID]):
        notes.append(
            f"the data set has no split {VALID!r}, so no threshold could be chosen: "
            "accuracy, F1, precision and recall are given at 0.5 only"
        )
    elif label_kinds(data, VALID).is_useless:
        notes.append(
            label_kinds(data, VALID).problem(
                "no threshold could be chosen: accuracy, F1, precision and recall are given at 0.5 "
                "only"
            )
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
