"""Figures of a training run: losses and validation scores by epoch (the BioQ paper's Figure 3)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bioq.plots.style import BLUE, FAINT, STYLE, VERMILION, new_figure, spread_labels

_NONE: Mapping[str, float] = MappingProxyType({})


class _Line(NamedTuple):
    column: str
    label: str
    colour: str


@matplotlib.rc_context(STYLE)
def plot_loss(
    history: pd.DataFrame,
    *,
    best_epoch: int | None = None,
    best_by: str = "",
    constants: Mapping[str, float] = _NONE,
) -> Figure:
    """Draw training and validation loss by epoch; `history` has the columns of `history.csv`.

    `best_epoch` is marked, with `best_by`, the name of the score that chose it. `constants` has the
    scores of a constant by their columns: dashed lines.
    """
    figure = new_figure(3.2)
    axes = figure.axes[0]
    lines = (_Line("train_loss", "training", BLUE), _Line("valid_loss", "validation", VERMILION))
    _draw_lines(axes, history, lines, constants)
    axes.set_ylabel("loss (cross-entropy)")
    _draw_epochs(axes, best_epoch, best_by)
    return figure


@matplotlib.rc_context(STYLE)
def plot_validation_scores(
    history: pd.DataFrame,
    *,
    best_epoch: int | None = None,
    best_by: str = "",
    constants: Mapping[str, float] = _NONE,
) -> Figure:
    """Draw macro and micro ROC AUC, and below them average precision, on the validation split.

    `best_epoch` is marked, with `best_by`, the name of the score that chose it. `constants` has the
    scores of a constant by their columns: dashed lines.
    """
    figure = new_figure(4.4, rows=2, sharex=True)
    scores = (("roc_auc", "ROC AUC"), ("average_precision", "average precision"))
    for axes, (score, label) in zip(figure.axes, scores, strict=True):
        lines = (
            _Line(f"valid_macro_{score}", "macro", BLUE),
            _Line(f"valid_micro_{score}", "micro", VERMILION),
        )
        _draw_lines(axes, history, lines, constants)
        axes.set_ylabel(f"{label}, validation")
        _draw_epochs(axes, best_epoch, best_by, labelled=axes is figure.axes[0])
    figure.axes[0].set_xlabel("")
    return figure


def _draw_lines(
    axes: Axes, history: pd.DataFrame, lines: tuple[_Line, ...], constants: Mapping[str, float]
) -> None:
    """Draw columns over epochs, labelled at their last points; columns of NaN are not drawn."""
    drawn = [
        line for line in lines if line.column in history and history[line.column].notna().any()
    ]
    marker = "o" if len(history) <= 30 else ""
    labels: list[tuple[float, str, str]] = []
    for line in drawn:
        axes.plot(
            history["epoch"], history[line.column], color=line.colour, marker=marker, markersize=3.5
        )
        end = float(history[line.column].dropna().iloc[-1])
        labels.append((end, f"{line.label} {end:.3f}", line.colour))
    if not drawn:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=FAINT)
        return
    for line in drawn:
        if line.column in constants:
            score = constants[line.column]
            axes.axhline(score, color=line.colour, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
            labels.append((score, f"constant {score:.3f}", line.colour))
    axes.margins(x=0.03, y=0.08)
    low, high = axes.get_ylim()
    heights = spread_labels([height for height, _, _ in labels], (high - low) * 0.09)
    for (_, text, colour), height in zip(labels, heights, strict=True):
        axes.annotate(
            text,
            (1.0, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def _draw_epochs(
    axes: Axes, best_epoch: int | None, best_by: str, *, labelled: bool = True
) -> None:
    """Number the epochs and mark the best epoch, where the lines leave room for its label."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if best_epoch is None:
        return
    late = best_epoch > float(np.mean(axes.get_xlim()))
    height = _free_height(axes, best_epoch, late=late)
    axes.axvline(best_epoch, color=FAINT, linewidth=1, linestyle=(0, (3, 2)), zorder=0)
    if not labelled:
        return
    axes.annotate(
        f"best epoch {best_epoch}" + (f"\nby {best_by}" if best_by else ""),
        (best_epoch, height),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-4 if late else 4, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        va="center",
        color=FAINT,
    )


def _free_height(axes: Axes, epoch: int, *, late: bool) -> float:
    """Return the height of a label beside an epoch, from 0 to 1, farthest from the lines there."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    reach = 0.65 * (right - left)
    start, end = (epoch - reach, epoch) if late else (epoch, epoch + reach)
    taken = np.concatenate(
        [np.empty(0), *(_heights(line, start, end) for line in axes.get_lines())]
    )
    taken = (taken - low) / (high - low)
    heights = (0.9, 0.5, 0.1, 0.7, 0.3)
    if not len(taken):
        return heights[0]
    return max(heights, key=lambda height: float(np.abs(taken - height).min()))


def _heights(line: Line2D, start: float, end: float) -> npt.NDArray[np.float64]:
    """Return the values of a line between two epochs, without NaN."""
    x, y = (np.asarray(values, dtype=np.float64) for values in line.get_data())
    defined = ~np.isnan(y)
    if not defined.any():
        return np.empty(0)
    return np.interp(np.linspace(start, end, 20), x[defined], y[defined])
