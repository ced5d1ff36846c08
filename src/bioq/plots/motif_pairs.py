"""The effect of two motifs beyond the sum of their effects, against the distance between them."""

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from matplotlib.ticker import MaxNLocator

from bioq.builders.simulation.pair_truth import PairTruth
from bioq.plots.names import short_name
from bioq.plots.style import BLUE, FAINT, GREEN, INK, STYLE, VERMILION, new_figure

_COLOURS = {"A": BLUE, "B": VERMILION}
_LINE = INK
_OTHERS = 0.35
"""Opacity of the lines of the other panels."""
_BAND = 0.25
"""Opacity of an interval."""
_RULE = 0.15
"""Opacity of the distances at which a rule holds."""
_ARROW_LOW, _ARROW_HIGH = 1.04, 1.17
"""Foot and top of the arrows above a panel, in heights of the panel."""
_ARROW_WIDE, _HEAD, _GAP = 0.45, 0.06, 0.04
"""Width of an arrow and of its head, and space between two arrows, in widths of the panel."""
_LETTERS = 11
"""Letters of a motif's name in its arrow."""
_FOOT = 0.035
"""Height of the bars of planted pairs, in heights of the panel."""


@matplotlib.rc_context(STYLE)
def plot_pair(table: pd.DataFrame, truth: PairTruth | None = None) -> Figure:
    """Draw the effect beyond the sum of one target, with a panel for each arrangement.

    `table` has the rows of one target that `pair_effects` returns. All panels have the same axes;
    thin lines are those of the other panels, bands are 95 % intervals. Grey is the control, A with
    a scrambled B. With the `truth` of a simulated target the distances at which its rule holds are
    shaded, and bars at the foot are the distances of the planted pairs.
    """
    arrangements = list(dict.fromkeys(table["arrangement"]))
    rows = -(-len(arrangements) // 2)
    shared = {"sharex": True, "sharey": True, "squeeze": False}
    figure = new_figure(1.15 + 1.7 * rows, rows=rows, columns=2, **shared)
    names = {letter: str(table[letter.lower()].iloc[0]) for letter in _COLOURS}
    panels = list(figure.axes)
    for axes, arrangement in zip(panels, arrangements, strict=False):
        rows_of_it = table[table["arrangement"] == arrangement].sort_values("distance")
        _draw_others(axes, table[table["arrangement"] != arrangement])
        _draw_distances(axes, rows_of_it)
        _draw_arrows(axes, arrangement, names)
        if truth is not None:
            _draw_truth(axes, truth, arrangement)
    for axes in panels[len(arrangements) :]:
        axes.set_axis_off()
    distances = table["distance"]
    panels[0].set_xlim(distances.min(), max(distances.max(), distances.min() + 1))
    panels[0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.suptitle(short_name(str(table["target"].iloc[0]), 55), x=0.02, ha="left", fontsize=11)
    for axes in panels[: len(arrangements)][-2:]:
        axes.set_xlabel("bases between the sites", fontsize=9)
        axes.tick_params(labelbottom=True)
    figure.supylabel("logit beyond the sum", fontsize=10)
    _add_legend(figure, names, truth)
    return figure


def _draw_distances(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the effect and the control of one arrangement, with their intervals."""
    distances = rows["distance"]
    axes.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
    for name, low, high, colour in (
        ("control", "control_low", "control_high", FAINT),
        ("beyond", "low", "high", _LINE),
    ):
        axes.fill_between(distances, rows[low], rows[high], color=colour, alpha=_BAND, linewidth=0)
        is_point = len(rows) == 1
        axes.plot(
            distances, rows[name], color=colour, linewidth=1.4, marker="o" if is_point else None
        )


def _draw_others(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the effects of the other arrangements as thin lines."""
    for _, other in rows.sort_values("distance").groupby("arrangement"):
        axes.plot(other["distance"], other["beyond"], color=_LINE, alpha=_OTHERS, linewidth=0.6)


def _draw_arrows(axes: Axes, arrangement: str, names: Mapping[str, str]) -> None:
    """Draw the sites above a panel as arrows in their order and directions."""
    across = axes.transAxes
    left = 0.5 - _ARROW_WIDE - _GAP / 2
    for place, site in enumerate(arrangement.split()):
        letter = site.strip("<>")
        start = left + place * (_ARROW_WIDE + _GAP)
        end = start + _ARROW_WIDE
        tip, tail, head = (
            (end, start, end - _HEAD) if site.endswith(">") else (start, end, start + _HEAD)
        )
        middle = (_ARROW_LOW + _ARROW_HIGH) / 2
        corners = [
            (tail, _ARROW_LOW),
            (head, _ARROW_LOW),
            (tip, middle),
            (head, _ARROW_HIGH),
            (tail, _ARROW_HIGH),
        ]
        axes.add_patch(
            Polygon(corners, transform=across, clip_on=False, facecolor=_COLOURS[letter], lw=0)
        )
        axes.text(
            (tail + head) / 2,
            middle - 0.005,
            short_name(names[letter], _LETTERS),
            transform=across,
            ha="center",
            va="center",
            fontsize=7.5,
            color="white",
        )
    axes.set_title(" ", fontsize=12)  # room for the arrows


def _draw_truth(axes: Axes, truth: PairTruth, arrangement: str) -> None:
    """Shade the distances at which a simulated rule holds, and draw those of planted pairs."""
    if arrangement in truth.planted:
        axes.axvspan(0, truth.near_bp, color=GREEN, alpha=_RULE, linewidth=0, zorder=-1)
    for kind, colour in ((truth.planted, GREEN), (truth.decoys, FAINT)):
        for low, high in kind.get(arrangement, ()):
            axes.axvspan(low, high, ymax=_FOOT, color=colour, linewidth=0)


def _add_legend(figure: Figure, names: Mapping[str, str], truth: PairTruth | None) -> None:
    a, b = (short_name(name, _LETTERS) for name in names.values())
    shown: list[Line2D | Patch] = [
        Line2D([], [], color=_LINE, label=f"{a} and {b}"),
        Line2D([], [], color=_LINE, alpha=_OTHERS, linewidth=0.8, label="the other arrangements"),
        Line2D([], [], color=FAINT, label=f"control: {b} scrambled"),
    ]
    if truth is not None:
        effect = "positive" if truth.is_raised else "negative"
        shown += [
            Patch(color=GREEN, alpha=_RULE, label=f"rule: together {effect}"),
            Patch(color=GREEN, label="planted by the rule"),
            Patch(color=FAINT, label="planted against it"),
        ]
    figure.legend(handles=shown, loc="outside lower left", ncols=2, fontsize=8)
