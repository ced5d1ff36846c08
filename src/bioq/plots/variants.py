"""Figures of variants: the effects of an allele on every target, and the alleles of a table."""

import html
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox

from bioq.plots.names import short_name
from bioq.plots.style import BLUE, FAINT, STYLE, VERMILION, new_figure

Floats = npt.NDArray[np.floating[Any]]
POINT = "point:"
"""Prefix of the link of a large point, before its number; `name_points` replaces the link."""
LABELS = 6
MOST_POINTS = 300
"""The largest points, as many as this, are links; all other points are drawn as one picture."""
_CONTIGS = 12
"""Largest number of contigs that are named below the axis."""
_AXIS_LETTERS = 48
"""Letters of the names of contigs for which the axis has room, side by side."""
_AIR = 1.22
"""Height of the axis in heights of the largest point, so that labels have room above it."""
_LABEL_SIZE = 8.5
_DOT = 4.0
"""Half the side of the square around a dot that no label may cover, in points (1/72 inch)."""
_BESIDE = 6.0
"""Distance of a label from its dot, in points; a line leads to a label that is further away."""
_DIRECTIONS = tuple((math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 16, False))
_GRID = (9.0, 5.0)
"""Horizontal and vertical distance of the other places that are tried, in points."""


class _Label(NamedTuple):
    x: float
    y: float
    text: str
    colour: str


@dataclass(frozen=True)
class _Taken:
    """The parts of a frame that are taken; positions are in points (1/72 inch)."""

    frame: Bbox
    dots: Floats
    """`(n, 2)`."""
    stems: list[Path]
    """The line below each dot; no line if its ends are equal."""
    boxes: list[Bbox]
    """The labels."""
    lines: list[Path]
    """The lines that lead to labels."""

    def has_room(self, box: Bbox, line: Path) -> bool:
        """Return whether a label and its line are inside the frame and cover nothing."""
        frame = self.frame
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        if not (inside and frame.y0 <= box.y0 and box.y1 <= frame.y1):
            return False
        near = box.padded(_DOT)
        if ((self.dots > near.min) & (self.dots < near.max)).all(axis=1).any():
            return False
        start, end = np.asarray(line.vertices)
        if (_distance(self.dots, start, end) < _DOT / 2).sum() > 1:  # one is the label's own
            return False
        if any(box.overlaps(other) or line.intersects_bbox(other) for other in self.boxes):
            return False
        if any(stem.intersects_bbox(box) for stem in self.stems):
            return False
        return not any(
            other.intersects_bbox(box) or other.intersects_path(line) for other in self.lines
        )


def _distance(points: Floats, start: Floats, end: Floats) -> Floats:
    """Return the distance of each of the points `(n, 2)` from a line, `(n,)`."""
    along = end - start
    share = np.clip((points - start) @ along / (along @ along + 1e-9), 0, 1)
    distance: Floats = np.linalg.norm(points - start - share[:, None] * along, axis=1)
    return distance


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
    axes.set_ylim(0, float(size.max()) * _AIR or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))  # room for labels such as -0.0005
    axes.set_xlabel("log2 odds ratio  (less likely with ALT ← 0 → more likely)")
    axes.set_ylabel("|ALT − REF|")
    top = [n for n in np.argsort(-size, kind="stable")[:LABELS] if size[n] > 0]
    labels = [_Label(float(log2_odds_ratio[n]), float(size[n]), names[n], colour[n]) for n in top]
    _write_labels(axes, labels, log2_odds_ratio, size)
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
    stems = len(size) <= MOST_POINTS
    _draw_points(axes, number, size, [BLUE] * len(size), stems=stems)
    axes.set_xlim(0.5 - 0.02 * len(size), len(size) * 1.02 + 0.5)
    axes.set_ylim(0, (float(size[scored].max()) * _AIR if len(scored) else 0.0) or 1.0)
    top = scored[np.argsort(-size[scored], kind="stable")][:LABELS]
    chosen = [_Label(number[n], float(size[n]), labels[n], BLUE) for n in top if size[n] > 0]
    axes.set_ylabel("largest |ALT − REF|")
    _name_contigs(axes, contigs)
    _write_labels(axes, chosen, number[scored], size[scored], stems=stems)
    return figure


@matplotlib.rc_context(STYLE)
def plot_ranking(rank: Floats, diff: Floats, labels: Sequence[str], *, has_phred: bool) -> Figure:
    """Draw the diff of alleles over their rank: `score_phred`, or else their place in the ranking.

    `rank` and `diff` are `(alleles,)`. The first alleles, as many as `labels`, are those of the
    highest ranks, in order: they are links in another colour, and the first six have their label.
    """
    figure = new_figure(3.6)
    axes = figure.axes[0]
    axes.axhline(0, color=FAINT, linewidth=1, linestyle=(0, (3, 2)), zorder=0)
    top, others = slice(0, len(labels)), slice(len(labels), None)
    axes.scatter(rank[others], diff[others], 8, BLUE, lw=0, alpha=0.5, rasterized=True)
    drawn = axes.scatter(rank[top], diff[top], 20, VERMILION, lw=0, alpha=0.85, zorder=2)
    drawn.set_urls([f"{POINT}{n}" for n in range(len(labels))])
    low, high = min(float(diff.min()), 0.0), max(float(diff.max()), 0.0)
    air = (_AIR - 1) * (high - low or 1.0)
    axes.set_ylim(low - air, high + air)
    axes.set_ylabel("ALT − REF of the top target")
    if has_phred:
        axes.set_xlim(-0.02 * rank.max(), 1.08 * rank.max() or 1.0)
        axes.set_xlabel("score_phred (20: one in 100 variants)")
    else:
        axes.set_xscale("log")
        axes.set_xlim(0.8, 1.3 * float(rank.max()))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("place in the ranking by largest |ALT − REF|")
    named = zip(rank[:LABELS], diff[:LABELS], labels[:LABELS], strict=False)
    chosen = [_Label(float(x), float(y), text, VERMILION) for x, y, text in named]
    _write_labels(axes, chosen, rank, diff)
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


def _write_labels(
    axes: Axes, labels: Sequence[_Label], x: Floats, y: Floats, *, stems: bool = False
) -> None:
    """Label points: each label is beside its point, or a line leads to it.

    `x` and `y` are all points. A label covers no point, stem, line or other label; it is not drawn
    if the frame has no such place.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    if not labels:
        return
    figure.draw_without_rendering()  # computes the layout, and so every position
    scale = figure.dpi / 72

    def points(x: Floats, y: Floats) -> Floats:
        """Return positions in points (1/72 inch), `(n, 2)`."""
        return np.asarray(axes.transData.transform(np.column_stack([x, y]))) / scale

    dots = points(x, y)
    feet = points(x, np.zeros_like(y)) if stems else dots
    frame = Bbox(np.asarray(axes.get_window_extent().get_points()) / scale)
    taken = _Taken(frame, dots, [Path(pair) for pair in zip(feet, dots, strict=True)], [], [])
    for label in labels:
        text = _annotate(axes, label)
        size = text.get_window_extent()
        text.remove()
        at = points(np.array([label.x]), np.array([label.y]))[0]
        for box, offset in _places(at, size.width / scale, size.height / scale, frame):
            corner = np.clip(at, box.min, box.max)
            line = Path(np.array([at, corner]))
            if taken.has_room(box, line):
                _annotate(axes, label, offset, tuple((corner - box.min) / box.size))
                taken.boxes.append(box)
                taken.lines.append(line)
                break


def _annotate(
    axes: Axes,
    label: _Label,
    offset: tuple[float, float] = (0.0, 0.0),
    corner: tuple[float, ...] = (0.5, 0.5),
) -> Annotation:
    """Write a label whose centre is `offset` points from its point; the line begins at `corner` of
    its box, `(0, 0)` to `(1, 1)`."""
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha="center",
        va="center",
        color=label.colour,
        fontsize=_LABEL_SIZE,
        parse_math=False,
        arrowprops={
            "arrowstyle": "-",
            "color": FAINT,
            "lw": 0.7,
            "shrinkA": 0,
            "shrinkB": 2,
            "relpos": corner,
        },
    )


def _places(
    at: Floats, wide: float, high: float, frame: Bbox
) -> Iterator[tuple[Bbox, tuple[float, float]]]:
    """Yield boxes for a point's label and the offsets of their centres from the point, in points:
    first beside the point, then everywhere in the frame, the nearest first."""
    for right, up in _DIRECTIONS:
        x, y = right * (_BESIDE + wide / 2), up * (_BESIDE + high / 2)
        yield Bbox.from_bounds(at[0] + x - wide / 2, at[1] + y - high / 2, wide, high), (x, y)
    left, bottom = np.meshgrid(
        np.arange(frame.x0, frame.x1 - wide, _GRID[0]),
        np.arange(frame.y0, frame.y1 - high, _GRID[1]),
    )
    corners = np.column_stack([left.ravel(), bottom.ravel()])
    size = np.array([wide, high])
    gap = np.linalg.norm(np.clip(at, corners, corners + size) - at, axis=1)
    for n in np.argsort(gap, kind="stable"):
        if gap[n] >= _BESIDE:
            x, y = corners[n] + size / 2 - at
            yield Bbox.from_bounds(corners[n][0], corners[n][1], wide, high), (float(x), float(y))


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
    cut = [short_name(contigs[n], most) for n, most in zip(starts, room, strict=True)]
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
