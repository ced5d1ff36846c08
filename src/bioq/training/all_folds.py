"""`--fold all`: a training for each fold in turn, into OUT/fold-1, OUT/fold-2, ..., OUT/ensemble.

The folder as a whole is resumed: the folds that are finished are left alone.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bioq.dataset import Dataset, open_dataset
from bioq.dataset.folds import ALL, Fold, fold_folder
from bioq.errors import BioqError, UsageError
from bioq.files import FolderKind, require_absent
from bioq.models import ModelSizes
from bioq.progress import say
from bioq.runs.ensemble import make_ensemble
from bioq.runs.folder import CONFIG, FOLDER_KIND, read_config
from bioq.runs.weights import weights_sha256
from bioq.tables.resume import refuse_both
from bioq.training.distributed import is_rank
from bioq.training.interrupted import (
    AllFolds,
    progress_of,
    require_not_read,
    resume_command,
)
from bioq.training.plan import TrainingRequest, make_plan, plan_to_resume, request_from_options
from bioq.training.train import run_training

ENSEMBLE = "ensemble"
"""The folder of the ensemble of all folds."""
FOLDS_KIND = FolderKind(f"{fold_folder(1)}/{CONFIG}", ("fold-*", ENSEMBLE))
"""The folder of the runs of all folds."""


@dataclass(frozen=True)
class FoldRun:
    """The training of one fold."""

    run: Path
    request: TrainingRequest
    resume: bool
    """Whether the run is there and continues."""
    part_of: AllFolds


def train_all_folds(
    data: Dataset | Path,
    out: Path,
    request: TrainingRequest,
    *,
    resume: bool = False,
    force: bool = False,
) -> list[Path]:
    """Train a model for each fold in turn into `out`, make an ensemble of them, and return the run
    folders, that of the ensemble last.

    With `resume` the finished folds are skipped, an interrupted fold goes on from its checkpoint,
    and the others begin with the options of the first. Raises what `run_training` raises, and
    BioqError if the data set has no folds or `out` exists (with `force` it is replaced, if it has
    runs of folds only).
    """
    opened = data if isinstance(data, Dataset) else open_dataset(data)
    folds = folds_to_train(opened, out, request, resume=resume, force=force)
    if force and out.exists():
        shutil.rmtree(out)
    for fold in folds:
        of_fold = fold.request
        if fold.run.name != fold_folder(1):  # the model that was chosen for the first
            of_fold = replace(_as_started(opened, out, request), fold=of_fold.fold)
        run_training(opened, fold.run, of_fold, resume=fold.resume, part_of=fold.part_of)
    runs = [out / fold_folder(number) for number in range(1, opened.folds + 1)]
    _make_ensemble(runs, out / ENSEMBLE)
    return [*runs, out / ENSEMBLE]


def _make_ensemble(runs: Sequence[Path], ensemble: Path) -> None:
    """Make the ensemble of the runs, unless it is there, of the same weights."""
    if (ensemble / CONFIG).is_file():
        weights = [member["weights"] for member in read_config(ensemble).members]
        if weights == [weights_sha256(run) for run in runs]:
            return
    make_ensemble(runs, ensemble, force=True)


def folds_to_train(
    data: Dataset, out: Path, request: TrainingRequest, *, resume: bool, force: bool
) -> list[FoldRun]:
    """Return the folds that are not finished, in turn; removes nothing. Raises BioqError if they
    cannot be trained into `out`."""
    refuse_both(resume=resume, force=force)
    _require_one_machine(request)
    if not data.folds or data.chosen is not None:
        found = "no folds" if not data.folds else f"the fold {data.chosen} chosen"
        raise BioqError(
            f"--fold {ALL}: {data.path} has {found}; expected a data set with folds, made by "
            "'bioq data peaks --folds 5'"
        )
    if resume:
        request = _as_started(data, out, request)
    else:
        _require_room(data, out, request, force=force)
    folds = []
    for number in range(1, data.folds + 1):
        fold = Fold(number, data.folds)
        run = out / fold_folder(number)
        of_fold = replace(request, fold=str(fold))
        is_begun = resume and (run / CONFIG).is_file()
        if is_begun and progress_of(run).is_finished:
            plan_to_resume(run, of_fold, data.fold(number))  # raises for another data set
            say(f"fold {fold}: {run} is finished")
        else:
            folds.append(FoldRun(run, of_fold, is_begun, AllFolds(out, data.folds - number)))
    return folds


def _require_one_machine(request: TrainingRequest) -> None:
    if is_rank() or request.config.nodes > 1:
        raise UsageError(
            f"--fold {ALL} on several machines, or under torchrun or srun: start a command for "
            "each fold instead, such as --fold 1/5"
        )


def _as_started(data: Dataset, out: Path, request: TrainingRequest) -> TrainingRequest:
    """Return the options that the first fold was started with, and the caller's options of how the
    training runs. Raises UsageError for other options, BioqError if no fold was started."""
    first = out / fold_folder(1)
    if not (first / CONFIG).is_file():
        raise BioqError(f"{first}: is no run, so no fold was started; run without --resume")
    fold = Fold(1, data.folds)
    plan = plan_to_resume(first, replace(request, fold=str(fold)), data.fold(1))
    options, default = plan.options(), TrainingRequest().options()
    if plan.network is not None:  # by the copy of the first fold, which cannot have changed
        options["model"] = f"{plan.network.file}:{plan.network.function}"
    if plan.source is not None:  # its run decides the network, which no option may name
        options |= {name: default[name] for name in ("model", *asdict(ModelSizes()))}
    return request_from_options(options)


def _require_room(data: Dataset, out: Path, request: TrainingRequest, *, force: bool) -> None:
    """Raise BioqError if `out` exists and has a file; with `force` if it has anything but runs of
    folds, or the options are wrong. A file that a killed command left does not count."""
    if out.is_dir() and all(path.match(".*.part") for path in out.iterdir()):  # nothing began
        return
    if force:
        require_not_read(out, data.path, request.from_run)
    elif (out / FOLDS_KIND.marker).is_file():
        raise BioqError(
            f"{out}: has runs of folds; '{resume_command(data.path, out, AllFolds(out, 0))}' "
            "trains those that are not finished; or give a folder that does not exist, or --force "
            "to replace this one"
        )
    require_absent(out, replaces=FOLDS_KIND if force else None)
    if out.exists():
        for run in (*out.glob("fold-*"), *out.glob(ENSEMBLE)):
            require_absent(run, replaces=FOLDER_KIND)
        make_plan(request, data.fold(1))
