"""DanQ and DanQ-JASPAR (Quang & Xie 2016), in Keras 0.2 on Theano.

What that Keras does otherwise than PyTorch is folded into the weights, so that the run is a `danq`
with hard gates: Theano's convolution flips the filters; the gates of the LSTM have another order
and one bias; dropout scales at test time instead of while training.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from bioq.models.danq import FAMILY
from bioq.published.layout import (
    Layout,
    Network,
    Reading,
    Shape,
    in_acgt,
    require_window,
)

KEPT_POOLED, KEPT_STATES = 0.8, 0.5
"""Shares that the dropouts of 0.2 and 0.5 keep. Keras 0.2 multiplies with them at test time."""
_CONVOLUTION, _LSTM = "layer_0", "layer_3"
_GATES = (0, 2, 1, 3)
"""Keras's order is input, cell, forget, output; PyTorch's is input, forget, cell, output."""
_DIRECTIONS = ("", "_reverse")


def _shapes(dense: str, output: str) -> dict[str, Shape]:
    """Return the shapes of a file whose dense layers are the layers `dense` and `output`."""
    gate: tuple[Shape, ...] = (
        ("filters", "lstm_units"),
        ("lstm_units", "lstm_units"),
        ("lstm_units",),
    )
    lstm = gate * 4 * 2  # the four gates of both directions
    return {
        f"{_CONVOLUTION}/param_0": ("filters", 4, "filter_width", 1),
        f"{_CONVOLUTION}/param_1": ("filters",),
        **{f"{_LSTM}/param_{number}": shape for number, shape in enumerate(lstm)},
        f"{dense}/param_0": ("inputs", "dense_units"),
        f"{dense}/param_1": ("dense_units",),
        f"{output}/param_0": ("dense_units", "targets"),
        f"{output}/param_1": ("targets",),
    }


def _network(
    model: str,
    dense: str,
    output: str,
    tensors: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    reading: Reading,
) -> Network:
    chosen = danq_sizes(sizes, reading.window_bp)
    filters = tensors[f"{_CONVOLUTION}/param_0"].squeeze(3)
    weights = {
        "conv.weight": in_acgt(filters.flip(2)),
        "conv.bias": tensors[f"{_CONVOLUTION}/param_1"],
        "dense.weight": KEPT_STATES * tensors[f"{dense}/param_0"].t(),
        "dense.bias": tensors[f"{dense}/param_1"],
        "output.weight": tensors[f"{output}/param_0"].t(),
        "output.bias": tensors[f"{output}/param_1"],
    }
    for number, direction in enumerate(_DIRECTIONS):
        gates = [
            [tensors[f"{_LSTM}/param_{12 * number + 3 * gate + kind}"] for gate in _GATES]
            for kind in range(3)
        ]
        of_inputs, of_states, biases = (torch.cat(kind, dim=-1) for kind in gates)
        weights |= {
            f"lstm.weight_ih_l0{direction}": KEPT_POOLED * of_inputs.t(),
            f"lstm.weight_hh_l0{direction}": of_states.t(),
            f"lstm.bias_ih_l0{direction}": biases,
            f"lstm.bias_hh_l0{direction}": torch.zeros_like(biases),
        }
    changes = {"lstm_layers": 1, "gates": "hard", "second_lstm": reading.second_lstm}
    return Network(model, sizes["targets"], chosen | changes, weights)


def danq_sizes(sizes: Mapping[str, int], window_bp: int) -> dict[str, object]:
    """Return the sizes of BioQ's DanQ for those that a file gives.

    The width of the pooling is in no file; in each published network it is half of the filters'
    (13 of 26, 15 of 30). Raises BioqError, without the name of the file, for windows of another
    length than the network's.
    """
    pool_width = max(sizes["filter_width"] // 2, 1)
    steps = [(sizes["filter_width"], pool_width)]
    require_window(sizes["inputs"], 2 * sizes["lstm_units"], steps, window_bp)
    return {
        **{name: sizes[name] for name in ("filters", "filter_width", "lstm_units", "dense_units")},
        "pool_width": pool_width,
    }


def _layout(model: str, dense: str, output: str) -> Layout:
    return Layout(
        name=model,
        form="keras",
        window_bp=FAMILY.window_bp,
        shapes=_shapes(dense, output),
        network=partial(_network, model, dense, output),
        has_second_lstm=True,
    )


LAYOUTS = (
    _layout("danq", "layer_6", "layer_8"),
    _layout("danq-jaspar", "layer_6", "layer_7"),
)
