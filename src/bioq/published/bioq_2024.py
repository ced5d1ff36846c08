"""BioQ as its first authors trained it (Conboy & Konka 2024), in PyTorch."""

from collections.abc import Mapping

from torch import Tensor

from bioq.models.danq import FAMILY
from bioq.published.danq import danq_sizes
from bioq.published.layout import Layout, Network, Reading, Shape, in_acgt

_LSTM = "brnn.0."


def _lstm_shapes() -> dict[str, Shape]:
    """Return the shapes of two layers of a bidirectional `nn.LSTM`."""
    shapes: dict[str, Shape] = {}
    for layer, inputs in enumerate(("filters", "2 lstm_units")):
        for direction in ("", "_reverse"):
            end = f"_l{layer}{direction}"
            shapes |= {
                f"{_LSTM}weight_ih{end}": ("4 lstm_units", inputs),
                f"{_LSTM}weight_hh{end}": ("4 lstm_units", "lstm_units"),
                f"{_LSTM}bias_ih{end}": ("4 lstm_units",),
                f"{_LSTM}bias_hh{end}": ("4 lstm_units",),
            }
    return shapes


_SHAPES: dict[str, Shape] = {
    "conv.0.weight": ("filters", 4, "filter_width"),
    "conv.0.bias": ("filters",),
    **_lstm_shapes(),
    "brnn.3.weight": ("dense_units", "inputs"),
    "brnn.3.bias": ("dense_units",),
    "brnn.5.weight": ("targets", "dense_units"),
    "brnn.5.bias": ("targets",),
}


def _network(tensors: Mapping[str, Tensor], sizes: Mapping[str, int], reading: Reading) -> Network:
    chosen = danq_sizes(sizes, reading.window_bp) | {"lstm_layers": 2}
    weights = {
        "conv.weight": in_acgt(tensors["conv.0.weight"]),
        "conv.bias": tensors["conv.0.bias"],
        "dense.weight": tensors["brnn.3.weight"],
        "dense.bias": tensors["brnn.3.bias"],
        "output.weight": tensors["brnn.5.weight"],
        "output.bias": tensors["brnn.5.bias"],
    }
    for name, tensor in tensors.items():
        if name.startswith(_LSTM):
            weights[f"lstm.{name.removeprefix(_LSTM)}"] = tensor
    return Network("bioq", sizes["targets"], chosen, weights)


LAYOUT = Layout(
    name="bioq-2024",
    form="torch",
    window_bp=FAMILY.window_bp,
    shapes=_SHAPES,
    network=_network,
)
