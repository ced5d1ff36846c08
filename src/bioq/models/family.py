"""The record of a family of models, which is in the file of its network.

`families.FAMILIES` collects the records: a new model is a file with a network and its record, and
one name in that tuple. An entry in `fast.paths.PATHS` makes it faster and may be missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from bioq.models.recipe import Recipe
from bioq.motifs import Motif

Sizes = TypeVar("Sizes")
Shape = tuple[int, ...]
"""Lengths of the axes of a layer's input or output, without the batch."""


@dataclass(frozen=True)
class Architecture(Generic[Sizes]):
    """All that a network needs to build its layers."""

    name: str
    """Name of the model, such as `danq-jaspar`."""
    targets: int
    window_bp: int
    sizes: Sizes
    """Sizes of the layers: the family's dataclass of sizes, complete."""

    def as_json(self) -> dict[str, Any]:
        """Return the arguments of `build_model` as JSON values, as `config.json` has them."""
        return asdict(self)


@dataclass(frozen=True)
class LayerKind:
    """How `summary` describes the layers of one type. Every function takes the layer first."""

    text: Callable[[Any], str]
    """Description of the layer: `(layer)` -> text such as `convolution 320 x 26, ReLU`."""
    axes: tuple[str, ...] | None = None
    """Names of the last axes of the output; None if they are those of the input."""
    flops: Callable[[Any, Shape, Shape], int] = lambda _layer, _input, _output: 0
    """Floating-point operations of one window: `(layer, input, output)` -> two for every
    multiplication and addition."""


def _all_of(network: Any) -> Callable[[Tensor], Tensor]:
    function: nn.Module = network
    return function


@dataclass(frozen=True)
class Family:
    """Models that are one network in different sizes."""

    network: type[nn.Module]
    """Built as `network(architecture)`. It keeps `architecture.as_json()` as its attribute
    `architecture`, maps one-hot windows to logits, and has its last layer as `output` (one row per
    target). If it has the max pooling of its first convolution as `pool`, and maps the result to
    logits by `after_pooling`, training on a CPU computes both layers together, which is faster."""
    published: Mapping[str, Any]
    """Name of each model -> its published sizes, a frozen dataclass."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """Name that `--recipe` takes -> training recipe of these models."""
    small_recipe: str = "small"
    """Recipe that `--recipe auto` takes for these models on a small data set."""
    motifs: Mapping[str, Callable[[], list[Motif]]] = field(default_factory=dict)
    """Name of a model -> the motifs that its first filters start from."""
    first_layer: str = "conv"
    """Name of the convolution that reads the bases."""
    window_bp: int = 1000
    """Length of the windows of the published networks in bases."""
    trained: Callable[[Any], Callable[[Tensor], Tensor]] = _all_of
    """`(network)` -> the function from windows to logits that training differentiates."""
    layers: Mapping[type[nn.Module], LayerKind] = field(default_factory=dict)
    """Descriptions of the layers that PyTorch does not have."""
