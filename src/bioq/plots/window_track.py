"""Probabilities of windows along a genome, as SVG for an HTML page: a bar per bin, at its place.

The page scrolls the bars sideways; the names of the targets stay.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.plots.numbers import probability_text
from bioq.plots.style import svg_start, svg_text

_LANE_PX, _AXIS_PX = 46, 26
_WIDE_PX, _LEAST_PX, _MOST_PX = 1080, 7, 90
"""Width of all bins together, and of a bin."""
_TICK_PX = 110
_TOPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Stretch:
    """Bins of one contig that follow each other: 0-based and half-open, `(bins,)` each."""

    contig: str
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @property
    def pixels_per_base(self) -> float:
        bins = len(self.starts)
        bin_px = min(max(_WIDE_PX / bins, _LEAST_PX), _MOST_PX)
        return float(bin_px * bins / (self.ends[-1] - self.starts[0]))

    @property
    def width(self) -> float:
        return self.x(int(self.ends[-1]))

    def x(self, position: int) -> float:
        """Return where a 0-based position is, in pixels."""
        return float((position - self.starts[0]) * self.pixels_per_base)

    def title(self, number: int) -> str:
        """Return the place of a bin, counted from 1."""
        return f"{self.contig}:{self.starts[number] + 1:,}-{self.ends[number]:,}"


def top_of(values: Floats) -> float:
    """Return the end of a lane's axis: a round number from the largest of its values on."""
    most = float(values.max())
    return next((top for top in _TOPS if top >= most), 1.0)


def draw_lane(
    stretch: Stretch,
    values: Floats,
    *,
    title: str,
    link: Callable[[int], str],
    chosen: int | None = None,
    colour: str = "",
) -> str:
    """Draw the probabilities `(bins,)` of one target from 0 to `top_of` them.

    A bar is a link to `link(number)`, which the keyboard skips: the table beside the figure has the
    same links. The bin `chosen` is marked. `title` is the text alternative.
    """
    top = top_of(values)
    parts = [svg_start("lane", stretch.width, _LANE_PX, title)]
    for number, value in enumerate(values):
        left, right = stretch.x(stretch.starts[number]), stretch.x(stretch.ends[number])
        high = _LANE_PX * float(value) / top
        paint = f' fill="{colour}"' if colour else ""
        ground = "bin chosen" if number == chosen else "bin"
        tip = f"{stretch.title(number)}: {probability_text(float(value))}"
        box = f'x="{left:.2f}" width="{right - left:.2f}"'
        bar = f'x="{left + 0.5:.2f}" width="{max(right - left - 1, 1):.2f}"'
        parts.append(
            f'<a href="{svg_text(link(number))}" tabindex="-1">'
            f"<title>{svg_text(tip)}</title>"
            f'<rect class="{ground}" {box} height="{_LANE_PX}"/>'
            f'<rect class="value" {bar} y="{_LANE_PX - high:.2f}" height="{high:.2f}"{paint}/></a>'
        )
    return "".join(
        [*parts, f'<path class="rule" d="M0 {_LANE_PX - 0.5}H{stretch.width:.1f}"/></svg>']
    )


def draw_axis(stretch: Stretch) -> str:
    """Draw the positions of a stretch, counted from 1."""
    parts = [svg_start("lane", stretch.width, _AXIS_PX)]
    every = _round_step(_TICK_PX / stretch.pixels_per_base)
    first, last = int(stretch.starts[0]) + 1, int(stretch.ends[-1])
    positions: Sequence[int] = range(-(-first // every) * every, last + 1, every)
    for position in positions or (first,):
        x = stretch.x(position - 1) + stretch.pixels_per_base / 2
        anchor = (
            "start" if x < _TICK_PX / 3 else "end" if x > stretch.width - _TICK_PX / 3 else "middle"
        )
        parts.append(
            f'<path class="rule" d="M{x:.1f} 0v5"/>'
            f'<text class="tick" x="{x:.1f}" y="18" text-anchor="{anchor}">{position:,}</text>'
        )
    return "".join([*parts, "</svg>"])


def _round_step(least: float) -> int:
    """Return a round number of bases, at least `least`."""
    power: int = 10 ** math.floor(math.log10(max(least, 1.0)))
    return next(share * power for share in (1, 2, 5, 10) if share * power >= least)
