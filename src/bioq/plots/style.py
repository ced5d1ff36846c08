"""The style of all figures, and figures as SVG and PNG."""

import html
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter

from bioq.errors import without_controls

INK = "#1a1a1b"
"""Colour of text and axes; `inline_svg` replaces it by the page's text colour."""
FAINT = "#8a8f98"
"""Colour of diagonals and remarks, readable on white and on black."""
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
GROUP_COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito 2008, distinct for colour-blind readers; colours that are dark on white first."""
MOST_GROUPS = len(GROUP_COLOURS)

WIDTH = 4.8
"""Inches; small compared with the text, so that a figure is readable on a phone."""

STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def new_figure(height: float, *, rows: int = 1, columns: int = 1, **options: Any) -> Figure:
    """Return a figure `WIDTH` inches wide with a grid of axes; `options` go to `subplots`."""
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots(rows, columns, **options)
    return figure


def group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Return a colour for each group; groups after the sixth are grey."""
    padded = [*GROUP_COLOURS, *([FAINT] * max(len(groups) - MOST_GROUPS, 0))]
    return dict(zip(groups, padded, strict=False))


def frame_unit_square(axes: Axes, *, x: str, y: str) -> None:
    """Set both axes to 0 to 1 with a small margin, and label them."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Return the heights moved apart, so that neighbours are at least `gap` apart."""
    order = sorted(range(len(heights)), key=lambda number: heights[number])
    spread = list(heights)
    for below, number in itertools.pairwise(order):
        spread[number] = max(spread[number], spread[below] + gap)
    return spread


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG on white, at 200 dots per inch."""
    _show_names_as_they_are(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


@matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "bioq"})
def to_svg(figure: Figure) -> str:
    """Return a figure as a transparent SVG; the same figure gives the same text."""
    _show_names_as_they_are(figure)
    buffer = io.StringIO()
    nameless = {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", dpi=200, transparent=True, metadata=nameless)
    return buffer.getvalue()


def _show_names_as_they_are(figure: Figure) -> None:
    """Show the control characters in the texts of a figure, and draw each `$` as a dollar.

    Names of targets, sequences and runs come from files: a control character makes an SVG that no
    program reads, and two dollars are a formula, which ends the drawing if it is wrong. Only the
    numbers of an axis, which Matplotlib writes, are formulas.
    """
    of_axes: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            of_axes |= {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
            # `set_yticks(places, names)` leaves this pair; numbers have another formatter
            has_names = isinstance(axis.get_major_locator(), FixedLocator)
            if has_names and isinstance(axis.get_major_formatter(), FuncFormatter):
                names = [without_controls(label.get_text()) for label in axis.get_ticklabels()]
                axis.set_ticklabels(names, parse_math=False)
    for text in figure.findobj(Text):
        if isinstance(text, Text) and id(text) not in of_axes:
            text.set_parse_math(False)
            text.set_text(without_controls(text.get_text()))


def svg_start(kind: str, width: float, height: float, title: str = "") -> str:
    """Return the start of an `<svg>` element of class `kind` for an HTML page, sizes in pixels.

    `title` is the text alternative; without one the element is hidden from screen readers.
    """
    role = f'role="img" aria-label="{svg_text(title)}"' if title else 'aria-hidden="true"'
    return f'<svg class="{kind}" width="{round(width, 1)}" height="{height}" {role}>'


def svg_text(text: str) -> str:
    """Return text, such as a name of a file, for an element or an attribute of an HTML page."""
    return html.escape(without_controls(text), quote=True)


def inline_svg(svg: str, *, name: str, title: str) -> str:
    """Return the text of an SVG file as an `<svg>` element for an HTML page.

    Text and axes have the page's text colour, the page sets the size, and ids begin with `name`, so
    that two figures on a page do not mix. Styles are attributes, not CSS, which a page may forbid
    (the Content-Security-Policy of `bioq serve`).
    """
    svg = svg[svg.index("<svg") :].strip().replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bstyle="([^"]*)"', _attributes, svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    head, body = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    role = f'role="img" aria-label="{svg_text(title)}"'
    return head.replace("<svg", f"<svg {role} {_LINES}", 1) + ">" + body


_LINES = 'stroke-linejoin="round" stroke-linecap="butt"'
"""The rules of the style sheet in Matplotlib's SVG files."""


def _attributes(style: re.Match[str]) -> str:
    """Return CSS declarations as SVG presentation attributes; the last of equal names counts."""
    declared = (rule.split(":", 1) for rule in style[1].split(";") if ":" in rule)
    return " ".join(
        f'{name}="{value}"'
        for name, value in {name.strip(): value.strip() for name, value in declared}.items()
    )
