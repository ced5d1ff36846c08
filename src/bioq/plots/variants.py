"""Figures of variants: the effects of an allele on every target, and the alleles of a job."""

import html
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from bioq.errors import short
from bioq.plots.style import BLUE, FAINT, STYLE, new_figure

Floats = npt.NDArray[np.floating[Any]]
POINT = "point:"
"""Prefix of the link of a large point, before its number; `name_points` replaces the link."""
LABELS = 6
MOST_POINTS = 300
"""The largest points, as many as this, are links; all other points are drawn as one picture."""
_OBSTACLES = 30
"""The largest points, as many as this, that no label may cover."""
_CONTIGS = 12
"""Largest number of contigs that are named below the axis."""
_Offset = tuple[Literal["left", "center", "right"], float, float]
_AXIS_LETTERS = 48
"""Letters of the names of contigs for which the axis has room, side by side."""
_RIGHT: tuple[_Offset, ...] = (("left", 6, 0), ("left", 6, 8), ("left", 6, -8))
_LEFT: tuple[_Offset, ...] = (("right", -6, 0), ("right", -6, 8), ("right", -6, -8))
_ABOVE: tuple[_Offset, ...] = (("center", 0, 9), ("right", 6, 9), ("left", -6, 9))
"""Positions of a label beside its point: alignment, and offset in points (1/72 inch)."""


class _Label(NamedTuple):
    x: float
    y: float
    text: str
    colour: str
    offsets: tuple[_Offset, ...]
    """Positions of the label; the first with room is used."""


@matplotlib.rc_context(STYLE)
def plot_allele(
    names: Sequence[str], diff: Floats, log2_odds_ratio: Floats, colours: Sequence[str] = ()
) -> Figure:
    """Draw the targets of one allele: |diff| over log2 odds ratio, the largest labelled.

    `names`, `diff`, `log2_odds_ratio` and the points' `colours` are `(targets,)`.
    """
    size = np.abs(diff)
    colour = colours or [BLUE] * len(names)
    figure = new_figure(3.9)
    axes = figure.axes[0]
    axes.axvline(0, color=FAINT, linewidth=1, linestyle=(0, (3, 2)), zorder=0)
    _draw_points(axes, log2_odds_ratio, size, colour)
    reach = float(np.abs(log2_odds_ratio).max()) * 1.08 or 1.0  # 0 if nothing changes
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0, float(size.max()) * 1.08 or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))  # room for labels such as -0.0005
    axes.set_xlabel("log2 odds ratio  (less likely with ALT ← 0 → more likely)")
    axes.set_ylabel("|ALT − REF|")
    top = np.argsort(-size, kind="stable")[:_OBSTACLES]
    labels = [
        _Label(float(x), float(size[n]), names[n], colour[n], _outwards(x))
        for n, x in zip(top, log2_odds_ratio[top], strict=True)
        if size[n] > 0
    ]
    _write_labels(axes, labels)
    return figure


@matplotlib.rc_context(STYLE)
def plot_alleles(contigs: Sequence[str], size: Floats, labels: Sequence[str]) -> Figure:
    """Draw the largest |diff| of every allele, in input order, the largest labelled.

    `contigs`, `size` (NaN: not scored) and `labels` are `(alleles,)`.
    """
    figure = new_figure(3.2)
    axes = figure.axes[0]
    number = np.arange(1, len(size) + 1, dtype=float)
    scored = np.flatnonzero(~np.isnan(size))
    _draw_points(axes, number, size, [BLUE] * len(size), stems=len(size) <= MOST_POINTS)
    axes.set_xlim(0.5 - 0.02 * len(size), len(size) * 1.02 + 0.5)
    axes.set_ylim(0, (float(size[scored].max()) * 1.12 if len(scored) else 0.0) or 1.0)
    top = scored[np.argsort(-size[scored], kind="stable")][:_OBSTACLES]
    offsets = _ABOVE + _RIGHT + _LEFT
    chosen = [
        _Label(number[n], float(size[n]), labels[n], BLUE, offsets) for n in top if size[n] > 0
    ]
    axes.set_ylabel("largest |ALT − REF|")
    _name_contigs(axes, contigs)
    _write_labels(axes, chosen)
    return figure


def _draw_points(
    axes: Axes, x: Floats, y: Floats, colours: Sequence[str], *, stems: bool = False
) -> None:
    """Draw dots, the largest last and as links; NaN is not drawn."""
    order = [int(n) for n in np.argsort(y, kind="stable") if not np.isnan(y[n])]
    small, large = order[:-MOST_POINTS], order[-MOST_POINTS:]
    if stems:
        axes.vlines(x[large], 0, y[large], color=FAINT, linewidth=0.8, zorder=1)
    if small:
        axes.scatter(
            x[small], y[small], 10, [colours[n] for n in small], lw=0, alpha=0.7, rasterized=True
        )
    drawn = axes.scatter(x[large], y[large], 20, [colours[n] for n in large], lw=0, alpha=0.85)
    drawn.set_zorder(2)
    drawn.set_urls([f"{POINT}{n}" for n in large])


def _write_labels(axes: Axes, labels: Sequence[_Label]) -> None:
    """Label the first points; a label that would cover a point or a label is not drawn."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # computes the layout, and so every position
    frame = axes.get_window_extent()
    dot = 4 * figure.dpi / 72
    if not labels:
        return
    occupied = [
        Bbox.from_bounds(x - dot, y - dot, 2 * dot, 2 * dot)
        for x, y in axes.transData.transform([(label.x, label.y) for label in labels])
    ]
    for label in labels[:LABELS]:
        text = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            va="center",
            color=label.colour,
            fontsize=8.5,
            parse_math=False,
        )
        for ha, x, y in label.offsets:
            text.set_horizontalalignment(ha)
            text.set_position((x, y))
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            inside &= frame.y0 <= box.y0 and box.y1 <= frame.y1 + 2 * dot
            if inside and not any(box.overlaps(obstacle) for obstacle in occupied):
                occupied.append(box)
                break
        else:
            text.remove()


def _outwards(x: float) -> tuple[_Offset, ...]:
    """Return the offsets of a label, first those that point away from 0."""
    return (_LEFT + _RIGHT if x < 0 else _RIGHT + _LEFT) + _ABOVE


def _name_contigs(axes: Axes, contigs: Sequence[str]) -> None:
    """Name the contigs below their alleles if there are few, else number the alleles."""
    starts = [n for n, name in enumerate(contigs) if n == 0 or contigs[n - 1] != name]
    if len(starts) > _CONTIGS:
        axes.set_xlabel("alleles, in input order")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        return
    ends = [*starts[1:], len(contigs)]
    for start in starts[1:]:
        axes.axvline(start + 0.5, color=FAINT, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    middles = [(start + end + 1) / 2 for start, end in zip(starts, ends, strict=True)]
    wide = [end - start > len(contigs) / 16 for start, end in zip(starts, ends, strict=True)]
    room = [
        _AXIS_LETTERS * (end - start) // len(contigs)
        for start, end in zip(starts, ends, strict=True)
    ]
    cut = [short(contigs[n], most) for n, most in zip(starts, room, strict=True)]
    names = [name if shown else "" for name, shown in zip(cut, wide, strict=True)]
    axes.set_xticks(middles, names, parse_math=False)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("alleles, in input order, by contig")


def name_points(svg: str, link: Callable[[int], str], title: Callable[[int], str]) -> str:
    """Set the links of the points of an inline figure, and the titles that appear on hover.

    The keyboard skips the links: the table beside the figure has the same links.
    """

    def named(match: re.Match[str]) -> str:
        number = int(match[1])
        address = html.escape(link(number), quote=True)
        return f'<a href="{address}" tabindex="-1"><title>{html.escape(title(number))}</title>'

    return re.sub(rf'<a xlink:href="{POINT}(\d+)"[^>]*>', named, svg)
