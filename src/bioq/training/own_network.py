"""A training of a network that is not one of BioQ's: it is tried first, and stays the same."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bioq.errors import UsageError
from bioq.models.recipe import Recipe
from bioq.models.source import Source, read_source
from bioq.models.source_checks import check_source
from bioq.runs.folder import NETWORK
from bioq.training.recipes import TrainConfig

if TYPE_CHECKING:
    from bioq.training.plan import DataFacts


def recipe_of_network(
    source: Source, recipe: Recipe, config: TrainConfig, facts: "DataFacts"
) -> Recipe:
    """Try a network, and return its recipe: the outputs start at the positive rates only if the
    network has a layer `output` with a bias per target.

    Raises BioqError for a network that cannot be trained (`models.source_checks`), UsageError for
    --output-bias without this layer.
    """
    ranks = config.devices * config.nodes
    last_batch = facts.train_windows * recipe.times_shown % recipe.batch_size or recipe.batch_size
    found = check_source(
        source,
        targets=facts.targets,
        window_bp=facts.window_bp,
        smallest_batch=max(1, min(last_batch // ranks, 2)),
    )
    if found.starts_at_rates:
        return recipe
    if config.output_bias:
        raise UsageError(
            f"--output-bias: the network of {source.file} has no layer 'output' with a bias per "
            "target; give its last layer this name, or omit --output-bias"
        )
    return replace(recipe, output_bias=False)


def require_same_source(run: Path, kept: Source, model: str) -> None:
    """Raise UsageError unless `model` names the network with which a run was started."""
    named = read_source(model)
    if (named.sha256, named.function) != (kept.sha256, kept.function):
        raise UsageError(
            f"{model}: is not the network that {run} was started with, which is kept as "
            f"{run / NETWORK}; resume without --model, or start a new run"
        )
