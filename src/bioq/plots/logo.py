"""A sequence logo at reading size, as SVG for an HTML page: a fixed width per base, scrolled there.

The page's style sheet colours the letters (`base-A` to `base-T`), the names and the alleles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Outline

from bioq import dna
from bioq.inputs import Locus
from bioq.plots.interpretation import letter_outline
from bioq.plots.names import short_name
from bioq.plots.numbers import signed_text
from bioq.plots.style import svg_start, svg_text

BASE_PX = 15
"""Width of a base: its letter is readable on a phone too."""
_LOGO_PX, _LANE_PX, _RULER_PX = 150, 21, 24
_AXIS_PX = 44
_LETTER_PX = 7.2
"""Width of a letter of a name, at most."""
_MOST_LETTERS = 24
_TICK_BASES = 10

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NamedSite:
    """Bases that are marked above a logo: their interval among the drawn bases, half-open."""

    start: int
    end: int
    name: str
    """Empty: the site is marked, but has no name."""
    more: str
    """The text that appears on hover after the name."""
    is_first: bool = False
    """Whether the page scrolls to this site first."""


@dataclass(frozen=True)
class Logo:
    """A logo as two `<svg>` elements: its axis, and the letters, which scroll beside the axis."""

    axis: str
    letters: str


def draw_scrolled_logo(
    locus: Locus,
    heights: Floats,
    sites: Sequence[NamedSite],
    *,
    scale: tuple[float, float],
    name: str,
    title: str,
) -> Logo:
    """Draw the bases of a locus, `heights` `(bases,)` high: below the line where negative.

    `scale` is the lowest and the highest value of the axis; logos of one scale are comparable.
    Ids begin with `name`; `title` is the text alternative. Positions on the ruler count from 1.
    """
    width = BASE_PX * len(heights)
    places = [_place(site, width) for site in sites]
    lanes = _lanes(places)
    above = _LANE_PX * (max(lanes, default=-1) + 1) + 4
    plot = _Plot(above, *scale)
    height = above + _LOGO_PX + _RULER_PX
    parts = [svg_start("logo", width, height, title), _definitions(name)]
    if locus.allele is not None:
        first, last = locus.allele
        parts.append(
            f'<rect class="allele" x="{BASE_PX * first}" y="{above}" '
            f'width="{BASE_PX * (last - first)}" height="{_LOGO_PX}"/>'
        )
    parts.append(f'<path class="rule" d="M0 {plot.y(0):.1f}H{width}"/>')
    parts += _letters(locus, heights, plot, name)
    for number, (site, place, lane) in enumerate(zip(sites, places, lanes, strict=True)):
        parts.append(_site(site, place, above - _LANE_PX * lane - 4, f"{name}-site-{number + 1}"))
    parts += [*_ruler(locus, above + _LOGO_PX), "</svg>"]
    return Logo(_axis(plot, height), "\n".join(parts))


@dataclass(frozen=True)
class _Plot:
    top: float
    low: float
    high: float

    def y(self, value: float) -> float:
        """Return the vertical position of a value."""
        return self.top + (self.high - value) * self.pixels

    @property
    def pixels(self) -> float:
        """Pixels per unit of the axis."""
        return _LOGO_PX / ((self.high - self.low) or 1.0)


def _definitions(name: str) -> str:
    paths = (f'<path id="{name}-{letter}" d="{_path(letter)}"/>' for letter in dna.BASES)
    return f"<defs>{''.join(paths)}</defs>"


@cache
def _path(letter: str) -> str:
    """Return the outline of a letter, in the unit square, as an SVG path."""
    outline = letter_outline(letter)
    signs = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    parts = []
    for vertices, code in outline.iter_segments(simplify=False):
        points = " ".join(f"{number:.3f}" for number in vertices)
        parts.append(f"{signs[code]}{points}" if code in signs else "Z")
    return "".join(parts)


def _letters(locus: Locus, heights: Floats, plot: _Plot, name: str) -> list[str]:
    """Return a group per base: its letter, and its column, which shows the value on hover."""
    parts = []
    for index, (code, value) in enumerate(zip(locus.bases, heights, strict=True)):
        letter = dna.BASES[code] if code < dna.UNKNOWN else "N"
        inserted = locus.inserted[index]
        where = f"{locus.position[index] + 1:,}" + (f", inserted {inserted}" if inserted else "")
        left = BASE_PX * index
        column = f'<rect x="{left}" y="{plot.top}" width="{BASE_PX}" height="{_LOGO_PX}"/>'
        drawn = ""
        if letter != "N" and value:
            shape = f"{BASE_PX - 1} 0 0 {-value * plot.pixels:.2f} {left + 0.5} {plot.y(0):.1f}"
            drawn = (
                f'<use class="base-{letter}" href="#{name}-{letter}" transform="matrix({shape})"/>'
            )
        tip = f"<title>{where}: {letter} {signed_text(float(value))}</title>"
        parts.append(f'<g class="base">{tip}{column}{drawn}</g>')
    return parts


def _place(site: NamedSite, width: float) -> tuple[float, float]:
    """Return where a site's name begins and where the site or its name ends, in pixels."""
    left, right = BASE_PX * site.start, BASE_PX * site.end
    name_px = _LETTER_PX * len(short_name(site.name, _MOST_LETTERS))
    name_left = max(min(left + 1.0, width - name_px), 0.0)
    return min(left, name_left), max(right, name_left + name_px + 5 if site.name else 0)


def _lanes(places: Sequence[tuple[float, float]]) -> list[int]:
    """Return the lane of each place, from 0 next to the letters, so that no two overlap."""
    lanes = [0] * len(places)
    free: list[float] = []
    for number in sorted(range(len(places)), key=lambda number: places[number]):
        left, right = places[number]
        lane = next((lane for lane, end in enumerate(free) if end <= left), len(free))
        free[lane : lane + 1] = [right]
        lanes[number] = lane
    return lanes


def _site(site: NamedSite, place: tuple[float, float], line: float, id: str) -> str:
    left, wide = BASE_PX * site.start, BASE_PX * (site.end - site.start)
    name, tip = (
        svg_text(short_name(site.name, _MOST_LETTERS)),
        svg_text(f"{site.name or 'site'}: {site.more}"),
    )
    kind = "site first" if site.is_first else "site"
    return (
        f'<g class="{kind}" id="{id}"><title>{tip}</title>'
        f'<path d="M{left + 1} {line + 3}v-3h{wide - 2}v3"/>'
        f'<text x="{place[0]:.0f}" y="{line - 4}">{name}</text></g>'
    )


def _ruler(locus: Locus, top: float) -> list[str]:
    """Return ticks at every tenth position; inserted bases have none."""
    parts = [f'<path class="rule" d="M0 {top}H{BASE_PX * len(locus.position)}"/>']
    for index, position in enumerate(locus.position + 1):
        if locus.inserted[index] or position % _TICK_BASES:
            continue
        middle = BASE_PX * (index + 0.5)
        parts.append(
            f'<path class="rule" d="M{middle} {top}v5"/>'
            f'<text class="tick" x="{middle}" y="{top + 17}">{position:,}</text>'
        )
    return parts


def _axis(plot: _Plot, height: float) -> str:
    parts = [svg_start("logo", _AXIS_PX, height)]
    for value in axis_ticks(plot.low, plot.high):
        y = plot.y(value)
        text = f"{value:.4g}".replace("-", "−")
        parts.append(
            f'<path class="rule" d="M{_AXIS_PX - 5} {y:.1f}h5"/>'
            f'<text class="value" x="{_AXIS_PX - 8}" y="{y + 4:.1f}">{text}</text>'
        )
    return "\n".join([*parts, "</svg>"])


def axis_ticks(low: float, high: float) -> list[float]:
    """Return up to six round numbers from `low` to `high`."""
    span = high - low
    if not span > 0:
        return [0.0]
    power = 10.0 ** np.floor(np.log10(span))
    step = next(share * power for share in (0.2, 0.5, 1, 2) if span / (share * power) <= 5)
    first, last = np.ceil(low / step), np.floor(high / step)
    return [float(number * step) + 0.0 for number in np.arange(first, last + 1)]  # no -0
