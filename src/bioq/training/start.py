"""What training starts from: a model with seeded weights, motifs and rates, or the network of
another run; and a run folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bioq.dataset import Dataset, Split
from bioq.dataset.targets import NAME, read_target_table
from bioq.errors import BioqError, UsageError
from bioq.models import ModelSizes, build_from_architecture, build_model
from bioq.models.composition import Composition
from bioq.models.motif_start import initialise_filters, starting_motifs
from bioq.runs.folder import BEST, CONFIG, STATE, TARGETS, create_run, read_config
from bioq.runs.weights import load_weights, weights_sha256
from bioq.training.composition import fit_composition, log_odds
from bioq.training.distributed import Ranks, rank_name
from bioq.training.recipes import TrainConfig, seed_of

DEFAULT_MODEL = "bioq"
"""What is trained where neither a model nor a run to start from is named."""

Settings = Mapping[str, Any]
"""What is trained, as `config.json` keeps it: "model", "sizes", "motifs", "from", "freeze"."""


def asked_settings(
    model: str | None,
    sizes: ModelSizes | None,
    motifs: str | None,
    from_run: str | Path | None,
    freeze: bool,
) -> Settings:
    """Return what the user asks for, "from" as the folder's path.

    Raises UsageError for what does not go together.
    """
    sizes = sizes or ModelSizes()
    if from_run is None and freeze:
        raise UsageError(
            "--freeze without --from: random layers would stay random; "
            "name the run whose layers are to be kept"
        )
    if from_run is not None:
        named = {"model": model, "motifs": motifs, **asdict(sizes)}
        given = [
            f"--{name.replace('_', '-')}" for name, value in named.items() if value is not None
        ]
        if given:
            raise UsageError(
                f"{', '.join(given)} with --from {from_run}: the network is that run's; "
                "leave them out, or start anew without --from"
            )
    return {
        "model": model or DEFAULT_MODEL,
        "sizes": asdict(sizes),
        "motifs": motifs,
        "from": None if from_run is None else str(Path(from_run).resolve()),
        "freeze": freeze,
    }


def check_same_data(data: Dataset, ranks: Ranks) -> None:
    """Raise BioqError unless the first rank's data set, which may be another copy, is the same."""
    of_first = ranks.first(lambda: data.fingerprint)
    with ranks.agreed():
        if data.fingerprint != of_first:
            raise BioqError(
                f"{data.path}: has fingerprint {data.fingerprint[:12]} for {rank_name()}, "
                f"{of_first[:12]} for the first rank; give all machines the same data set"
            )


def settings_of_start(asked: Settings, data: Dataset) -> Settings:
    """Return the settings of a new run: those asked for or, with "from", the network of that run
    and where it comes from.

    Raises BioqError if that is no run, or its network reads windows of another length.
    """
    if asked["from"] is None:
        return asked
    run = Path(asked["from"])
    config = read_config(run)
    with torch.device("meta"):
        build_from_architecture(config.model)  # whether it can be built
    window_bp, found = config.model["window_bp"], data.description.window_bp
    if window_bp != found:
        raise BioqError(
            f"{run / CONFIG}: its network reads windows of {window_bp:,} bp, {data.path} has "
            f"{found:,} bp; build the data set with --window-bp {window_bp}, or train without "
            "--from"
        )
    old, _ = _shared_targets(run, config.model["targets"], data)
    start = {
        "run": run.name,
        "path": str(run),
        "sha256": weights_sha256(run),
        "data_fingerprint": config.data["fingerprint"],
        "targets": config.model["targets"],
        "targets_kept": len(old),
    }
    sizes = {**asdict(ModelSizes()), **config.model["sizes"]}
    return {**asked, "model": config.model["name"], "sizes": sizes, "from": start}


def start_model(
    settings: Settings, data: Dataset, config: TrainConfig, run: Path
) -> tuple[nn.Module, str | None]:
    """Return the model that a training of `data` into `run` starts with, and a line that says what
    it starts from, if from more than random numbers.

    Where `run` has a checkpoint, which replaces all weights, neither the labels nor the weights of
    another run are read.
    Sets PyTorch's random numbers. Raises BioqError if the other run has changed.
    """
    torch.manual_seed(seed_of(config.seed, "weights"))
    model = build_model(
        settings["model"],
        targets=len(data.targets),
        window_bp=data.description.window_bp,
        sizes=ModelSizes(**settings["sizes"]),
    )
    has_checkpoint = (run / STATE).is_file()
    recipe = config.resolve(len(data["train"]), settings["model"])
    if recipe.output_bias and not has_checkpoint:
        start_at_positive_rates(model, data["train"])
    composition = getattr(model, "composition", None)
    if isinstance(composition, Composition) and not has_checkpoint:
        fit_composition(composition, data["train"])
    note = None
    if settings["from"] is None:
        note = _start_filters(model, settings, config.seed)
    elif not has_checkpoint:
        note = _take_over(model, settings["from"], data, run)
    if settings["freeze"]:
        of_targets = _target_dimensions(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in of_targets)
    return model, note


def start_at_positive_rates(model: nn.Module, split: Split) -> None:
    """Set the output layer's bias to the log odds of each target's positive rate."""
    output: Any = model.output
    with torch.no_grad():
        output.bias.copy_(log_odds(torch.from_numpy(split.positives()), len(split)))


def start_run(
    run: Path,
    model: nn.Module,
    settings: Settings,
    config: TrainConfig,
    data: Dataset,
    ranks: Ranks,
) -> None:
    """Make the run folder on the first rank; the others look whether they see it."""
    resolved = asdict(config.resolve(len(data["train"]), settings["model"]))
    training = {**settings, **asdict(config), "resolved": resolved}
    architecture: Any = model.architecture
    ranks.first(lambda: create_run(run, model=architecture, training=training, data=data))
    with ranks.agreed():
        if not (run / CONFIG).is_file():
            raise BioqError(
                f"{run}: the first rank has made it, {rank_name()} does not see it; put the run "
                "on a file system that all machines share"
            )


def _start_filters(model: nn.Module, settings: Settings, seed: int) -> str | None:
    """Start filters from the motifs that the user, or else the paper, names."""
    chosen = starting_motifs(settings["model"], settings["motifs"])
    if not chosen:
        return None
    generator = torch.Generator().manual_seed(seed_of(seed, "motifs"))
    placed = initialise_filters(model, chosen, generator=generator)
    return f"start {len(placed)} filters from motifs"


def _take_over(model: nn.Module, start: Mapping[str, Any], data: Dataset, run: Path) -> str:
    """Copy the best weights of a run; of those that belong to single targets (the output layer, and
    the queries of a model that has them) the targets that `data` has too, by name.

    They are the weights in the file, whatever has been fitted to them since.
    """
    source = Path(start["path"])
    if weights_sha256(source) != start["sha256"]:
        raise BioqError(
            f"{source / BEST}: has other weights than when {run} was started from it; "
            f"restore them, or remove {run} and start over"
        )
    config = read_config(source)
    with torch.device("meta"):
        network: nn.Module = build_from_architecture(config.model)
    load_weights(network, source / BEST)
    old, new = _shared_targets(source, config.model["targets"], data)
    weights, of_targets = model.state_dict(), _target_dimensions(model)
    for name, tensor in network.state_dict().items():
        if name in of_targets:
            dimension = of_targets[name]
            weights[name].movedim(dimension, 0)[new] = tensor.movedim(dimension, 0)[old]
        else:
            weights[name].copy_(tensor)
    return f"start from {source}: {len(new)} of {len(data.targets)} targets keep their output"


def _target_dimensions(model: nn.Module) -> dict[str, int]:
    """Return the weights that belong to single targets: their names, and which of their dimensions
    counts the targets. It is the one that is another in the same model with one target more."""
    architecture: Any = model.architecture
    with torch.device("meta"):
        larger = build_from_architecture({**architecture, "targets": architecture["targets"] + 1})
    shapes = {name: weight.shape for name, weight in larger.state_dict().items()}
    return {
        name: next(d for d, length in enumerate(weight.shape) if length != shapes[name][d])
        for name, weight in model.state_dict().items()
        if weight.shape != shapes[name]
    }


def _shared_targets(run: Path, count: int, data: Dataset) -> tuple[list[int], list[int]]:
    """Return the targets that a run and a data set share: their rows in the one and the other."""
    names = list(read_target_table(run / TARGETS)[NAME])
    if len(names) != count:
        raise BioqError(
            f"{run / TARGETS}: has {len(names)} targets, {CONFIG} says {count}; the run is damaged"
        )
    row_of = {name: row for row, name in enumerate(names)}
    pairs = [(row_of[name], row) for row, name in enumerate(data.targets[NAME]) if name in row_of]
    return [old for old, _ in pairs], [new for _, new in pairs]
