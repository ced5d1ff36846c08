"""Weights in the order that oneDNN wants, arranged once instead of at every call.

The operators are private to PyTorch (torch.compile uses them), and any version may change them:
this is the only module that names them. Without them the layers use PyTorch's public functions.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from bioq.progress import say

Packed = TypeVar("Packed")
_PACK_FOR = 64
"""Rows that oneDNN expects when it packs weights; it takes any number."""
_LSTM_MODE = 2
"""PyTorch's number of an LSTM among its recurrent layers."""


def packed(pack: Callable[[], Packed]) -> Packed | None:
    """Return the result of `pack()`; None if PyTorch has no oneDNN for this processor.

    Also returns None, and prints one note on stderr, if this PyTorch has oneDNN but not these
    operators.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        return pack()
    except (NotImplementedError, RuntimeError) as error:
        _say_slower(str(error).partition("\n")[0] or type(error).__name__)
        return None


def has_bf16() -> bool:
    """Return whether this processor multiplies bf16 by oneDNN."""
    return bool(packed(lambda: _operator("mkldnn", "_is_mkldnn_bf16_supported")()))


def pack_matrix(weights: Tensor) -> Callable[[Tensor, Tensor | None], Tensor]:
    """Return a function from rows `(n, inputs)` and a bias, or None, to `(n, outputs)`.

    `weights` is `(outputs, inputs)`. Raises NotImplementedError or RuntimeError if this PyTorch
    cannot do it.
    """
    reorder, multiply = (
        _operator("mkldnn", name) for name in ("_reorder_linear_weight", "_linear_pointwise")
    )
    reordered = reorder(weights.contiguous(), _PACK_FOR)

    def of_rows(rows: Tensor, bias: Tensor | None) -> Tensor:
        product: Tensor = multiply(rows, reordered, bias, "none", [], "")
        return product

    return of_rows


def pack_direction(
    weights: Sequence[Tensor], *, backward: bool = False
) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return a function that reads one layer of an LSTM in one direction.

    It takes the inputs `(position, n, width)` and the hidden and the cell state to start from, each
    `(n, units)`, and returns the outputs `(position, n, units)` and both states after the last
    step. `weights` are those of that layer and direction: `[weight_ih, weight_hh, bias_ih,
    bias_hh]`. Raises NotImplementedError or RuntimeError if this PyTorch cannot do it.
    """
    # oneDNN reads the memory of weights in its order, whatever their strides.
    of_input, of_state, *biases = (weight.detach().contiguous() for weight in weights)
    units = of_state.shape[1]
    reorder = _operator("mkldnn", "_reorder_mkldnn_rnn_layer_weight")
    read_layer = _operator("aten", "mkldnn_rnn_layer")
    arranged = (*reorder(of_input, of_state, units, backward, True, False), *biases)
    # With biases; one direction, positions first, no training.
    options: tuple[Any, ...] = (backward, [], _LSTM_MODE, units, 1, True, False, False, False)

    def read(inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        read, hidden, cell, _ = read_layer(inputs, *arranged, hidden[None], cell[None], *options)
        return read, hidden[0], cell[0]

    zeros = of_input.new_zeros((1, units))  # an operator may exist and refuse
    read(of_input.new_zeros((1, 1, of_input.shape[1])), zeros, zeros)
    return read


def _operator(namespace: str, name: str) -> Any:
    try:
        return getattr(getattr(torch.ops, namespace), name)
    except AttributeError as error:
        raise NotImplementedError(f"no operator {namespace}.{name}") from error


@cache
def _say_slower(reason: str) -> None:
    say(
        f"PyTorch {torch.__version__} cannot pack weights ({reason}): "
        "results are the same, predictions on this CPU are slower"
    )
