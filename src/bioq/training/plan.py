"""The plan of a training: made once, from the caller's options and the data set, before any step.

`config.json` records it; `--resume` reads it from there and compares it with the caller's options.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bioq.dataset import Dataset
from bioq.dataset.folds import parse_fold, require_fold
from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError
from bioq.files import real
from bioq.files.typed import fields_in, record, require_types
from bioq.models import ModelSizes
from bioq.models.recipe import Recipe
from bioq.models.source import Source, names_source
from bioq.options import FLAG, annotations, check_types, flag_of, wrong_values
from bioq.runs.folder import (
    CONFIG,
    RunConfig,
    read_config,
    read_targets,
    refuse_ensemble,
    require_window_bp,
)
from bioq.runs.network import kept_source, named_source, network_outline
from bioq.runs.origin import origin_of
from bioq.runs.trust import require_trust
from bioq.runs.weights import weights_sha256
from bioq.training.own_network import recipe_of_network, require_same_source
from bioq.training.recipes import RUNTIME_OPTIONS, TrainConfig, fine_tuning

AUTO = "auto"
"""The name that leaves the choice of the model to BioQ."""
DEFAULT_MODEL = "marq"
"""The model that is trained, in its published sizes, if the caller names neither a model nor a run
to start from. It is ahead of `bioq` in small sizes on each set that was measured; twice as wide it
gains 0.002 of macro average precision on 60,000 windows, for 1.8 times the time per window
(docs/reference/training-defaults.md)."""
MEASURED_WINDOWS = 60_000
"""Training windows of the largest set on which it was compared with another model."""
_REMEDY = "correct the file, or start a new run"
MODEL_OF_OLD_RUNS = "bioq"
"""The model of a run that does not record its model."""
_RECIPE_OF_OLD_RUNS = {"start": "pytorch"}
"""What every recipe had in common before it became a field."""


@dataclass(frozen=True)
class TrainingRequest:
    """The caller's options of a training; None leaves a choice to BioQ."""

    model: str = AUTO
    """A name of `bioq.models.families.PUBLISHED`, AUTO: `DEFAULT_MODEL`, or the file and function
    of a network (`models.source.FORM`)."""
    sizes: ModelSizes = field(default_factory=ModelSizes)
    motifs: str | None = None
    """Motifs to start the filters from, see `models.motif_start.starting_motifs`."""
    from_run: Path | None = field(default=None, metadata={FLAG: "--from"})
    """Run whose network and best weights the training starts from."""
    freeze: bool = False
    """Whether only the weights of single targets learn."""
    config: TrainConfig = field(default_factory=TrainConfig)
    fold: str | None = None
    """The fold to test of a data set with folds, such as `2/5`, or `all` for each in turn; None:
    the data set has splits, or a fold is chosen already."""

    def __post_init__(self) -> None:
        check_types(self)
        require_fold(self.fold)
        if self.from_run is None and self.freeze:
            raise UsageError(
                "--freeze without --from: random layers would stay random; "
                "name the run whose layers are to be kept"
            )
        sizes = [flag_of(name) for name, size in asdict(self.sizes).items() if size is not None]
        if sizes and names_source(self.model):
            raise UsageError(
                f"{', '.join(sizes)} with --model {self.model}: the sizes of your network are in "
                "its file; change them there"
            )
        if self.from_run is not None:
            model = None if self.model == AUTO else self.model
            network = {"model": model, "motifs": self.motifs, **asdict(self.sizes)}
            given = [flag_of(name) for name, value in network.items() if value is not None]
            if given:
                raise UsageError(
                    f"{', '.join(given)} with --from {self.from_run}: the network is that run's; "
                    "omit these options, or train a new network without --from"
                )

    def options(self) -> dict[str, Any]:
        """Return the `named_options`; `from` is an absolute path."""
        from_run = None if self.from_run is None else real(self.from_run)
        return named_options(
            self.model, self.sizes, self.motifs, from_run, self.freeze, self.config, self.fold
        )


def named_options(
    model: str,
    sizes: ModelSizes,
    motifs: str | None,
    from_run: str | Path | None,
    freeze: bool,
    config: TrainConfig,
    fold: str | None,
) -> dict[str, Any]:
    """Return every option of a training by its name in a TOML file, as JSON values."""
    return {
        "model": model,
        "motifs": motifs,
        "from": None if from_run is None else str(from_run),
        "freeze": freeze,
        "fold": fold,
        **asdict(config),
        **asdict(sizes),
    }


def wrong_options(options: Mapping[str, Any]) -> dict[str, str]:
    """Return {name: its value, and what is expected} of the `named_options` of a wrong type."""
    expected: dict[str, Any] = {"from": str | None}
    for kind in (TrainingRequest, TrainConfig, ModelSizes):
        expected |= annotations(kind)
    return wrong_values(expected, options)


def request_from_options(options: Mapping[str, Any]) -> TrainingRequest:
    """Return the request with these `named_options`."""
    from_run = options["from"]
    path = Path(from_run) if isinstance(from_run, str) else from_run
    return TrainingRequest(from_run=path, **_choices(options))


def _choices(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request, without `from_run`, that have these `named_options`."""
    return {
        "model": options["model"],
        "sizes": record(ModelSizes, options),
        "motifs": options["motifs"],
        "freeze": options["freeze"],
        "fold": options["fold"],
        "config": record(TrainConfig, options),
    }


@dataclass(frozen=True)
class SourceRun:
    """The run whose weights a training starts from."""

    run: str
    """The folder's name."""
    path: str
    sha256: str
    """Checksum of its best weights."""
    data_fingerprint: str
    targets: int
    targets_kept: int
    """Targets that the two data sets share, by name."""
    address: str | None = None
    """Where the run was downloaded from; None for a run that was here."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry `from` of `config.json`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class DataFacts:
    """The properties of the data set that decide what is computed."""

    fingerprint: str
    window_bp: int
    targets: int
    train_windows: int


@dataclass(frozen=True)
class Plan:
    """Everything that decides a training."""

    model: str
    sizes: ModelSizes
    """None: the published size."""
    motifs: str | None
    source: SourceRun | None
    freeze: bool
    config: TrainConfig
    """The options of the recipe as the caller gave them, the seed, and how the run is computed."""
    recipe: Recipe
    """The recipe with every choice made."""
    data: DataFacts
    fold: str | None = None
    """The fold that is tested, of a data set with folds."""
    network: Source | None = None
    """The file of a network that is not one of BioQ's; the run keeps it."""

    def __post_init__(self) -> None:
        if self.fold is not None:
            parse_fold(self.fold)
        if self.recipe.shift >= self.data.window_bp:
            raise UsageError(
                f"--shift {self.recipe.shift} would move every base out of a window of "
                f"{self.data.window_bp:,} bp; expected less, such as 20"
            )

    @property
    def windows_per_epoch(self) -> int:
        """Windows shown in an epoch."""
        return self.data.train_windows * self.recipe.times_shown

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; the last may have fewer windows."""
        return math.ceil(self.windows_per_epoch / self.recipe.batch_size)

    def options(self) -> dict[str, Any]:
        """Return the `named_options`, as `TrainingRequest.options` does."""
        from_run = None if self.source is None else Path(self.source.path)
        return named_options(
            self.model, self.sizes, self.motifs, from_run, self.freeze, self.config, self.fold
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry `training` of `config.json`."""
        sizes, options = asdict(self.sizes), self.options()
        if self.fold is None:
            del options["fold"]
        return {
            "model": self.model,
            "sizes": sizes,
            **{name: value for name, value in options.items() if name not in sizes},
            "from": None if self.source is None else self.source.to_json(),
            "resolved": asdict(self.recipe),
        }


def make_plan(request: TrainingRequest, data: Dataset) -> Plan:
    """Return the plan of a new run.

    Raises BioqError if the run to start from is no finished run, or its network reads windows of
    another length.
    """
    facts, config = _facts_of(data), request.config
    model, sizes, source, network = request.model, request.sizes, None, None
    if model == AUTO:
        model = DEFAULT_MODEL
    elif names_source(model):
        network = named_source(model)
        model = network.name
    if request.from_run is not None:
        folder = real(request.from_run)
        stored = read_config(folder)
        source, network = _source_run(folder, stored, data), kept_source(folder, stored)
        model, sizes = stored.model["name"], ModelSizes(**stored.model["sizes"])
        config = fine_tuning(config, freeze=request.freeze)
    recipe = config.resolve(facts.train_windows, model)
    if source is None and "valid" in data and len(data["valid"]):
        recipe = config.with_enough_steps(recipe, facts.train_windows, model)
    fold = None if data.chosen is None else str(data.chosen)
    if network is not None:
        recipe = recipe_of_network(network, recipe, config, facts)
    return Plan(
        model, sizes, request.motifs, source, request.freeze, config, recipe, facts, fold, network
    )


def plan_to_resume(run: Path, request: TrainingRequest, data: Dataset) -> Plan:
    """Return the plan that a run was started with; only runtime options may differ in the request.

    The number of devices is always the request's. Raises BioqError for another data set, UsageError
    for an option with another value.
    """
    stored = read_config(run)
    refuse_ensemble(run, stored, "it was not trained; resume the run of a member")
    _refuse_imported(run, stored)
    if stored.data["fingerprint"] != data.fingerprint:
        raise BioqError(
            f"{run}: was trained on a data set with fingerprint "
            f"{stored.data['fingerprint'][:12]}, {data.path} has {data.fingerprint[:12]}; "
            "resume with the data set that it was started with"
        )
    plan = _recorded_plan(run, stored, _facts_of(data))
    default, requested, used = TrainingRequest().options(), request.options(), plan.options()
    if plan.network is not None:
        require_trust(plan.network)
        if names_source(request.model):
            require_same_source(run, plan.network, requested["model"])
            requested["model"] = plan.model
    changed = [name for name in requested if requested[name] not in (default[name], used[name])]
    changed = [name for name in changed if name not in RUNTIME_OPTIONS]
    if changed:
        settings = "; ".join(f"{name} {used[name]!r}, not {requested[name]!r}" for name in changed)
        raise UsageError(
            f"{run / CONFIG}: this run was started with {settings}; "
            "resume it without these options, or start a new run"
        )
    runtime = {
        name: requested[name] for name in RUNTIME_OPTIONS if requested[name] != default[name]
    }
    runtime |= {"devices": request.config.devices, "nodes": request.config.nodes}
    return replace(plan, config=replace(plan.config, **runtime))


def device_of_run(run: Path) -> str | None:
    """Return the device that a run was started with; None if none was named, or `run` is no run,
    which `plan_to_resume` reports."""
    try:
        device: str | None = read_config(run).training.get("device")
    except BioqError:
        return None
    return device


def fold_of_run(run: Path) -> str | None:
    """Return the fold that a run was started with; None without one, or if `run` is no run."""
    try:
        return read_config(run).fold
    except BioqError:
        return None


def shared_targets(run: Path, config: RunConfig, data: Dataset) -> tuple[list[int], list[int]]:
    """Return the rows of the targets that a run and a data set share: the rows in the run's table,
    and the rows in the data set's."""
    row_of = {name: row for row, name in enumerate(read_targets(run, config)[NAME])}
    pairs = [(row_of[name], row) for row, name in enumerate(data.targets[NAME]) if name in row_of]
    return [row for row, _ in pairs], [row for _, row in pairs]


def _facts_of(data: Dataset) -> DataFacts:
    window_bp = data.description.window_bp
    return DataFacts(data.fingerprint, window_bp, len(data.targets), len(data["train"]))


def _source_run(folder: Path, stored: RunConfig, data: Dataset) -> SourceRun:
    refuse_ensemble(folder, stored, "a training starts from one network; give --from a member")
    network_outline(folder, stored)  # raises if this BioQ cannot build it
    require_window_bp(folder, stored, data)
    kept, _ = shared_targets(folder, stored, data)
    origin = origin_of(folder)
    return SourceRun(
        run=folder.name,
        path=str(folder),
        sha256=weights_sha256(folder),
        data_fingerprint=stored.data["fingerprint"],
        targets=stored.model["targets"],
        targets_kept=len(kept),
        address=None if origin is None else str(origin),
    )


def recorded_plan(run: Path) -> Plan:
    """Return the plan that a run was started with. Raises BioqError if `run` records none."""
    stored = read_config(run)
    refuse_ensemble(run, stored, "it was not trained")
    _refuse_imported(run, stored)
    if "train" not in stored.data["windows"]:
        raise BioqError(f"{run / CONFIG}: has no data.windows.train; start a new run")
    facts = DataFacts(
        fingerprint=stored.data["fingerprint"],
        window_bp=stored.model["window_bp"],
        targets=stored.model["targets"],
        train_windows=stored.data["windows"]["train"],
    )
    return _recorded_plan(run, stored, facts)


def _refuse_imported(run: Path, stored: RunConfig) -> None:
    """Raise UsageError for a run of published weights, which has no training to continue."""
    if stored.imported is not None:
        raise UsageError(
            f"{run}: was imported and not trained, so there is no training to continue; start a "
            f"training from its weights with --from {run}, into another folder"
        )


def _recorded_plan(run: Path, stored: RunConfig, facts: DataFacts) -> Plan:
    """Return the plan in a `config.json`; an option that an older version did not have yet has its
    default, and the recipe is the recorded recipe, also if it differs from this version's."""
    default = TrainingRequest(model=MODEL_OF_OLD_RUNS).options()
    options = {**default, **stored.training, **stored.training.get("sizes", {})}
    try:
        choices = _choices(options)
        recipe = choices["config"].resolve(facts.train_windows, choices["model"])
        recipe = replace(recipe, **fields_in(Recipe, {**_RECIPE_OF_OLD_RUNS, **stored.recipe}))
        require_types(options["from"], SourceRun | None, run / CONFIG, _REMEDY, at="training.from")
        source = None if options["from"] is None else record(SourceRun, options["from"])
        network = kept_source(run, stored)
        return Plan(source=source, recipe=recipe, data=facts, network=network, **choices)
    except UsageError as error:
        raise BioqError(f"{run / CONFIG}: records {error}; {_REMEDY}") from error
