"""Beluga, the network of ExPecto (Zhou et al. 2018), in PyTorch.

Convolutions are two-dimensional, with height 1.
"""

from collections.abc import Mapping

from torch import Tensor

from bioq.errors import BioqError
from bioq.models.beluga import FAMILY
from bioq.published.deepsea import convolution_network, convolution_shapes
from bioq.published.layout import (
    Layout,
    Network,
    Reading,
    require_window,
)

POOL_WIDTH: int = FAMILY.published["beluga"].pool_width
"""Of both poolings; no file has it."""
_LAYERS = {
    "conv1": "model.0.0",
    "conv2": "model.0.2",
    "conv3": "model.0.6",
    "conv4": "model.0.8",
    "conv5": "model.0.12",
    "conv6": "model.0.14",
    "dense": "model.1.2.1",
    "output": "model.1.4.1",
}
"""Layer of BioQ's network -> its name in the file."""
_FILTERS = ("filters", "filters", "third filters", "third filters", "2 filters", "2 filters")


def _network(tensors: Mapping[str, Tensor], sizes: Mapping[str, int], reading: Reading) -> Network:
    width, filters = sizes["filter_width"], sizes["filters"]
    require_window(
        sizes["inputs"],
        2 * filters,
        [(width, 1), (width, POOL_WIDTH), (width, 1), (width, POOL_WIDTH), (width, 1), (width, 1)],
        reading.window_bp,
    )
    if sizes["third filters"] != filters * 3 // 2:
        raise BioqError(
            f"has {filters} filters and then {sizes['third filters']}, expected 1.5 times as many"
        )
    return convolution_network("beluga", tensors, sizes, _LAYERS, {"pool_width": POOL_WIDTH})


LAYOUT = Layout(
    name="beluga",
    form="torch",
    window_bp=FAMILY.window_bp,
    shapes=convolution_shapes(_LAYERS.values(), _FILTERS),
    network=_network,
)
