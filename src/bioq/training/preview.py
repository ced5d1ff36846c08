"""What a training would use, and how long it would take; nothing is written."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bioq.dataset import Dataset, open_dataset
from bioq.dataset.folds import ALL, fold_folder
from bioq.errors import counted
from bioq.models.device import choose_device
from bioq.models.families import complete_sizes
from bioq.models.recipe import Recipe
from bioq.options import flag_of
from bioq.progress import duration
from bioq.training.all_folds import FoldRun, folds_to_train
from bioq.training.distributed import Ranks
from bioq.training.first_lines import say_first_lines
from bioq.training.interrupted import AllFolds, progress_of, require_new_run
from bioq.training.loop import TrainingLoop, peak_memory_mb
from bioq.training.pace import LONG_S, threads_remark
from bioq.training.plan import (
    AUTO,
    Plan,
    TrainingRequest,
    device_of_run,
    make_plan,
    plan_to_resume,
)
from bioq.training.recipes import RECIPES
from bioq.training.start import new_network
from bioq.training.train import fold_wanted, make_loop, open_data

_MEASURED_S = 3.0
"""Seconds of real steps from which the time is estimated."""
_VALIDATION_COPIES = 4
"""Float32 matrices of (windows, targets) that validation needs at a time."""
_OPTION_OF = {"learning_rate": "lr"}
"""Field of a recipe -> its option, where the names differ."""
_HOW_COMPUTED = ("seed", "precision", "devices", "nodes", "checkpoint_min")


@dataclass(frozen=True)
class Preview:
    """What `bioq train --plan` prints."""

    options: list[tuple[str, str, str]]
    """Option, value, and where the value comes from."""
    facts: list[tuple[str, str]]
    """Heading and text."""


def preview(
    data: Dataset | str | Path,
    request: TrainingRequest,
    run: Path | None,
    *,
    resume: bool = False,
    force: bool = False,
    origins: Mapping[str, str] | None = None,
) -> Preview:
    """Return the plan of a training as text, with an estimate of its time and memory from a few
    steps, which change nothing on disk.

    `origins` has where the caller's options come from, by their names: "flag", or a file. Raises
    what the training would raise.
    """
    later_folds, is_all = 0, request.fold == ALL
    if is_all:
        data = data if isinstance(data, Dataset) else open_dataset(data)
        first = _first_fold(data, run, request, resume=resume, force=force)
        request, resume, later_folds = first.request, first.resume, first.part_of.later
        run = None if run is None else first.run
    device_name = request.config.device
    if resume and run is not None and device_name is None:
        device_name = device_of_run(run)
    ranks = Ranks(choose_device(device_name))
    fold = fold_wanted(request, run, resume=resume)
    data = open_data(data if isinstance(data, Dataset) else Path(data), ranks, fold)
    if resume and run is not None:
        plan = plan_to_resume(run, request, data)
    else:
        if run is not None:
            require_new_run(run, data.path, request.from_run, force=force)
        plan = make_plan(request, data)
        say_first_lines(request, plan, data)
    with torch.random.fork_rng(devices=[]), TemporaryDirectory() as empty:
        network = new_network(plan)
        folder = run if resume and run is not None else Path(empty)  # without a checkpoint
        loop = make_loop(plan, network, data, folder, ranks, later_folds)
        facts = [*_facts(plan, data, loop), *_estimates(loop, resume, run)]
    options = _options(plan, request, origins or {}, resume=resume)
    if is_all:
        options = [(name, ALL if name == "--fold" else value, by) for name, value, by in options]
    return Preview(options, facts)


def _first_fold(
    data: Dataset, out: Path | None, request: TrainingRequest, *, resume: bool, force: bool
) -> FoldRun:
    """Return the fold with which `--fold all` begins; the last fold if all are finished."""
    if out is not None:
        folds = folds_to_train(data, out, request, resume=resume, force=force)
        if folds:
            return folds[0]
    number, later = (data.folds, 0) if resume else (1, data.folds - 1)
    data = data.fold(number)  # raises if there are no folds
    part_of = AllFolds(out or Path(), later)
    run = part_of.out / fold_folder(number)
    return FoldRun(run, replace(request, fold=str(data.chosen)), resume, part_of)


def _facts(plan: Plan, data: Dataset, loop: TrainingLoop) -> list[tuple[str, str]]:
    facts, windows = plan.data, len(loop.validation)
    valid = f"{windows:,} to validate" if windows else "none to validate, so the last epoch is kept"
    weights = sum(weight.numel() for weight in loop.state.network.parameters())
    config = plan.config
    devices = f", {config.devices * config.nodes} together" if config.devices > 1 else ""
    start = []
    if plan.source is not None:
        kept = f"{plan.source.targets_kept:,} of {facts.targets:,} targets keep their output"
        start = [("start", f"from the weights of {plan.source.path}; {kept}")]
    fold = f" (fold {data.chosen} to test)" if data.chosen else ""
    later = counted(loop.later_folds, "more fold")
    more = f"; then {later}, with about as many windows" if loop.later_folds else ""
    return [
        (
            "data",
            f"{data.path}{fold}: {facts.train_windows:,} windows of {facts.window_bp:,} bp to "
            f"train, {valid}; {counted(facts.targets, 'target')}{more}",
        ),
        ("model", f"{plan.model}, {weights:,} weights"),
        *start,
        ("steps", f"{plan.steps_per_epoch:,} per epoch, {plan.recipe.epochs:,} epochs"),
        (
            "device",
            f"{loop.ranks.device}{devices}, precision {config.precision}, data in "
            f"{loop.batches.data_in}",
        ),
    ]


def _estimates(loop: TrainingLoop, resume: bool, run: Path | None) -> list[tuple[str, str]]:
    """Return the memory and the time that a few steps show."""
    rows = []
    position = loop.state.position
    if resume and run is not None:
        progress = progress_of(run)
        rows.append(("resume", "finished" if progress.is_finished else progress.place()))
        if progress.is_finished:
            return rows
    epoch, step = position.epoch, position.step
    rate, steps = loop.measured_rate(_MEASURED_S)
    seconds = loop.pace.left_s(epoch, step, rate)
    most = "at most " if loop.plan.recipe.patience else ""
    folds = loop.later_folds + 1
    one = f" for {folds} folds" if folds > 1 else ""
    one += " on one device" if loop.plan.config.devices * loop.plan.config.nodes > 1 else ""
    rows.append(
        (
            "time",
            f"{most}about {duration(seconds)}{one}: an estimate from {counted(steps, 'step')} now "
            f"({rate:,.0f} windows/s)",
        )
    )
    if remark := threads_remark(loop.ranks.device):
        rows.append(("threads", remark))
    if seconds > LONG_S:
        rows.append(("faster", loop.pace.faster(loop.ranks.device)))
    matrices = len(loop.validation) * loop.plan.data.targets * 4 * _VALIDATION_COPIES
    rows.append(("memory", f"about {peak_memory_mb() + matrices / (1 << 20):,.0f} MB: an estimate"))
    if loop.ranks.device.type == "cuda":
        used = torch.cuda.max_memory_allocated(loop.ranks.device) / (1 << 20)
        rows.append(("GPU memory", f"about {used:,.0f} MB: an estimate"))
    return rows


def _options(
    plan: Plan, request: TrainingRequest, origins: Mapping[str, str], *, resume: bool
) -> list[tuple[str, str, str]]:
    """Return every option with its value and where the value comes from."""
    recorded = "the run" if resume else ""
    given = {**asdict(request.sizes), **asdict(request.config)}

    def row(name: str, value: object, default: str) -> tuple[str, str, str]:
        option = _OPTION_OF.get(name, name)
        is_given = option in origins or given.get(option) is not None
        origin = origins.get(option, "given") if is_given else recorded or default
        return flag_of(option), _text(value), origin

    source = "--from" if plan.source is not None else "default"
    of_model = "--from" if plan.source is not None else f"{plan.model} as published"
    model = recorded or origins.get("model", source if request.model == AUTO else "given")
    name = plan.config.recipe_name(plan.data.train_windows, plan.model)
    of_recipe = "auto" if plan.config.recipe == "auto" else origins.get("recipe", "given")
    rows = [("--model", plan.model, model)]
    sizes = {} if plan.network else asdict(complete_sizes(plan.model, plan.sizes))
    rows += [row(size, value, of_model) for size, value in sizes.items()]
    rows += [
        *([row("fold", plan.fold, "default")] if plan.fold else []),
        ("--motifs", plan.motifs or "none", origins.get("motifs", recorded or "default")),
        ("--recipe", name, recorded or of_recipe),
    ]
    for field in fields(Recipe):
        is_tuned = field.name == "learning_rate" and plan.config.lr is not None
        default = "--from" if is_tuned and plan.source is not None else f"recipe {name}"
        value = getattr(plan.recipe, field.name)
        if field.name == "epochs" and value > RECIPES[name].epochs:
            default = "few training windows"  # `TrainConfig.with_enough_steps`
        if field.name == "beta2":  # has no option
            rows.append(("(beta2 of adam)", _text(value), recorded or default))
        else:
            rows.append(row(field.name, value, default))
    for option in _HOW_COMPUTED:
        origin = origins.get(option, recorded or "default")
        rows.append((flag_of(option), _text(getattr(plan.config, option)), origin))
    return rows


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
