"""Every family of models, with the names, sizes and recipes in their records."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import nn

from bioq.errors import UsageError, did_you_mean, nearest, shown
from bioq.models import beluga, danq, deepatt, deepsea, marq
from bioq.models.family import Family
from bioq.models.recipe import Recipe
from bioq.models.sizes import ModelSizes

FAMILIES: tuple[Family, ...] = (
    danq.FAMILY,
    deepsea.FAMILY,
    beluga.FAMILY,
    deepatt.FAMILY,
    marq.FAMILY,
)

PUBLISHED: Mapping[str, Any] = {
    name: sizes for family in FAMILIES for name, sizes in family.published.items()
}
"""Name of every model -> its published sizes."""
FAMILY_RECIPES: Mapping[str, Recipe] = {
    name: recipe for family in FAMILIES for name, recipe in family.recipes.items()
}
"""Name of every recipe that belongs to a family -> that recipe."""


def family_named(name: str) -> Family:
    """Return the family of the model with that name; raises UsageError for an unknown name."""
    for family in FAMILIES:
        if isinstance(name, str) and name in family.published:
            return family
    hint = did_you_mean(nearest(name, PUBLISHED, most=1))
    raise UsageError(f"model {shown(name)} is unknown; {hint}choose one of {', '.join(PUBLISHED)}")


def family_of(network: nn.Module) -> Family | None:
    """Return the family that a network is of; None for a network that is not of `models`."""
    return next((family for family in FAMILIES if isinstance(network, family.network)), None)


def first_convolution(network: nn.Module) -> nn.Conv1d:
    """Return the convolution that reads the bases: `Family.first_layer`, or the first `nn.Conv1d`
    of 4 channels of a network that is not of `models`.

    Raises UsageError for a network without a convolution.
    """
    family = family_of(network)
    if family is not None:
        layer: nn.Conv1d = network.get_submodule(family.first_layer)  # type: ignore[assignment]
        return layer
    convolutions = (layer for layer in network.modules() if isinstance(layer, nn.Conv1d))
    first = next((layer for layer in convolutions if layer.weight.shape[1] == 4), None)
    if first is None:
        raise UsageError(
            f"{type(network).__name__} has no nn.Conv1d of 4 channels, whose filters are needed "
            "here; use a network with a convolution over the bases"
        )
    return first


def complete_sizes(name: str, sizes: ModelSizes) -> Any:
    """Return the published sizes of model `name` with those that `sizes` changes.

    Raises UsageError for an unknown model or a size that the model does not have.
    """
    published = family_named(name).published[name]
    changes = {size: value for size, value in asdict(sizes).items() if value is not None}
    for size, value in changes.items():
        if not hasattr(published, size):
            raise UsageError(
                f"model {name} has no {size} (found {value}); "
                f"leave it out, or choose a model that has: {', '.join(_models_with(size))}"
            )
        changes[size] = type(getattr(published, size))(value)  # a share of 0 is written as 0.0
    return replace(published, **changes)


def _models_with(size: str) -> list[str]:
    return [name for name, sizes in PUBLISHED.items() if hasattr(sizes, size)]
