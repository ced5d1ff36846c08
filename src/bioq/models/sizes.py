"""Sizes of a model that a user may change. Does not import torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from bioq.errors import BioqError, UsageError, did_you_mean, nearest
from bioq.options import Range, Share, check_types

Units = Annotated[int, Range(least=1, most=16_384)]
"""Filters or units of a layer; published networks have up to 4,096."""
Positions = Annotated[int, Range(least=1, most=1 << 20)]
"""Not more than a window has bases (`options.WindowBp`)."""
Layers = Annotated[int, Range(least=1, most=64)]
"""Layers of one kind; building a network takes time for each."""
Gates = Literal["sigmoid", "hard"]
Floor = Annotated[float, Range(least=0, most=1)]
SecondLstm = Literal["backward", "forward"]


@dataclass(frozen=True)
class ModelSizes:
    """Sizes of a model; None keeps the published one."""

    filters: Units | None = None
    """Filters of the first convolution; deepsea's second and third
    convolutions have 1.5 and 3 times as many, beluga's others 1, 1.5, 1.5, 2 and 2 times."""
    filter_width: Positions | None = None
    """Width of a filter in positions; in bases for the first convolution."""
    pool_width: Positions | None = None
    """Positions of which max pooling keeps the largest value."""
    lstm_units: Units | None = None
    """Units of the LSTM in each direction; deepsea and beluga have no LSTM."""
    lstm_layers: Layers | None = None
    """Layers of the LSTM; deepsea and beluga have no LSTM."""
    dense_units: Units | None = None
    """Units of the fully connected layer before the targets."""
    dropout_conv: Share | None = None
    """Share dropped after pooling, while training."""
    dropout_head: Share | None = None
    """Share dropped before the fully connected layer, while training."""
    attention_units: Units | None = None
    """Units of all heads of the attention together; deepatt only."""
    attention_heads: Units | None = None
    """Heads of the attention; deepatt only."""
    composition_share: Share | None = None
    """Weight of the linear model of 5-mers in the logits, 0 without it; marq only."""
    gates: Gates | None = None
    """Gates of the LSTM: sigmoid, or hard: clip(0.2 x + 0.5, 0, 1), as in
    DanQ's published weights; bioq, danq and danq-jaspar only."""
    second_lstm: SecondLstm | None = None
    """Direction in which the second half of the LSTM reads the positions: backward, or
    forward as the first half; forward only with hard gates (docs/how-to/published-models.md)."""
    floor: Floor | None = None
    """Output of a unit whose sum is not above 0. 0 is ReLU; DeepSEA's
    published weights have 1e-6; deepsea only."""

    def __post_init__(self) -> None:
        check_types(self)


AS_PUBLISHED = ModelSizes()
"""Every size as published."""


def sizes_from(values: Mapping[str, object]) -> ModelSizes:
    """Return the sizes in a mapping of names to values; raises UsageError for an unknown name."""
    known = [field.name for field in fields(ModelSizes)]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise UsageError(
            f"model size {unknown[0]!r} is unknown; "
            f"{did_you_mean(nearest(unknown[0], known, most=1))}"
            f"the sizes of a model are {', '.join(known)}"
        )
    return ModelSizes(**values)  # type: ignore[arg-type]  # ModelSizes checks the values


def pooled_positions(window_bp: int, filter_width: int, pool_width: int) -> int:
    """Return the number of positions of a window after a convolution and max pooling.

    Raises BioqError if the window is too short for one position.
    """
    positions = (window_bp - filter_width + 1) // pool_width
    if positions < 1:
        raise BioqError(
            f"window of {window_bp} bp is too short for this model; "
            f"expected at least {filter_width + pool_width - 1} bp: "
            "take longer windows, or a smaller filter_width or pool_width"
        )
    return positions


def used_positions(window_bp: int, filter_width: int, pool_widths: Sequence[int]) -> list[int]:
    """Return the positions after each of several convolutions and its max pooling that the next
    layer uses; a pool of width 1 is no pooling.

    The layers may compute a few positions more, which a later pooling drops. Raises BioqError if
    the window is too short for one position after the last layer.
    """
    last, needed = window_bp, 1
    for pool_width in pool_widths:
        last = (last - filter_width + 1) // pool_width
    for pool_width in reversed(pool_widths):
        needed = needed * pool_width + filter_width - 1
    if last < 1:
        raise BioqError(
            f"window of {window_bp} bp is too short for this model; "
            f"expected at least {needed} bp: "
            "take longer windows, or a smaller filter_width or pool_width"
        )
    positions = [last]
    for pool_width in reversed(pool_widths[1:]):
        positions.insert(0, positions[0] * pool_width + filter_width - 1)
    return positions
