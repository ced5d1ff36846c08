"""The network that a training starts with: seeded weights, positive rates and motifs, or the
weights of another run."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from bioq.dataset import Dataset, Split
from bioq.errors import BioqError
from bioq.files.inside import kept_file
from bioq.models import build_model
from bioq.models.composition import Composition
from bioq.models.motif_start import initialise_filters, starting_motifs
from bioq.models.source import build_from_source
from bioq.runs.folder import BEST, STATE, read_config
from bioq.runs.network import network_outline
from bioq.runs.weights import load_weights, weights_sha256
from bioq.training.composition import fit_composition, log_odds
from bioq.training.keras import start_as_keras
from bioq.training.plan import Plan, SourceRun, shared_targets
from bioq.training.recipes import seed_of


def start_network(
    plan: Plan, data: Dataset, run: Path, *, resume: bool = False
) -> tuple[nn.Module, str | None]:
    """Return the network that a training of `data` into `run` starts with, and a line for the user
    about motifs or the source run, if the network starts from either.

    If a run is resumed from a checkpoint, which replaces all weights, neither the labels nor the
    weights of the source run are read. Sets PyTorch's random numbers. Raises BioqError if the
    source run has changed since the plan was made.
    """
    torch.manual_seed(seed_of(plan.config.seed, "weights"))
    network = new_network(plan)
    if plan.recipe.start == "keras":
        start_as_keras(network)
    has_checkpoint = resume and kept_file(run, STATE) is not None
    if plan.recipe.output_bias and not has_checkpoint:
        start_at_positive_rates(network, data["train"])
    composition = getattr(network, "composition", None)
    if isinstance(composition, Composition) and not has_checkpoint:
        fit_composition(composition, data["train"])
    note = None
    if plan.source is None:
        note = _start_filters(network, plan)
    elif not has_checkpoint:
        note = _copy_weights(network, plan, plan.source, data, run)
    if plan.freeze:
        axes = _target_axes(network, plan)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in axes)
    return network, note


def new_network(plan: Plan, *, more_targets: int = 0) -> nn.Module:
    """Return the network of a plan with random weights, from PyTorch's global generator."""
    targets, window_bp = plan.data.targets + more_targets, plan.data.window_bp
    if plan.network is not None:
        return build_from_source(plan.network, targets=targets, window_bp=window_bp)
    return build_model(plan.model, targets=targets, window_bp=window_bp, sizes=plan.sizes)


def start_at_positive_rates(network: nn.Module, split: Split) -> None:
    """Set the output layer's bias to the log odds of each target's positive rate."""
    output: Any = network.output
    with torch.no_grad():
        output.bias.copy_(log_odds(torch.from_numpy(split.positives()), len(split)))


def _start_filters(network: nn.Module, plan: Plan) -> str | None:
    """Start filters from the plan's motifs or, if it has none, from those that the model's paper
    names."""
    motifs = starting_motifs(plan.model, plan.motifs)
    if not motifs:
        return None
    generator = torch.Generator().manual_seed(seed_of(plan.config.seed, "motifs"))
    placed = initialise_filters(network, motifs, generator=generator)
    return f"start {len(placed)} filters from motifs"


def _copy_weights(
    network: nn.Module, plan: Plan, source: SourceRun, data: Dataset, run: Path
) -> str:
    """Copy the best weights of a run; of the weights of single targets (the output layer, and the
    queries of a model with attention) only those of the targets that `data` has too, by name.

    These are the weights in the file: a calibration of the run is not part of them.
    """
    folder = Path(source.path)
    if weights_sha256(folder) != source.sha256:
        raise BioqError(
            f"{folder / BEST}: has other weights than when {run} was started from it; "
            f"restore them, or remove {run} and start over"
        )
    config = read_config(folder)
    trained = network_outline(folder, config)
    load_weights(trained, folder / BEST)
    old_rows, new_rows = shared_targets(folder, config, data)
    weights, axes = network.state_dict(), _target_axes(network, plan)
    for name, tensor in trained.state_dict().items():
        if name in axes:
            weights[name].movedim(axes[name], 0)[new_rows] = tensor.movedim(axes[name], 0)[old_rows]
        else:
            weights[name].copy_(tensor)
    return f"start from {folder}: {len(new_rows)} of {len(data.targets)} targets keep their output"


def _target_axes(network: nn.Module, plan: Plan) -> dict[str, int]:
    """Return `{weight name: target axis}` of the weights with one slice per target.

    The axis is found by comparing shapes with the same network built for one more target, so a
    model does not have to declare which of its weights belong to targets.
    """
    # A network of BioQ's needs no weights here; a user's may fail to build without them.
    with torch.device("meta") if plan.network is None else torch.random.fork_rng(devices=[]):
        larger = new_network(plan, more_targets=1)
    shapes = {name: weight.shape for name, weight in larger.state_dict().items()}
    return {
        name: next(axis for axis, size in enumerate(weight.shape) if size != shapes[name][axis])
        for name, weight in network.state_dict().items()
        if weight.shape != shapes[name]
    }
