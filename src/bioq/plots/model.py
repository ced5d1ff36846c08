"""Figures of a model: its layers with their shapes, and the parameters of every layer."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator

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
ROW = 0.78
"""Distance from one block to the next below it, in inches."""
LANE = 0.72
"""Distance from one branch to the next beside it, in inches."""
WIDE = 0.6
"""Width of the widest block, in inches."""
HIGH = 0.44
"""Height of the tallest block, in inches."""
TEXT = 2.65
"""Width of the texts beside the blocks, in inches."""
SCALE = (
    "Width of a block: its positions; height: its filters\nor units; both as logarithms. Arrows: "
    "from a layer\nto those that read it."
)
_MARGIN = 0.15
_TITLE = 1.2
_LETTERS = 36
"""Letters of a line of text beside a block."""
_LINE = "#333333"


def plot_architecture(summary: Summary) -> Figure:
    """Draw the layers as blocks from top to bottom, branches beside each other, with shapes (after
    Figure 2 of Conboy & Konka 2024), and below them the parameters of every layer on a logarithmic
    axis (their Figure 1).

    The width of a block is the logarithm of its positions, the height that of its channels. The
    figure is narrow, so that it can be read on a phone.
    """
    flow = _Flow.of(summary)
    weighted = [step.layer for step in flow.steps if step.layer.parameters]
    bars_high = 0.3 * len(weighted)
    width = max(flow.lanes * LANE + TEXT + 3 * _MARGIN, 4.2)
    flow_high = ROW * len(flow.steps)
    height = _TITLE + flow_high + 0.2 + bars_high + 0.6
    figure = Figure(figsize=(width, height))
    figure.suptitle(
        f"{summary.name}: {summary.parameters:,} parameters,\n"
        f"{_millions(summary.flops)} million operations per window",
        x=_MARGIN / width,
        y=1 - 0.1 / height,
        ha="left",
        va="top",
        fontsize=11,
    )
    axes = figure.add_axes((0, 1 - (_TITLE + flow_high) / height, 1, (_TITLE + flow_high) / height))
    _draw_flow(axes, flow, width=width)
    bars = figure.add_axes((0.95 / width, 0.5 / height, (width - 2.35) / width, bars_high / height))
    _draw_parameters(bars, weighted)
    return figure


@dataclass(frozen=True)
class _Step:
    """A layer in the drawing; dropouts are no steps, but texts."""

    layer: Layer
    inputs: tuple[int, ...]
    """Numbers of the steps that it reads."""
    lane: int
    """Its column, 0 at the left."""
    dropout: str = ""
    """The dropout after it."""


@dataclass(frozen=True)
class _Flow:
    """The steps from top to bottom, one in each row."""

    steps: tuple[_Step, ...]

    @property
    def lanes(self) -> int:
        return 1 + max(step.lane for step in self.steps)

    @classmethod
    def of(cls, summary: Summary) -> "_Flow":
        """Give each layer its column: that of its first input, or a new one if another layer
        continues there."""
        steps: list[_Step] = []
        step_of: list[int] = []  # of each layer
        for layer in summary.layers:
            if layer.kind.startswith("dropout"):
                number = step_of[layer.inputs[0]]
                text = f"then {layer.kind.partition(',')[0]}"
                steps[number] = replace(steps[number], dropout=text)
                step_of.append(number)
                continue
            inputs = tuple(dict.fromkeys(step_of[number] for number in layer.inputs))
            step_of.append(len(steps))
            steps.append(_Step(layer, inputs, _lane(steps, inputs)))
        return cls(tuple(steps))


def _lane(steps: Sequence[_Step], inputs: tuple[int, ...]) -> int:
    if not inputs:
        return 0
    lane = min(steps[number].lane for number in inputs)
    last_there = max(number for number, step in enumerate(steps) if step.lane == lane)
    return lane if last_there in inputs else 1 + max(step.lane for step in steps)


def _draw_flow(axes: Axes, flow: _Flow, *, width: float) -> None:
    """Draw one block per step, in inches from the top, on axes without a frame."""
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(_TITLE + ROW * len(flow.steps), 0)
    axes.text(_MARGIN, 0.58, SCALE, ha="left", va="top", color="#555555", fontsize=8)
    layers = [step.layer for step in flow.steps]
    boxes = [
        _Box(
            _MARGIN + LANE * (step.lane + 0.5),
            _TITLE + ROW * (row + 0.5),
            *_block_size(step.layer, layers),
        )
        for row, step in enumerate(flow.steps)
    ]
    for row, step in enumerate(flow.steps):
        for number in step.inputs:
            between = {other.lane for other in flow.steps[number + 1 : row]}
            is_passed = flow.steps[number].lane == step.lane and step.lane in between
            _draw_arrow(axes, boxes[number], boxes[row], is_passed=is_passed)
    for step, box in zip(flow.steps, boxes, strict=True):
        axes.add_patch(
            Rectangle(
                (box.x - box.wide / 2, box.y - box.high / 2),
                box.wide,
                box.high,
                facecolor=_colour(step.layer),
                zorder=3,
            )
        )
        name, *details = _texts(step)
        x, y = 2 * _MARGIN + LANE * flow.lanes, box.y - 0.075 * (1 + len(details))
        axes.text(x, y, name, ha="left", va="top", weight="bold", fontsize=9)
        axes.text(x, y + 0.155, "\n".join(details), ha="left", va="top", fontsize=8)


@dataclass(frozen=True)
class _Box:
    """A block: its middle and size, in inches."""

    x: float
    y: float
    wide: float
    high: float


def _draw_arrow(axes: Axes, start: _Box, end: _Box, *, is_passed: bool) -> None:
    """Draw an arrow between two blocks: straight down, or with corners to another lane. An arrow
    past blocks of its own lane (`is_passed`) goes around them at the left."""
    if is_passed:
        side = start.x - WIDE / 2 - 0.08
        left = end.x - end.wide / 2
        points = [
            (start.x - start.wide / 2, start.y), (side, start.y), (side, end.y), (left, end.y)
        ]  # fmt: skip
    elif start.x == end.x:
        points = [(start.x, start.y + start.high / 2), (end.x, end.y - end.high / 2)]
    elif start.x < end.x:  # a branch begins
        points = [(start.x + start.wide / 2, start.y), (end.x, start.y)]
        points.append((end.x, end.y - end.high / 2))
    else:  # a branch ends
        points = [(start.x, start.y + start.high / 2), (start.x, end.y)]
        points.append((end.x + end.wide / 2, end.y))
    axes.plot(*zip(*points[:-1], strict=True), color=_LINE, linewidth=1.2, zorder=1)
    axes.annotate(
        "",
        points[-1],
        points[-2],
        arrowprops={
            "arrowstyle": "-|>", "color": _LINE, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0
        },
        zorder=2,
    )  # fmt: skip


def _draw_parameters(axes: Axes, weighted: Sequence[Layer]) -> None:
    """Draw one horizontal bar per layer with weights, first layer on top."""
    rows = np.arange(len(weighted))
    counts = [layer.parameters for layer in weighted]
    axes.barh(rows, counts, height=0.65, color=[_colour(layer) for layer in weighted])
    axes.set_xscale("log")
    axes.set_xlim(min(counts) / 10, max(counts) * 1.1)
    axes.set_yticks(rows, [layer.layer for layer in weighted], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()
    axes.set_xlabel("parameters (logarithmic axis)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    total = sum(counts)
    for row, count in zip(rows, counts, strict=True):
        axes.annotate(
            f"{count:,} ({_percent(count / total)})",
            (count, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            annotation_clip=False,
        )


def _block_size(layer: Layer, steps: Sequence[Layer]) -> tuple[float, float]:
    """Return (wide, high) of a block in inches."""
    channels, positions = _channels_positions(layer)
    most_channels = max(_channels_positions(step)[0] for step in steps)
    most_positions = max(_channels_positions(step)[1] for step in steps)
    wide = 0.1 + (WIDE - 0.1) * np.log(positions + 1) / np.log(most_positions + 1)
    high = 0.1 + (HIGH - 0.1) * np.log(channels + 1) / np.log(most_channels + 1)
    return float(wide), float(high)


def _channels_positions(layer: Layer) -> tuple[int, int]:
    lengths = dict(zip(layer.axes, layer.output, strict=True))
    positions = lengths.pop("position", 1)
    if len(lengths) > 1 and "target" in lengths:  # units of every target
        positions = lengths.pop("target")
    return math.prod(lengths.values()), positions


def _colour(layer: Layer) -> str:
    return COLOURS.get(layer.kind.replace(",", " ").split()[0], "#999999")


def _texts(step: _Step) -> list[str]:
    """Return the lines beside a block: name, operation, shape and dropout."""
    layer = step.layer
    kind = "DNA window (one-hot)" if layer.layer == "windows" else layer.kind
    kind = kind.replace(" x ", "\u00a0x\u00a0").replace(" of ", " of\u00a0")  # not at a line's end
    dropout = [step.dropout] if step.dropout else []
    return [layer.layer, *textwrap.wrap(kind, _LETTERS), shape_text(layer), *dropout]


def _percent(share: float) -> str:
    return "<0.1%" if share < 0.001 else f"{share:.1%}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.0f}" if count >= 1e7 else f"{count / 1e6:.2g}"
