"""A run folder as the next training finds it: absent, interrupted or finished."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from bioq.dataset.folds import ALL, fold_folder
from bioq.errors import BioqError, UsageError
from bioq.files import real, require_absent
from bioq.runs.folder import CONFIG, FOLDER_KIND, read_config
from bioq.training.plan import Plan, recorded_plan
from bioq.training.state import Position, read_position


@dataclass(frozen=True)
class RunProgress:
    """How far the training in a run folder has come."""

    plan: Plan
    position: Position | None
    """None before the first checkpoint."""

    @property
    def is_finished(self) -> bool:
        """Whether `--resume` has nothing left to train."""
        return self.position is not None and self.position.is_finished(self.plan.recipe)

    def place(self) -> str:
        """Return where `--resume` continues, such as `in epoch 3 of 20, step 120 of 455`."""
        position, epochs = self.position, self.plan.recipe.epochs
        if position is None:
            return "before the first checkpoint"
        if position.step == 0:
            return f"after epoch {position.epoch} of {epochs}"
        if position.step == self.plan.steps_per_epoch:
            return f"before the validation of epoch {position.epoch + 1} of {epochs}"
        steps = f"step {position.step:,} of {self.plan.steps_per_epoch:,}"
        return f"in epoch {position.epoch + 1} of {epochs}, {steps}"


def progress_of(run: Path) -> RunProgress:
    """Return how far a run has come. Raises BioqError if `run` is no run, or is damaged."""
    return RunProgress(recorded_plan(run), read_position(run))


@dataclass(frozen=True)
class AllFolds:
    """A command that trains a model for each fold, of which one run is a part."""

    out: Path
    """The folder of the runs."""
    later: int
    """The folds that are trained after this one."""


def resume_command(data: Path, run: Path, part_of: AllFolds | None = None) -> str:
    """Return the command that continues a run, or all folds of which it is a part."""
    out = run if part_of is None else part_of.out
    fold = f" --fold {ALL}" if part_of is not None else ""
    return f"bioq train {shlex.quote(str(data))} --out {shlex.quote(str(out))}{fold} --resume"


def require_new_run(run: Path, data: Path, from_run: Path | None, *, force: bool) -> None:
    """Raise BioqError if `run` exists, unless it is a run and `force` replaces it.

    The line of an interrupted run has the command that continues it. Raises UsageError if `force`
    would remove the data set or the run that the training starts from.
    """
    if force:
        require_not_read(run, data, from_run)
    elif (run / CONFIG).is_file():
        raise BioqError(f"{run}: {_advice(run, data)}")
    require_absent(run, replaces=FOLDER_KIND if force else None)


def require_not_read(out: Path, data: Path, from_run: Path | None) -> None:
    """Raise UsageError if `--force` would remove, with `out`, what the training reads."""
    for option, path in (("--from", from_run), ("the data set", data)):
        if path is not None and real(path).is_relative_to(real(out)):
            raise UsageError(
                f"--force would remove {path}, which this training reads ({option}); "
                "give --out a folder that does not exist"
            )


def _advice(run: Path, data: Path) -> str:
    """Return what is in a run folder, and what to do."""
    new = "give a folder that does not exist, or --force to replace this one"
    try:
        progress = progress_of(run)
    except BioqError:
        return f"exists already; {new}"
    if progress.is_finished:
        return f"has a finished training; {new}"
    return (
        f"has a training that was interrupted {progress.place()}; "
        f"'{resume_command(data_of(run, data), run)}' continues it; or {new}"
    )


def data_of(run: Path, data: Path) -> Path:
    """Return the data set of a run: `data`, or the path in `config.json` if that is another."""
    recorded = Path(read_config(run).data.get("path", data))
    return data if recorded == real(data) else recorded


def where_to_begin(run: Path, data: Path, part_of: AllFolds | None = None) -> str:
    """Return the same as `where_to_resume` for a run that was not begun."""
    if part_of is None or run.name == fold_folder(1):
        return "nothing was written"
    return f"'{resume_command(data, run, part_of)}' goes on with {run.name}"


def where_to_resume(run: Path, data: Path, part_of: AllFolds | None = None) -> str:
    """Return, for the line of an interrupt, what is saved and the command that continues it."""
    command = f"'{resume_command(data, run, part_of)}'"
    try:
        progress = progress_of(run)
    except BioqError:
        return f"{run} has no checkpoint that can be read; start again with --force"
    if progress.is_finished:
        if part_of is not None and part_of.later:
            return f"{run.name} is finished; {command} goes on with the next fold"
        return f"the training is finished: {run}"
    fold = f" of {run.name}" if part_of is not None else ""
    if progress.position is None:
        return f"no step{fold} is saved yet; {command} starts with the first step"
    return f"saved {progress.place()}{fold}; {command} goes on from there"
