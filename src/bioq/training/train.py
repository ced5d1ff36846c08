"""`train`: from the caller's options to a plan, the network and its state, and the loop."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bioq.dataset import Dataset, open_dataset, require_undamaged
from bioq.dataset.batches import Batches
from bioq.errors import BioqError, UsageError
from bioq.fast.training import training_forward
from bioq.files import real, require_utf8
from bioq.models import ModelSizes
from bioq.models.families import family_named
from bioq.models.source import names_source
from bioq.options import of_type, path_to, text
from bioq.progress import no_progress, say
from bioq.runs.folder import CONFIG, create_run
from bioq.runs.named import resolve_run
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.trust import is_trusting, trusting
from bioq.tables.resume import refuse_both
from bioq.training.distributed import LostError, Ranks, is_rank, joined, rank_name
from bioq.training.first_lines import say_first_lines
from bioq.training.interrupted import AllFolds, require_new_run, where_to_begin, where_to_resume
from bioq.training.launch import start_ranks
from bioq.training.loop import TrainingLoop, require_tensorboard
from bioq.training.plan import (
    AUTO,
    Plan,
    TrainingRequest,
    device_of_run,
    fold_of_run,
    make_plan,
    plan_to_resume,
    request_from_options,
)
from bioq.training.recipes import TrainConfig
from bioq.training.start import start_network
from bioq.training.state import load_state, start_state
from bioq.training.validation import Validation


def train(
    data: Dataset | str | Path,
    run: str | Path,
    *,
    model: str = AUTO,
    sizes: ModelSizes | None = None,
    motifs: str | None = None,
    from_run: str | Path | None = None,
    freeze: bool = False,
    config: TrainConfig | None = None,
    resume: bool = False,
    force: bool = False,
) -> TrainedModel:
    """Train a model on a data set, write a run folder, and return the best model, in eval mode.

    Ctrl-C and SIGTERM end a training in one process after its step, with a checkpoint. With
    `config.devices` or `config.nodes` above 1 the ranks are processes started here, unless torchrun
    or srun has started this process as a rank; all machines must see the folder `run`.

    Args:
        data: The data set, open or its folder; of one with folds, the fold to test: `data.fold(2)`.
        run: Folder to write.
        model: A name of `bioq.models.families.PUBLISHED`; `"auto"` takes `marq`; a network of yours
            is `"my_net.py:build"`, a file and a function in it (docs/how-to/own-network.md).
        sizes: Sizes of the model that differ from the published ones.
        motifs: A JASPAR release, a MEME file, or `"none"`: motifs with which the filters start.
        from_run: Start from the network and the best weights of this run instead.
        freeze: With `from_run`: only the weights of single targets learn.
        config: How to train; by default the recipe for this data set.
        resume: Continue an interrupted run from its last checkpoint with the options that it was
            started with; on a CPU the result is the same, bit for bit, as without the interruption.
        force: Replace a run folder that exists.

    Returns:
        The model of the best epoch, in eval mode.

    Raises:
        UsageError: For options that are wrong or cannot be combined.
        BioqError: If `run` exists (or, with `resume`, is no run of this data), or if the loss
            becomes NaN.
    """
    if text("model", model) != AUTO and not names_source(model):
        family_named(model)  # raises for an unknown name
    source = None if from_run is None else resolve_run(from_run, name="from_run")
    sizes = ModelSizes() if sizes is None else sizes
    request = TrainingRequest(
        model, sizes, motifs, source, freeze, TrainConfig() if config is None else config
    )
    if not isinstance(data, Dataset):
        data = path_to("data", data)
    for name, flag in {"resume": resume, "force": force}.items():
        of_type(name, flag, bool, "True or False")
    return run_training(data, path_to("run", run), request, resume=resume, force=force)


def run_training(
    data: Dataset | str | Path,
    run: Path,
    request: TrainingRequest,
    *,
    resume: bool = False,
    force: bool = False,
    part_of: AllFolds | None = None,
) -> TrainedModel:
    """Do what `train` does, for the options of `request`; `part_of`: as one of the folds that a
    command trains."""
    refuse_both(resume=resume, force=force)
    data = data if isinstance(data, Dataset) else Path(data)
    path = data.path if isinstance(data, Dataset) else data
    before = _identity(run)
    try:
        later_folds = 0 if part_of is None else part_of.later
        _train_ranks(_Training(data, run, request, resume, force, later_folds))
    except UsageError:  # nothing was begun
        raise
    except BaseException as error:  # also the errors that libraries raise in place of an interrupt
        is_ours = _identity(run) is not None and (resume or _identity(run) != before)
        left = (where_to_resume if is_ours else where_to_begin)(run, path, part_of)
        if isinstance(error, LostError):
            left += "" if is_ours else "; start the same command again"
            raise LostError(f"{error}; {left}") from error
        error.add_note(left)
        raise
    return load(run, trust=True)  # its network was executed already


def _identity(run: Path) -> tuple[int, int] | None:
    """Return what tells the folder of a run from another in its place; None if there is no run."""
    try:
        found = (run / CONFIG).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@dataclass(frozen=True)
class _Training:
    """The arguments of a training; those of `run_training`."""

    data: Dataset | Path
    run: Path
    request: TrainingRequest
    resume: bool
    force: bool
    later_folds: int
    """Trainings of other folds that follow in the same command."""


def _train_ranks(training: _Training) -> None:
    """Train in this process, or in ranks that this process starts."""
    data, run, request, resume = training.data, training.run, training.request, training.resume
    if request.fold is None and isinstance(data, Dataset) and data.chosen is not None:
        request = replace(request, fold=str(data.chosen))
    config = request.config
    if resume and config.device is None:
        config = replace(config, device=device_of_run(run))
        request = replace(request, config=config)
    if config.devices * config.nodes > 1 and not is_rank():
        data = data if isinstance(data, Dataset) else open_dataset(data)
        start_ranks(
            "bioq.training.train:train_rank",
            {
                "data": str(data.path),
                "run": str(run),
                "request": request.options(),
                "resume": resume,
                "force": training.force,
                "later_folds": training.later_folds,
                "trust": is_trusting(),
            },
            device=config.device,
            devices=config.devices,
            nodes=config.nodes,
            folder=run,
        )
    else:
        _train(replace(training, request=request))


def train_rank(
    data: str,
    run: str,
    request: dict[str, Any],
    resume: bool,
    force: bool,
    later_folds: int,
    trust: bool,
) -> None:
    """Train as one of the ranks that `train` starts."""
    options = request_from_options(request)
    with trusting(trust):
        _train(_Training(Path(data), Path(run), options, resume, force, later_folds))


def _train(training: _Training) -> None:
    """Train in this process, together with the other ranks if it is one of several."""
    run, request, resume = training.run, training.request, training.resume
    config = request.config
    if config.tensorboard:
        require_tensorboard()
    with joined(config.device, config.devices, config.nodes) as ranks, ExitStack() as stack:
        if not ranks.is_first:
            stack.enter_context(no_progress())
        data = open_data(training.data, ranks, fold_wanted(request, run, resume=resume))
        if not resume:
            with ranks.agreed():
                if ranks.is_first:
                    require_new_run(run, data.path, request.from_run, force=training.force)
        with ranks.agreed():
            config = replace(config, devices=ranks.local, nodes=ranks.world // ranks.local)
            request = replace(request, config=config)
            plan = plan_to_resume(run, request, data) if resume else make_plan(request, data)
        if not resume:
            with ranks.agreed():
                if ranks.is_first:
                    say_first_lines(request, plan, data)
        cuda = [ranks.device] if ranks.device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices=cuda))
        with ranks.agreed():
            network, note = start_network(plan, data, run, resume=resume)
        if note and ranks.is_first:
            say(note)
        if not resume:
            _create_run(run, plan, network, data, ranks, training.force)
        make_loop(plan, network, data, run, ranks, training.later_folds).run()


def fold_wanted(request: TrainingRequest, run: Path | None, *, resume: bool) -> str | None:
    """Return the fold that the caller names or, if a run is resumed, the fold of the run."""
    return fold_of_run(run) if resume and run and request.fold is None else request.fold


def open_data(data: Dataset | Path, ranks: Ranks, fold: str | None = None) -> Dataset:
    """Return the data set, with the splits of `fold` (see `Dataset.chosen_by`). Raises BioqError if
    it has no training window, is damaged, or differs from the first rank's, which may be another
    copy."""
    with ranks.agreed():
        data = data if isinstance(data, Dataset) else open_dataset(data)
        data = data.chosen_by(fold)
        require_utf8(real(data.path))  # config.json records it
        if not len(data["train"]):
            raise BioqError(
                f"{data.path}: the train split is empty; there is nothing to learn from"
            )
        if ranks.rank % ranks.local == 0:  # one rank on each machine, which may have its own copy
            require_undamaged(data, ["train", "valid"])
        fingerprint = data.fingerprint
    of_first = ranks.first(lambda: fingerprint)
    with ranks.agreed():
        if fingerprint != of_first:
            raise BioqError(
                f"{data.path}: has fingerprint {fingerprint[:12]} for {rank_name()}, "
                f"{of_first[:12]} for the first rank; give all machines the same data set"
            )
    return data


def _create_run(
    run: Path, plan: Plan, network: nn.Module, data: Dataset, ranks: Ranks, force: bool
) -> None:
    """Make the run folder on the first rank; check that the other ranks see it."""
    architecture: Any = network.architecture
    training = plan.to_json()
    file = None if plan.network is None else plan.network.content
    ranks.first(
        lambda: create_run(
            run, model=architecture, training=training, data=data, network=file, force=force
        )
    )
    with ranks.agreed():
        if not (run / CONFIG).is_file():
            raise BioqError(
                f"{run}: the first rank has made it, {rank_name()} does not see it; put the run "
                "on a file system that all machines share"
            )


def make_loop(
    plan: Plan, network: nn.Module, data: Dataset, run: Path, ranks: Ranks, later_folds: int = 0
) -> TrainingLoop:
    """Return the loop, with the state of the run's last checkpoint if it has one."""
    config = plan.config
    validation = Validation(data, ranks, config.precision)
    state = start_state(plan, network.to(ranks.device))
    with ranks.agreed():
        load_state(run, state)
    batches = Batches(data["train"], ranks.device, data_in=config.data_in, processes=ranks.local)
    logits_of = ranks.wrap(network, training_forward(network, config.precision))
    return TrainingLoop(plan, state, batches, validation, logits_of, run, ranks, later_folds)
