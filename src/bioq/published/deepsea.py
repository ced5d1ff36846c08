"""DeepSEA (Zhou & Troyanskaya 2015), in PyTorch.

Its weights are published three times: with the averaging of strands (names begin with `2.`),
without it (`1.`) and alone. Convolutions are two-dimensional, with height 1.
"""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from bioq.errors import BioqError
from bioq.models.deepsea import FAMILY
from bioq.published.layout import (
    Layout,
    Network,
    Reading,
    Shape,
    in_acgt,
    require_window,
)

FLOOR = 1e-6
"""The network has nn.Threshold(0, 1e-6) where others have ReLU."""
POOL_WIDTH: int = FAMILY.published["deepsea"].pool_width
"""Of both poolings; no file has it."""
_LAYERS = {"conv1": "0", "conv2": "4", "conv3": "8", "dense": "12.1", "output": "14.1"}
"""Layer of BioQ's network -> its name in the file."""


def _network(tensors: Mapping[str, Tensor], sizes: Mapping[str, int], reading: Reading) -> Network:
    width = sizes["filter_width"]
    require_window(
        sizes["inputs"],
        sizes["third filters"],
        [(width, POOL_WIDTH), (width, POOL_WIDTH), (width, 1)],
        reading.window_bp,
    )
    filters = sizes["filters"]
    found = (filters, sizes["second filters"], sizes["third filters"])
    if found != (filters, filters * 3 // 2, filters * 3):
        raise BioqError(f"has {found} filters, expected 1, 1.5 and 3 times the first number")
    rest = {"pool_width": POOL_WIDTH, "floor": FLOOR}
    return convolution_network("deepsea", tensors, sizes, _LAYERS, rest)


def convolution_shapes(layers: Iterable[str], filters: Sequence[str]) -> dict[str, Shape]:
    """Return the shapes of a network of convolutions and two dense layers: `layers` are the names
    of all layers in the file, in order, `filters` the numbers of filters of the convolutions."""
    channels: Shape = (4, *filters)
    shapes: list[Shape] = [
        (own, before, 1, "filter_width") for own, before in zip(filters, channels, strict=False)
    ]
    shapes += [("dense_units", "inputs"), ("targets", "dense_units")]
    return {
        f"{name}.{kind}": shape if kind == "weight" else shape[:1]
        for name, shape in zip(layers, shapes, strict=True)
        for kind in ("weight", "bias")
    }


def convolution_network(
    model: str,
    tensors: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    layers: Mapping[str, str],
    rest: Mapping[str, object],
) -> Network:
    """Return a network of convolutions, which lose their height of 1, and two dense layers.

    `layers` are the names of the layers in the file, by BioQ's names; `rest` are the sizes that the
    file does not give.
    """
    weights = {
        f"{own}.{kind}": tensors[f"{name}.{kind}"]
        for own, name in layers.items()
        for kind in ("weight", "bias")
    }
    flat = {
        name: tensor.squeeze(2) if tensor.ndim == 4 else tensor for name, tensor in weights.items()
    }
    flat["conv1.weight"] = in_acgt(flat["conv1.weight"])
    given = {name: sizes[name] for name in ("filters", "filter_width", "dense_units")}
    return Network(model, sizes["targets"], {**given, **rest}, flat)


LAYOUT = Layout(
    name="deepsea",
    form="torch",
    window_bp=FAMILY.window_bp,
    shapes=convolution_shapes(_LAYERS.values(), ("filters", "second filters", "third filters")),
    network=_network,
)
