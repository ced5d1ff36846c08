"""Figures of a model: its layers with their shapes, and the parameters of every layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from bioq.models.summary import Layer, Summary, shape_text

# Okabe & Ito's colours, which colour-blind readers can distinguish; one per kind of layer.
COLOURS = {
    "one-hot": "#999999",
    "convolution": "#0072B2",
    "max": "#56B4E9",
    "bidirectional": "#D55E00",
    "attention": "#CC79A7",
    "dense": "#009E73",
}
STEP = 1.9
"""Distance from one block to the next, in inches."""
TALL = 2.0
"""Height of the tallest block, in inches."""
WIDE = 0.95
"""Width of the widest block, in inches."""
SCALE = "Height of a block: its positions; width: its filters or units; both as logarithms."


def plot_architecture(summary: Summary) -> Figure:
    """Draw the layers as blocks with shapes (Figure 2 of Conboy & Konka 2024), and below them the
    parameters of every layer on a logarithmic axis (their Figure 1).

    The height of a block is the logarithm of its positions, the width that of its channels.
    """
    steps = [layer for layer in summary.layers if not layer.kind.startswith("dropout")]
    weighted = [layer for layer in steps if layer.parameters]
    bars_high = 0.42 * len(weighted)
    figure = Figure(figsize=(max(STEP * len(steps) + 0.4, 8), 4.6 + bars_high + 1.3))
    width, height = figure.get_size_inches()
    figure.suptitle(
        f"{summary.name}: {summary.parameters:,} parameters, "
        f"{_millions(summary.flops)} million operations per window",
        x=0.2 / width,
        y=1 - 0.18 / height,
        ha="left",
        va="top",
        fontsize=13,
    )
    flow = figure.add_axes((0, (bars_high + 1.2) / height, 1, 4.2 / height))
    _draw_flow(flow, steps, dropouts=_dropouts(summary.layers), width=width)
    bars = figure.add_axes((2.0 / width, 0.75 / height, (width - 3.6) / width, bars_high / height))
    _draw_parameters(bars, weighted)
    return figure


def _draw_flow(
    axes: Axes, steps: Sequence[Layer], *, dropouts: dict[int, str], width: float
) -> None:
    """Draw one block per step, in inches, on axes without a frame."""
    axes.set_axis_off()
    axes.text(0.2, 4.12, SCALE, ha="left", va="top", color="#555555", fontsize=9)
    axes.set_xlim(0, width)
    axes.set_ylim(0, 4.2)
    left = (width - STEP * len(steps)) / 2 + STEP / 2
    middle = 1.85
    sizes = [_block_size(layer, steps) for layer in steps]
    for number, (layer, (wide, high)) in enumerate(zip(steps, sizes, strict=True)):
        x = left + STEP * number
        axes.add_patch(
            Rectangle((x - wide / 2, middle - high / 2), wide, high, facecolor=_colour(layer))
        )
        above = middle + TALL / 2 + 0.12
        axes.text(x, above, layer.layer, ha="center", va="bottom", weight="bold")
        axes.text(x, above + 0.19, _operation(layer), ha="center", va="bottom")
        axes.text(x, middle - TALL / 2 - 0.15, _shape(layer), ha="center", va="top")
        if number:
            start = x - STEP + sizes[number - 1][0] / 2 + 0.06
            axes.add_patch(
                FancyArrowPatch(
                    (start, middle),
                    (x - wide / 2 - 0.06, middle),
                    arrowstyle="-|>",
                    mutation_scale=12,
                    color="#333333",
                )
            )
        if number in dropouts:
            axes.text(x, 0.1, dropouts[number], ha="center", va="bottom", color="#555555")


def _draw_parameters(axes: Axes, weighted: Sequence[Layer]) -> None:
    """Draw one horizontal bar per layer with weights, first layer on top."""
    rows = np.arange(len(weighted))
    counts = [layer.parameters for layer in weighted]
    axes.barh(rows, counts, height=0.65, color=[_colour(layer) for layer in weighted])
    axes.set_xscale("log")
    axes.set_xlim(min(counts) / 10, max(counts) * 1.1)
    axes.set_yticks(rows, [layer.layer for layer in weighted])
    axes.invert_yaxis()
    axes.set_xlabel("parameters (logarithmic axis)")
    axes.spines[["top", "right"]].set_visible(False)
    total = sum(counts)
    for row, count in zip(rows, counts, strict=True):
        axes.annotate(
            f"{count:,} ({_percent(count / total)})",
            (count, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )


def _dropouts(layers: Sequence[Layer]) -> dict[int, str]:
    """Return number of a step -> text of the dropout after it; dropouts are not steps."""
    dropouts: dict[int, str] = {}
    steps = 0
    for layer in layers:
        if layer.kind.startswith("dropout"):
            dropouts[steps - 1] = "then " + layer.kind.partition(",")[0]
        else:
            steps += 1
    return dropouts


def _block_size(layer: Layer, steps: Sequence[Layer]) -> tuple[float, float]:
    """Return (wide, high) of a block in inches."""
    channels, positions = _channels_positions(layer)
    most_channels = max(_channels_positions(step)[0] for step in steps)
    most_positions = max(_channels_positions(step)[1] for step in steps)
    wide = 0.15 + (WIDE - 0.15) * np.log(channels + 1) / np.log(most_channels + 1)
    high = 0.15 + (TALL - 0.15) * np.log(positions + 1) / np.log(most_positions + 1)
    return float(wide), float(high)


def _channels_positions(layer: Layer) -> tuple[int, int]:
    lengths = dict(zip(layer.axes, layer.output, strict=True))
    positions = lengths.pop("position", 1)
    if len(lengths) > 1:  # units of every target
        positions = lengths.pop("target")
    (channels,) = lengths.values()
    return channels, positions


def _colour(layer: Layer) -> str:
    return COLOURS.get(layer.kind.replace(",", " ").split()[0], "#999999")


def _operation(layer: Layer) -> str:
    """Return the operation of a step in short lines."""
    words = layer.kind.replace("bidirectional LSTM", "bidirectional\nLSTM")
    words = words.replace("convolution ", "convolution\n").replace("max pooling ", "max pooling\n")
    if layer.layer == "windows":
        return "DNA window\n(one-hot)"
    return words.replace(", ", "\n").replace(" of ", "\nof ")


def _shape(layer: Layer) -> str:
    """Return the shape of a step's output in lines, positions last."""
    return "\n".join(sorted(shape_text(layer).split(" x "), key=lambda part: "position" in part))


def _percent(share: float) -> str:
    return "<0.1%" if share < 0.001 else f"{share:.1%}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.0f}" if count >= 1e7 else f"{count / 1e6:.2g}"
