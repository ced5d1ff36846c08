"""Figures of an evaluation: curves, targets, published scores, calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bioq.evaluation.summary import ALL
from bioq.metrics import number
from bioq.plots.style import (
    BLUE,
    FAINT,
    INK,
    MOST_GROUPS,
    STYLE,
    frame_unit_square,
    group_colours,
    new_figure,
)
from bioq.published.scores import published_columns, title_of

SCORES = {"roc_auc": "ROC AUC", "average_precision": "average precision"}
_DASHED: Any = {"color": FAINT, "linewidth": 1, "linestyle": (0, (3, 2)), "zorder": 0}
"""The line of a score that a constant reaches."""
_MANY_DOTS = 200  # more dots are drawn as a picture inside the SVG, to keep it small
_MANY_PREDICTIONS = 30
_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are spread evenly


@matplotlib.rc_context(STYLE)
def plot_roc(curves: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Draw the ROC curve of all targets pooled and of every group (the BioQ paper's Figure 4)."""
    figure = new_figure(3.9)
    axes = figure.axes[0]
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
    axes.text(0.3, 0.27, "guessing", color=FAINT, va="top")
    _draw_curves(axes, curves, summary, "roc", "roc_auc", corner=(0.98, 0.04))
    frame_unit_square(axes, x="false positive rate", y="true positive rate")
    return figure


@matplotlib.rc_context(STYLE)
def plot_precision_recall(curves: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Draw precision over recall, all pooled and by group, with the chosen thresholds marked.

    The BioQ paper's Figure 5. The dots are precision and recall on the scored split.
    """
    figure = new_figure(3.9)
    axes = figure.axes[0]
    rates = _guessing(summary)
    good = (summary["micro"]["average_precision"] or 0) > 0.45
    corner = (0.02, min(max(rates.values()), 0.5) + 0.06) if good else (0.98, 0.97)
    _draw_guessing(axes, rates, at_right=good)
    _draw_curves(axes, curves, summary, "precision_recall", "average_precision", corner=corner)
    last: tuple[float, float] | None = None
    for choice in summary["thresholds"]:
        if choice["threshold"] is None or choice["precision"] is None or choice["recall"] is None:
            continue
        point = (choice["recall"], choice["precision"])
        near = last is not None and abs(point[0] - last[0]) < 0.4 and abs(point[1] - last[1]) < 0.06
        axes.plot(*point, "o", color=INK, markersize=6, zorder=5)
        axes.annotate(
            f"{choice['threshold']:.3g}: F1 {choice['f1']:.3f}",
            point,
            xytext=(-7, -5) if near else (7, 5),
            textcoords="offset points",
            ha="right" if near else "left",
            va="top" if near else "baseline",
        )
        last = point
    frame_unit_square(axes, x="recall", y="precision")
    return figure


@matplotlib.rc_context(STYLE)
def plot_targets(per_target: pd.DataFrame) -> Figure:
    """Draw ROC AUC and average precision of every target as dots, with one row per group, and
    dashed the score of a constant (its median); hollow for a target with few positives (evaluations
    written before 2026-11-29 do not mark them)."""
    rows = _rows(per_target)
    figure = new_figure(1.5 + 1.1 * len(rows), rows=2)
    colours = group_colours(list(rows))
    for axes, (score, label) in zip(figure.axes, SCORES.items(), strict=True):
        for height, (name, chosen) in enumerate(rows.items()):
            shown = per_target[chosen].dropna(subset=score).sort_values(score)
            few = shown.get("few_positives", pd.Series(0, shown.index)).to_numpy() == 1
            _draw_strip(axes, height, shown[score].to_numpy(dtype=float), few, colours[name])
            if score == "average_precision" and len(shown):
                rate = float(shown["positive_rate"].median())
                axes.plot([rate, rate], [height - 0.34, height + 0.34], **_DASHED)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.45, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        if score == "average_precision":
            axes.set_xlim(-0.02, 1.02)
        else:
            axes.axvline(0.5, **_DASHED)
    return figure


@matplotlib.rc_context(STYLE)
def plot_published(per_target: pd.DataFrame, model: str) -> Figure:
    """Draw each target's scores against the scores of a published model on the same target.

    `per_target` has the columns `MODEL_roc_auc` or `MODEL_pr_auc`; see `published_columns`.
    """
    columns = [
        (column, score) for column, name, score in published_columns(per_target) if name == model
    ]
    figure = new_figure(3.1, columns=len(columns))
    rows = _rows(per_target)
    for axes, (column, score) in zip(figure.axes, columns, strict=True):
        published = pd.to_numeric(per_target[column], errors="coerce")
        _draw_scatter(axes, published, per_target[score], rows)
        axes.set_xlabel(f"{title_of(model)}, published")
        better = (per_target[score] > published).sum()
        both = (per_target[score].notna() & published.notna()).sum()
        axes.set_title(
            f"{SCORES[score]} (constant {_constant_of(per_target, score, published):.3f})\n"
            f"better here: {better} of {both}"
        )
    figure.axes[0].set_ylabel("this run")
    if len(rows) > 1:
        key = [(name, colour) for name, colour in group_colours(list(rows)).items()]
        _write_key(figure.axes[0], key, (1.0, 0.03))
    return figure


def _constant_of(per_target: pd.DataFrame, score: str, published: pd.Series) -> float:
    """Return the mean score of a constant on the targets with both scores."""
    if score == "roc_auc":
        return 0.5
    both = per_target[score].notna() & published.notna()
    return float(per_target["positive_rate"][both].mean())


@matplotlib.rc_context(STYLE)
def plot_calibration(calibration: pd.DataFrame) -> Figure:
    """Draw the share of positives over the probability, and the number of predictions per bin.

    `calibration` has the columns start, end, count, mean_probability, positive_rate.
    """
    figure = new_figure(4.4, rows=2, sharex=True, height_ratios=(3, 1))
    upper, lower = figure.axes
    filled = calibration[calibration["count"] > 0]
    upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
    upper.text(0.6, 0.56, "perfectly calibrated", color=FAINT, va="top")
    _draw_reliability(upper, filled)
    frame_unit_square(upper, x="", y="share of positives")
    middle = (calibration["start"] + calibration["end"]) / 2
    width = calibration["end"] - calibration["start"]
    lower.bar(middle, calibration["count"], width * 0.85, color=BLUE)
    lower.set_yscale("log")
    lower.set_ylim(bottom=0.7)
    lower.set_xlabel("predicted probability")
    lower.set_ylabel("predictions")
    return figure


def _draw_reliability(axes: Axes, bins: pd.DataFrame) -> None:
    """Draw bins as dots with 95 % intervals (Wilson 1927); small bins hollow, off the line."""
    x, rate, count = (bins[name] for name in ("mean_probability", "positive_rate", "count"))
    z = 1.96
    middle = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(rate * (1 - rate) / count + (z / (2 * count)) ** 2) / (1 + z**2 / count)
    reach = np.clip([rate - (middle - half), middle + half - rate], 0, None)
    many = count >= _MANY_PREDICTIONS
    axes.plot(x[many], rate[many], color=BLUE, marker="o", markersize=4)
    axes.plot(x[~many], rate[~many], "o", color=BLUE, markersize=4, markerfacecolor="none")
    axes.errorbar(x, rate, yerr=reach, fmt="none", ecolor=BLUE, elinewidth=1)


def _shown_groups(summary: Mapping[str, Any]) -> list[str]:
    """Return the largest groups, in their order; none if there is only one."""
    groups = summary["groups"]
    largest = sorted(groups, key=lambda name: -groups[name]["targets"])[:MOST_GROUPS]
    return [name for name in groups if name in largest] if len(groups) > 1 else []


def _guessing(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the precision of guessing, the share of positives, of the groups and of all."""
    groups, windows = summary["groups"], summary["windows"]
    rates = {
        name: groups[name]["positives"] / max(groups[name]["targets"] * windows, 1)
        for name in _shown_groups(summary)
    }
    return rates | {ALL: summary["positive_rate"]}


def _draw_guessing(axes: Axes, rates: Mapping[str, float], *, at_right: bool) -> None:
    """Draw a dashed line at each rate in the colour of its group, with the rates beside them."""
    colours = group_colours(list(rates)[:-1]) | {ALL: INK}
    for name, rate in rates.items():
        axes.axhline(rate, color=colours[name], linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
    lowest, highest = min(rates.values()), max(rates.values())
    span = f"{lowest:.3f}"
    if span != f"{highest:.3f}":
        span = f"{span} to {highest:.3f}"
    axes.text(
        0.8 if at_right else 0.01,
        highest + 0.015,
        f"guessing, {span}",
        color=FAINT,
        ha="right" if at_right else "left",
        va="bottom",
    )


def _draw_curves(
    axes: Axes,
    curves: pd.DataFrame,
    summary: Mapping[str, Any],
    curve: str,
    score: str,
    *,
    corner: tuple[float, float],
) -> None:
    """Draw the curves of the largest groups and of all targets, with their micro scores and, in
    brackets, those of a constant."""
    groups = summary["groups"]
    shown = _shown_groups(summary)
    colours = group_colours(shown) | {ALL: INK}
    lines = []
    for name in [*shown, ALL]:  # drawn last, on top
        points = curves[(curves["curve"] == curve) & (curves["group"] == name)]
        value = summary["micro"][score] if name == ALL else groups[name][f"micro_{score}"]
        if not len(points) or value is None:
            continue
        width = 2.2 if name == ALL else 1.4
        axes.plot(points["x"], points["y"], color=colours[name], linewidth=width)
        constant = (summary if name == ALL else groups[name]).get("constant")
        reached = "" if constant is None else f" ({number(constant['micro'][score], 3)})"
        lines.append((f"{name}  {value:.3f}{reached}", colours[name]))
    if not lines:
        axes.text(0.25, 0.6, "undefined", ha="center", color=FAINT)
    in_brackets = " (constant)" if summary.get("constant") is not None else ""
    heading = (f"micro {SCORES[score]}{in_brackets}", FAINT)
    _write_key(axes, [heading, *lines[-1:], *lines[:-1]], corner)


def _write_key(axes: Axes, lines: Sequence[tuple[str, str]], corner: tuple[float, float]) -> None:
    """Write coloured lines of text, downwards or upwards from a corner of the axes."""
    x, y = corner
    step = 13.5
    from_below = y < 0.5
    for row, (text, colour) in enumerate(reversed(lines) if from_below else lines):
        axes.annotate(
            text,
            (x, y),
            xycoords="axes fraction",
            xytext=(0, step * row if from_below else -step * row),
            textcoords="offset points",
            ha="right" if x > 0.5 else "left",
            va="bottom" if from_below else "top",
            color=colour,
            weight="normal" if colour in (FAINT,) else "bold",
        )


def _rows(per_target: pd.DataFrame) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the targets of every group; smaller groups beyond `MOST_GROUPS` are one group."""
    if "group" not in per_target:
        return {"all targets": np.ones(len(per_target), dtype=bool)}
    names = per_target["group"].replace("", "no group")
    largest = list(names.value_counts().index[:MOST_GROUPS])
    rows = {name: (names == name).to_numpy() for name in names.unique() if name in largest}
    small = ~names.isin(largest).to_numpy()
    return rows | ({"other groups": small} if small.any() else {})


def _draw_scatter(
    axes: Axes, published: pd.Series, scores: pd.Series, rows: Mapping[str, npt.NDArray[np.bool_]]
) -> None:
    """Draw targets as dots in a square with its diagonal; both axes start at the same tenth."""
    colours = group_colours(list(rows))
    both = published.notna() & scores.notna()
    lowest = min(published[both].min(), scores[both].min()) if both.any() else 0.0
    low = float(np.clip(np.floor(lowest * 10) / 10, 0.0, 0.9))
    axes.plot([low, 1], [low, 1], color=FAINT, linewidth=1, zorder=0)
    for name, chosen in rows.items():
        axes.plot(
            published[both & chosen],
            scores[both & chosen],
            ".",
            color=colours[name],
            markersize=3.5,
            alpha=0.7,
            markeredgewidth=0,
            rasterized=len(published) > _MANY_DOTS,
        )
    axes.set_aspect("equal")
    axes.set_xlim(low - 0.01, 1.01)
    axes.set_ylim(low - 0.01, 1.01)


def _draw_strip(
    axes: Axes,
    height: float,
    values: npt.NDArray[np.float64],
    hollow: npt.NDArray[np.bool_],
    colour: str,
) -> None:
    """Draw values as dots in a band, at fixed pseudo-random heights, and their median as a line."""
    if not len(values):
        return
    band = 0.56 * ((np.arange(len(values)) * _GOLDEN) % 1 - 0.5)
    is_sparse = len(values) <= 60
    for chosen, face, edge in ((~hollow, colour, 0.0), (hollow, "none", 0.8)):
        axes.plot(
            values[chosen],
            (height + band)[chosen],
            ".",
            color=colour,
            markersize=8 if is_sparse else 3.5,
            alpha=0.6,
            markerfacecolor=face,
            markeredgewidth=edge,
            rasterized=len(values) > _MANY_DOTS,
            zorder=3 if is_sparse else 1,
        )
    median = float(np.median(values))
    axes.plot([median, median], [height - 0.34, height + 0.34], color=INK, linewidth=1.4)
    axes.annotate(
        f"{median:.3f}",
        (median, height - 0.34),
        xytext=(0, 1),
        textcoords="offset points",
        ha="center",
        va="bottom",
    )
