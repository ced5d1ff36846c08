"""The effects of motifs that are put into DNA, beside those of scrambled motifs."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bioq.plots.names import short_names
from bioq.plots.style import FAINT, STYLE

MOST_MOTIFS, MOST_TARGETS = 30, 20
"""More are not readable."""
_CELL = 0.2
"""Width and height of a cell in inches."""
_MOST_LETTERS = 26
_COLOURS = "RdBu_r"
_CONTROL = 0.3
"""Side of the square of the control, in cells."""


@matplotlib.rc_context(STYLE)
def plot_insertions(table: pd.DataFrame) -> Figure:
    """Draw the strongest motifs and targets as a heat map of logit changes.

    `table` has the rows of `insertion_effects`. The colour of a cell is the effect of the motif;
    the square inside has the colour of the control, the mean of scrambled motifs. Motifs and
    targets are those with the largest difference between the two, at most 30 and 20.
    """
    motifs, targets = strongest(table)
    values = {
        name: table.pivot_table(index="matrix_id", columns="target", values=name, sort=False)
        .reindex(index=list(motifs), columns=targets)
        .to_numpy()
        for name in ("effect", "control")
    }
    most = float(np.nanmax(np.abs(np.stack(list(values.values()))))) or 1.0
    rows, columns = len(motifs), len(targets)
    wide, high = columns * _CELL, rows * _CELL
    figure = Figure(figsize=(max(wide + 2.6, 4.8), high + 2.5))
    axes = figure.subplots()
    norm = Normalize(-most, most)
    image = axes.imshow(
        values["effect"], aspect="equal", interpolation="nearest", cmap=_COLOURS, norm=norm
    )
    y, x = np.mgrid[:rows, :columns]
    side = (_CONTROL * _CELL * 72) ** 2
    control = values["control"].ravel()  # one row of 3 or 4 values would be read as one colour
    axes.scatter(
        x.ravel(), y.ravel(), side, control, marker="s", linewidths=0, cmap=_COLOURS, norm=norm
    )
    axes.set_xticks(range(columns), short_names(targets, _MOST_LETTERS), rotation=90, fontsize=8)
    axes.set_yticks(range(rows), short_names(list(motifs.values()), _MOST_LETTERS), fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03, aspect=30, shrink=0.9)
    bar.set_label("change of the logit", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    label = "cell: motif put in; square inside: scrambled motif"
    figure.legend(
        handles=[Patch(facecolor="none", edgecolor=FAINT, label=label)],
        loc="outside lower left",
        fontsize=8,
        handlelength=0.8,
    )
    return figure


def strongest(table: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    """Return the motifs (matrix ID -> name) and targets of a figure of insertions.

    They are those with the largest difference from the control, the motifs by the largest first,
    the targets in the order of their strongest motif.
    """
    size = table["difference"].abs().fillna(0)
    by_motif = size.groupby(table["matrix_id"], sort=False).max().nlargest(MOST_MOTIFS)
    by_target = size.groupby(table["target"], sort=False).max().nlargest(MOST_TARGETS)
    names = dict(zip(table["matrix_id"], table["motif"], strict=True))
    motifs = {str(number): str(names[number]) for number in by_motif.index}
    place = {number: place for place, number in enumerate(motifs)}
    shown = table[table["matrix_id"].isin(list(motifs)) & table["target"].isin(by_target.index)]
    best = shown.loc[size[shown.index].groupby(shown["target"], sort=False).idxmax()]
    places = dict(zip(best["target"], best["matrix_id"].map(place), strict=True))
    targets = sorted(places, key=lambda target: (places[target], -by_target[target]))
    return motifs, [str(target) for target in targets]
