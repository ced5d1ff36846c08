"""The record of a layout: how the weights of a published network are arranged in a file.

`layouts.LAYOUTS` collects the records: a new layout is a module with its record, and one name in
that tuple.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from bioq.errors import BioqError, some
from bioq.files.typed import name_text
from bioq.models.sizes import SecondLstm
from bioq.published.data import CHANNELS
from bioq.published.publications import PUBLICATIONS, Publication

_ORDER = [CHANNELS.index(base) for base in "ACGT"]
Shape = tuple[int | str, ...]
"""Lengths of the axes of a tensor. A text is the name of a size, which the file decides, perhaps
behind a factor: `4 lstm_units`."""


@dataclass(frozen=True)
class Reading:
    """How a file is read where it does not decide it."""

    window_bp: int
    """Length of the windows: the file has only the number of positions that a window gives."""
    second_lstm: SecondLstm = "backward"
    """The direction in which the second LSTM of a Keras file reads the positions."""


@dataclass(frozen=True)
class Network:
    """A network read from a file, in BioQ's arrangement."""

    model: str
    """Name of the model, as `build_model` takes it."""
    targets: int
    sizes: Mapping[str, object]
    """Its sizes, as `build_model` takes them."""
    weights: Mapping[str, Tensor]
    """Name of each weight of BioQ's network -> its values."""


@dataclass(frozen=True)
class Layout:
    """How the weights of one network are arranged in a file."""

    name: str
    """As `config.json` records it, and of its publication."""
    form: Literal["torch", "keras"]
    window_bp: int
    """Length of the windows of the published network."""
    shapes: Mapping[str, Shape]
    """Name of each tensor, behind a prefix that all share -> its shape."""
    network: Callable[[Mapping[str, Tensor], Mapping[str, int], Reading], Network]
    """`(tensors, sizes, reading)` -> the network; raises BioqError, without the name of the file,
    where the sizes are not those of such a network."""
    has_second_lstm: bool = False
    """Whether `Reading.second_lstm` applies."""

    @property
    def publication(self) -> Publication:
        return PUBLICATIONS[self.name]


def in_acgt(filters: Tensor) -> Tensor:
    """Return filters `(filter, 4, width)` of the published order of channels in A, C, G, T."""
    return filters[:, _ORDER]


def sizes_of(tensors: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Return the sizes that the shapes of tensors give, by their names.

    Raises BioqError, without the name of the file, for a tensor that is missing or unknown, has
    another shape or another type than float32.
    """
    missing = [name for name in shapes if name not in tensors]
    unknown = [name_text(name) for name in tensors if name not in shapes]
    if missing or unknown:
        raise BioqError(
            (f"has no {some(missing, 3)}" if missing else f"has also {some(unknown, 3)}")
            + f"; expected the {len(shapes)} tensors of this layout and no other"
        )
    sizes: dict[str, int] = {}
    for name, expected in shapes.items():
        tensor = tensors[name]
        if tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise BioqError(f"{name} is of type {kind}, expected float32")
        found = tuple(tensor.shape)
        if len(found) != len(expected) or not all(map(partial(_fits, sizes), expected, found)):
            words = ", ".join(_in_words(axis, sizes) for axis in expected)
            raise BioqError(f"{name} has the shape {found}, expected ({words})")
    return sizes


def _fits(sizes: dict[str, int], axis: int | str, length: int) -> bool:
    """Return whether an axis may have a length; the first length of a size becomes that size."""
    if isinstance(axis, int):
        return length == axis
    factor, name = _parts(axis)
    return length == factor * sizes.setdefault(name, length // factor) and length > 0


def _parts(axis: str) -> tuple[int, str]:
    """Return the factor and the name of the size in a text such as `4 lstm_units`."""
    factor, _, name = axis.partition(" ")
    return (int(factor), name) if factor.isdigit() else (1, axis)


def _in_words(axis: int | str, sizes: Mapping[str, int]) -> str:
    if isinstance(axis, int):
        return str(axis)
    factor, name = _parts(axis)
    return f"{axis} = {factor * sizes[name]}" if name in sizes else axis


def require_window(
    inputs: int, per_position: int, steps: Sequence[tuple[int, int]], window_bp: int
) -> None:
    """Raise BioqError, without the name of the file, unless windows of `window_bp` give a dense
    layer its inputs.

    `steps` are the width of each convolution and of the pooling behind it, in order; 1 for none.
    """
    positions, left = divmod(inputs, per_position)
    if left:
        raise BioqError(
            f"its first dense layer reads {inputs:,} numbers, expected a multiple of "
            f"{per_position:,}, which is one position"
        )
    least = most = positions
    for filter_width, pool_width in reversed(steps):
        least = least * pool_width + filter_width - 1
        most = most * pool_width + pool_width - 1 + filter_width - 1
    if not least <= window_bp <= most:
        raise BioqError(
            f"its first dense layer reads {positions:,} positions, which windows of {window_bp:,} "
            f"bp do not give; give --window-bp, from {least:,} to {most:,}"
        )
