"""What the figures show, read back from their lines, dots and texts."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from bioq.evaluation.summary import ALL
from bioq.plots import style
from bioq.plots.evaluation import (
    plot_calibration,
    plot_precision_recall,
    plot_published,
    plot_roc,
    plot_targets,
)
from bioq.plots.names import short_names
from bioq.plots.training import plot_loss, plot_validation_scores
from bioq.plots.variants import plot_allele, plot_alleles

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [0.5, 0.4, 0.3],
        "valid_loss": [0.5, 0.45, 0.47],
        "valid_macro_roc_auc": [0.6, 0.7, 0.8],
        "valid_micro_roc_auc": [0.65, 0.75, 0.85],
        "valid_macro_average_precision": [0.1, 0.2, 0.3],
        "valid_micro_average_precision": [0.15, 0.25, 0.35],
    }
)
SUMMARY: dict[str, Any] = {
    "windows": 100,
    "positive_rate": 0.1,
    "micro": {"roc_auc": 0.8, "average_precision": 0.4},
    "groups": {
        "TF": {
            "targets": 3,
            "positives": 30,
            "micro_roc_auc": 0.9,
            "micro_average_precision": 0.5,
        },
        "histone": {
            "targets": 1,
            "positives": 10,
            "micro_roc_auc": None,
            "micro_average_precision": None,
        },
    },
    "thresholds": [
        {"threshold": 0.5, "precision": 0.75, "recall": 0.25, "f1": 0.375},
        {"threshold": 0.2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        {"threshold": None},
    ],
}
CURVES = pd.DataFrame(
    {
        "curve": ["roc"] * 6 + ["precision_recall"] * 4,
        "group": [ALL] * 3 + ["TF"] * 3 + [ALL] * 2 + ["TF"] * 2,
        "x": [0, 0.2, 1, 0, 0.1, 1, 0.25, 0.5, 0.5, 1],
        "y": [0, 0.7, 1, 0, 0.8, 1, 0.75, 0.5, 1, 0.5],
    }
)
PER_TARGET = pd.DataFrame(
    {
        "group": ["TF", "TF", "TF", "histone"],
        "danq_roc_auc": ["0.8", "0.9", "NA", "0.7"],
        "danq_pr_auc": ["0.3", "0.4", "0.5", "0.2"],
        "roc_auc": [0.85, 0.88, 0.95, np.nan],
        "average_precision": [0.35, 0.3, 0.6, np.nan],
        "positive_rate": [0.05, 0.1, 0.3, 0.0],
    }
)
CALIBRATION = pd.DataFrame(
    {
        "start": [0.0, 0.5],
        "end": [0.5, 1.0],
        "count": [100, 0],
        "mean_probability": [0.2, np.nan],
        "positive_rate": [0.25, np.nan],
    }
)


def texts(figure: Figure, axes: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[axes].texts]


def test_the_losses_are_drawn_over_the_epochs_and_named_with_their_last_value():
    figure = plot_loss(HISTORY, best_epoch=2, best_by="validation loss")
    train, valid, best = figure.axes[0].lines
    assert list(train.get_ydata()) == list(HISTORY["train_loss"])
    assert list(valid.get_xdata()) == [1, 2, 3]
    assert list(best.get_xdata()) == [2, 2]
    assert texts(figure) == [
        "training 0.300",
        "validation 0.470",
        "best epoch 2\nby validation loss",
    ]


def test_a_run_without_validation_shows_its_training_loss_alone():
    history = HISTORY.assign(valid_loss=np.nan, valid_macro_roc_auc=np.nan)
    assert texts(plot_loss(history)) == ["training 0.300"]
    assert texts(plot_validation_scores(history)) == ["micro 0.850"]


def test_scores_that_were_never_taken_are_said_to_be_missing():
    figure = plot_validation_scores(HISTORY[["epoch", "train_loss"]])
    assert texts(figure) == ["not recorded"]
    style.to_png(figure)


def test_macro_and_micro_are_drawn_for_both_scores():
    figure = plot_validation_scores(HISTORY, best_epoch=3)
    drawn = [line.get_ydata()[-1] for axes in figure.axes for line in axes.lines[:2]]
    assert drawn == [0.8, 0.85, 0.3, 0.35]


def test_names_of_lines_that_end_close_together_do_not_overlap():
    assert style.spread_labels([0.5, 0.51, 0.1], 0.1) == pytest.approx([0.5, 0.6, 0.1])


def test_the_roc_figure_draws_every_defined_curve_and_gives_its_area():
    figure = plot_roc(CURVES, SUMMARY)
    _, group, pooled = figure.axes[0].lines
    assert list(group.get_ydata()) == [0, 0.8, 1]
    assert list(pooled.get_xdata()) == [0, 0.2, 1]
    assert set(texts(figure)) == {"guessing", "micro ROC AUC", "all  0.800", "TF  0.900"}


def test_the_precision_recall_figure_marks_each_threshold_where_it_lands():
    figure = plot_precision_recall(CURVES, SUMMARY)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(0.25, 0.75), (0.5, 0.5)]
    assert {"0.5: F1 0.375", "0.2: F1 0.500", "guessing, 0.100"} <= set(texts(figure))


def test_each_group_has_the_guessing_line_of_its_share_of_positives():
    groups = {
        name: {"targets": 2, "positives": positives, "micro_average_precision": 0.5}
        for name, positives in (("TF", 10), ("histone", 60))
    }
    curves = pd.concat([CURVES, CURVES[CURVES["group"] == "TF"].assign(group="histone")])
    figure = plot_precision_recall(curves, SUMMARY | {"groups": groups, "windows": 100})
    axes = figure.axes[0]
    dashed = [line for line in axes.lines if line.is_dashed()]
    assert [line.get_ydata()[0] for line in dashed] == pytest.approx([0.05, 0.3, 0.1])
    drawn = [line for line in axes.lines if not line.is_dashed() and len(line.get_xdata()) == 2]
    assert [line.get_color() for line in dashed] == [line.get_color() for line in drawn]
    assert "guessing, 0.050 to 0.300" in texts(figure)


def test_every_score_in_a_figure_has_the_score_of_a_constant_beside_it():
    areas = {"roc_auc": 0.75, "average_precision": 0.2}
    groups = {
        name: {**scores, "constant": {"micro": {"roc_auc": 0.6, "average_precision": None}}}
        for name, scores in SUMMARY["groups"].items()
    }
    summary = {**SUMMARY, "groups": groups, "constant": {"micro": areas}}
    assert {"micro ROC AUC (constant)", "all  0.800 (0.750)", "TF  0.900 (0.600)"} <= set(
        texts(plot_roc(CURVES, summary))
    )
    assert {"all  0.400 (0.200)", "TF  0.500 (–)"} <= set(
        texts(plot_precision_recall(CURVES, summary))
    )
    strips = plot_targets(PER_TARGET).axes
    assert [0.5, 0.5] in [list(line.get_xdata()) for line in strips[0].lines]
    low, high = strips[0].get_xlim()
    assert low < 0.5 < high
    assert [0.1, 0.1] in [list(line.get_xdata()) for line in strips[1].lines], "its median"


def test_the_figures_of_the_training_show_the_scores_of_a_constant():
    constants = {"train_loss": 0.68, "valid_loss": 0.66, "valid_macro_roc_auc": 0.5}
    constants |= {"valid_micro_roc_auc": 0.72, "valid_micro_average_precision": 0.12}
    losses = plot_loss(HISTORY, constants=constants)
    assert {"constant 0.680", "constant 0.660"} <= set(texts(losses))
    scores = plot_validation_scores(HISTORY, constants=constants)
    assert {"constant 0.500", "constant 0.720"} <= set(texts(scores))
    assert [text for text in texts(scores, 1) if "constant" in text] == ["constant 0.120"]
    (dashed,) = (line for line in scores.axes[1].lines if set(line.get_ydata()) == {0.12})
    assert dashed.is_dashed()
    assert not any("constant" in text for text in texts(plot_validation_scores(HISTORY)))


def test_the_label_of_the_best_epoch_is_away_from_the_lines():
    history = pd.DataFrame({"epoch": range(1, 11), "valid_loss": 0.5})
    history["train_loss"] = 1.0
    for best in (2, 9):
        figure = plot_loss(history, best_epoch=best, best_by="macro ROC AUC")
        (label,) = (text for text in figure.axes[0].texts if "best" in text.get_text())
        assert 0.3 <= label.xy[1] <= 0.7


def test_every_defined_target_is_a_dot_and_every_group_has_its_median():
    figure = plot_targets(PER_TARGET)
    for axes, score, median in zip(
        figure.axes, ("roc_auc", "average_precision"), ("0.880", "0.350"), strict=True
    ):
        dots = axes.lines[0].get_xdata()
        assert list(dots) == sorted(PER_TARGET[score].dropna())
        assert [text.get_text() for text in axes.texts] == [median]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["TF", "histone"]


def test_targets_without_groups_share_one_row():
    figure = plot_targets(PER_TARGET.drop(columns="group"))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["all targets"]


def test_many_groups_keep_the_largest_and_pool_the_rest():
    names = [f"g{number}" for number in range(9) for _ in range(9 - number)]
    table = pd.DataFrame(
        {"group": names, "roc_auc": 0.8, "average_precision": 0.4, "positive_rate": 1 / 3}
    )
    labels = [label.get_text() for label in plot_targets(table).axes[0].get_yticklabels()]
    assert labels == [*(f"g{number}" for number in range(6)), "other groups"]


def test_the_published_figure_compares_targets_where_both_are_defined():
    figure = plot_published(PER_TARGET, "danq")
    first, second = figure.axes
    assert first.get_title(loc="left") == "ROC AUC (constant 0.500)\nbetter here: 1 of 2"
    assert second.get_title(loc="left") == (
        "average precision (constant 0.150)\nbetter here: 2 of 3"
    )
    assert first.get_xlabel() == "DanQ, published"
    assert list(first.lines[1].get_xdata()) == [0.8, 0.9]
    assert list(first.lines[1].get_ydata()) == [0.85, 0.88]


def test_the_calibration_figure_leaves_out_empty_bins():
    figure = plot_calibration(CALIBRATION)
    points = figure.axes[0].lines[1]
    assert (list(points.get_xdata()), list(points.get_ydata())) == ([0.2], [0.25])
    assert [bar.get_height() for bar in figure.axes[1].patches] == [100, 0]


def test_bins_with_few_predictions_stand_off_the_line_with_wilson_intervals():
    bins = CALIBRATION.assign(
        count=[100, 5], positive_rate=[0.25, 1.0], mean_probability=[0.2, 0.7]
    )
    axes = plot_calibration(bins).axes[0]
    line, hollow = axes.lines[1:3]
    assert list(line.get_xdata()) == [0.2]
    assert (list(hollow.get_xdata()), hollow.get_markerfacecolor()) == ([0.7], "none")
    (intervals,) = axes.collections
    # scipy.stats.binomtest(25, 100) and (5, 5), .proportion_ci(method="wilson")
    expected = [[0.1754521, 0.3430446], [0.5655175, 1.0]]
    result = [segment[:, 1] for segment in intervals.get_segments()]
    assert result == pytest.approx(np.array(expected), abs=1e-4)


def test_a_split_without_a_positive_says_that_its_curves_are_undefined():
    summary = SUMMARY | {"micro": {"roc_auc": None, "average_precision": None}, "groups": {}}
    summary["thresholds"] = [{"threshold": 0.5, "precision": None, "recall": None, "f1": None}]
    for plot in (plot_roc, plot_precision_recall):
        assert "undefined" in texts(plot(CURVES[:0], summary))


def test_labels_of_thresholds_near_each_other_do_not_overlap():
    first, second = (
        {"threshold": value, "precision": 0.8 + value / 50, "recall": 0.6, "f1": 0.7}
        for value in (0.5, 0.4)
    )
    figure = plot_precision_recall(CURVES, SUMMARY | {"thresholds": [first, second]})
    figure.draw_without_rendering()
    one, other = (text for text in figure.axes[0].texts if "F1" in text.get_text())
    assert not one.get_window_extent().overlaps(other.get_window_extent())


def test_the_same_figure_gives_the_same_svg():
    assert style.to_svg(plot_roc(CURVES, SUMMARY)) == style.to_svg(plot_roc(CURVES, SUMMARY))


def test_an_inline_svg_has_the_ink_of_its_page_and_ids_of_its_own():
    svg = style.inline_svg(style.to_svg(plot_roc(CURVES, SUMMARY)), name="roc", title='a "b" <c>')
    assert svg.startswith('<svg role="img" aria-label="a &quot;b&quot; &lt;c&gt;"')
    assert svg.endswith("</svg>")
    assert style.INK not in svg
    assert "currentColor" in svg
    ids = set(re.findall(r'\bid="([^"]*)"', svg))
    assert all(result.startswith("roc-") for result in ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg)) <= ids
    assert not re.search(r'^<svg[^>]* width="', svg)


def test_an_inline_svg_is_the_same_picture_without_css():
    drawn = style.to_svg(plot_targets(PER_TARGET))
    svg = style.inline_svg(drawn, name="targets", title="Targets")
    assert "style" not in svg
    declared = [
        sorted(part.strip().replace(style.INK, "currentColor") for part in one.split(";"))
        for one in re.findall(r'style="([^"]*)"', drawn)
    ]
    names = "fill|fill-opacity|stroke|stroke-[a-z]+|opacity|image-rendering"
    result = [
        sorted(f"{name}: {value}" for name, value in re.findall(rf' ({names})="([^"]*)"', tag))
        for tag in re.findall(r"<(?!svg)[^>]*>", svg)
    ]
    assert [one for one in result if one] == declared
    assert "fill" in drawn
    assert "*{stroke-linejoin: round; stroke-linecap: butt}" in drawn  # what _LINES says instead


def test_a_png_is_white_and_200_dots_an_inch():
    png = style.to_png(plot_loss(HISTORY))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20]) == round(style.WIDTH * 200)


NAMES = [
    f"{cell}.wgEncodeAwgTfbs{lab}{cell}{factor}{end}UniPk"
    for cell in ("GM12878", "K562", "HeLaS3", "H1hesc")
    for lab in ("Broad", "Haib", "Sydh", "UtaUw")
    for factor in ("Ctcf", "Pol2", "Ezh239875", "Atf2sc81188V0422111", "Nfyb", "Rad21")
    for end in ("", "Pcr1x", "Iggrab", "Std")
]
"""384 names as ENCODE's, 35 to 58 letters long."""


def test_names_are_cut_in_the_middle_and_keep_the_end_that_tells_them():
    one, other = (
        "GM12878.wgEncodeAwgTfbsBroadGm12878CtcfUniPk",
        "GM12878.wgEncodeAwgTfbsHaibGm12878CtcfPcr1xUniPk",
    )
    assert short_names([one, other, "CTCF"], 26) == [
        "GM12878.…dGm12878CtcfUniPk",
        "GM12878.…878CtcfPcr1xUniPk",
        "CTCF",
    ]


@given(st.lists(st.text("ab", max_size=30), unique=True), st.integers(3, 12))
def test_labels_are_distinct_like_their_names(names: list[str], most: int):
    labels = short_names(names, most)
    assert len(set(labels)) == len(names)
    for name, label in zip(names, labels, strict=True):
        assert label == name or (len(label) < len(name) and "…" in label)


def placed(figure: Figure, x: np.ndarray, y: np.ndarray) -> list[Annotation]:
    """Return the labels, after a check that each is at its dot and covers nothing."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    scale = figure.dpi / 72
    dots = axes.transData.transform(np.column_stack([x, y]))
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    boxes = [Text.get_window_extent(label) for label in labels]
    frame = axes.get_window_extent()
    for label, box in zip(labels, boxes, strict=True):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        assert not any(box.contains(*dot) for dot in dots), label.get_text()
        assert sum(box.overlaps(other) for other in boxes) == 1, label.get_text()  # itself
        at = axes.transData.transform(label.xy)
        nearest = np.clip(at, box.min, box.max)
        assert label.arrow_patch is not None
        ends = label.arrow_patch.get_path().vertices[[0, -1]]
        assert np.abs(ends - [nearest, at]).max() < 4 * scale, label.get_text()
    return labels


@pytest.mark.parametrize("seed", range(8))
def test_labels_of_384_targets_stay_at_their_dots(seed: int):
    random = np.random.default_rng(seed)
    ratio = random.normal(0.08 * seed, 0.2, len(NAMES))
    diff = ratio * random.beta(0.5, 3, len(NAMES))
    labels = short_names(NAMES, 28)
    shown = placed(plot_allele(labels, diff, ratio), ratio, np.abs(diff))
    assert len(shown) >= 2
    for label in shown:
        number = labels.index(label.get_text())
        assert label.xy == (ratio[number], abs(diff[number]))


@pytest.mark.parametrize("count", [1, 2, 40, 900])
def test_labels_of_alleles_stay_at_their_dots(count: int):
    size = np.random.default_rng(count).gamma(0.7, 0.01, count)
    labels = [f"chr1:{16_000_000 + 37 * n}:A>G" for n in range(count)]
    figure = plot_alleles(["chr1"] * count, size, labels)
    shown = placed(figure, np.arange(1, count + 1), size)
    assert len(shown) >= min(count, 5)
    for label in shown:
        number = labels.index(label.get_text())
        assert label.xy == (number + 1, size[number])


def test_hostile_names_break_no_figure() -> None:
    """Control characters are escaped, also those that XML refuses, and a dollar is no formula."""
    name = "a\x1b[2J\x08\x00\u202e$\\frac{$"
    figure = style.new_figure(2)
    axes = figure.axes[0]
    axes.set_title(name)
    axes.set_yticks([0, 1], [name, "b"])
    axes.set_xscale("log")
    axes.plot([1, 100], [0, 1], label=name)
    axes.legend()
    for _ in range(2):
        svg = style.to_svg(figure)
        assert not any(letter in svg for letter in "\x1b\x08\x00\u202e")
        ElementTree.fromstring(svg)
        assert style.to_png(figure).startswith(b"\x89PNG")
