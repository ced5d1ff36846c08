"""Figures of effects and contributions: a sequence logo above a heat map, 100 bases per line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from bioq import dna
from bioq.files import new_file
from bioq.inputs import Locus
from bioq.interpretation import Explanation
from bioq.interpretation.explanation import LOGIT, REFERENCE, contributions
from bioq.plots.style import FAINT, to_png, to_svg

LINE_BP = 100
"""Bases per line of the figure."""
_BASE_COLOURS = ("#009E73", "#0072B2", "#E69F00", "#D55E00")
_LINE_HIGH = 1.75
_ALLELE = "#F0E442"


@dataclass(frozen=True)
class _Panel:
    """The data of a window and a target."""

    title: str
    locus: Locus
    heights: npt.NDArray[np.floating[Any]]
    """Heights of the letters, `(bases,)`."""
    values: npt.NDArray[np.float32]
    """Values of the heat map, `(4, bases)`."""

    @property
    def lines(self) -> range:
        """The index of the first base of each line. A variant is in the middle of a line: that of
        the first line may be negative."""
        bases, allele = len(self.heights), self.locus.allele
        if bases <= LINE_BP or allele is None:
            return range(0, bases, LINE_BP)
        left = allele[0] - LINE_BP // 2  # of the line with the allele
        return range(left - -(-max(left, 0) // LINE_BP) * LINE_BP, bases, LINE_BP)


def write_effects_figure(
    out: Path, explanations: Sequence[Explanation], targets: Sequence[str]
) -> None:
    """Write the figure of all windows and targets of a mutagenesis as .png or .svg."""
    _write(out, plot_effects(explanations, targets))


def write_contributions_figure(
    out: Path, explanations: Sequence[Explanation], targets: Sequence[str]
) -> None:
    """Write the figure of all windows and targets of an attribution as .png or .svg."""
    _write(out, plot_contributions(explanations, targets))


def plot_effects(explanations: Sequence[Explanation], targets: Sequence[str]) -> Figure:
    """Draw a panel for each window and target; the panels of a target share their scales.

    The height of a letter is the mean decrease of the probability when the base is replaced: above
    the line, the base raises the prediction; below the line, the base lowers it. The heat map shows
    the effect of every base; a dot marks the base of the window. The allele of a variant has a
    yellow background and a frame.
    """
    panels = [
        [
            _Panel(
                f"{_title(item.locus, target)}, probability {item.scores[REFERENCE][number]:.3f}",
                item.locus,
                letter_heights(item.locus.bases, item.values[:, :, number]),
                item.values[:, :, number],
            )
            for item in explanations
        ]
        for number, target in enumerate(targets)
    ]
    return _plot(panels, "change of probability")


def plot_contributions(explanations: Sequence[Explanation], targets: Sequence[str]) -> Figure:
    """Draw a panel for each window and target; the panels of a target share their scales.

    The height of a letter is the base's contribution to the logit. The heat map shows the
    contribution of every base; a dot marks the base of the window. The allele of a variant has a
    yellow background and a frame.
    """
    panels = [
        [
            _Panel(
                f"{_title(item.locus, target)}, logit {item.scores[LOGIT][number]:.2f}",
                item.locus,
                contributions(item.locus.bases, item.values)[:, number],
                item.values[:, :, number],
            )
            for item in explanations
        ]
        for number, target in enumerate(targets)
    ]
    return _plot(panels, "part of the logit")


def _write(out: Path, figure: Figure) -> None:
    image = to_svg(figure).encode() if out.suffix.lower() == ".svg" else to_png(figure)
    with new_file(out) as partial:
        partial.write_bytes(image)


def _plot(targets: Sequence[Sequence[_Panel]], label: str) -> Figure:
    panels = [panel for of_target in targets for panel in of_target]
    lines = [len(panel.lines) for panel in panels]
    wide = 1.7 + 0.105 * min(max(len(panel.heights) for panel in panels), LINE_BP)
    figure = Figure(figsize=(max(wide, 4.5), sum(lines) * _LINE_HIGH + 0.65 * len(panels)))
    figure.set_layout_engine("constrained", hspace=0.02)
    parts = iter(figure.subfigures(len(panels), 1, height_ratios=lines, squeeze=False)[:, 0])
    for of_target in targets:
        most = max(float(np.abs(panel.values).max()) for panel in of_target) or 1.0
        low = min(0.0, *(float(panel.heights.min()) for panel in of_target))
        high = max(0.0, *(float(panel.heights.max()) for panel in of_target))
        air = 0.05 * (high - low or 1.0)
        for panel in of_target:
            part = next(parts)
            count = len(panel.lines)
            part.suptitle(panel.title, x=0.01, ha="left", fontsize=10)
            axes = part.subplots(2 * count, 1, height_ratios=[1.25, 1] * count, squeeze=False)
            _draw_panel(axes[:, 0], panel, (low - air, high + air), most, label)
    return figure


def letter_heights(codes: dna.Bytes, effects: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return minus the mean effect of the substitutions, `(length,)`; 0 at an unknown base."""
    heights: npt.NDArray[np.float64] = -effects.sum(axis=0, dtype=np.float64) / 3
    return np.where(codes < dna.UNKNOWN, heights, 0.0)


def draw_logo(
    axes: Axes, codes: dna.Bytes, heights: npt.NDArray[np.floating[Any]], first: int
) -> None:
    """Draw letters one unit wide from x = `first` on; negative heights are drawn upside down."""
    for code, letter in enumerate(dna.BASES):
        outline = letter_outline(letter)
        drawn = []
        for position in np.flatnonzero((codes == code) & (heights != 0)):
            corner = np.array([first + position - 0.46, 0.0])
            drawn.append(
                Outline(
                    np.asarray(outline.vertices) * [0.92, heights[position]] + corner, outline.codes
                )
            )
        if drawn:
            path = Outline.make_compound_path(*drawn)
            axes.add_patch(PathPatch(path, facecolor=_BASE_COLOURS[code], linewidth=0))


def _draw_panel(
    axes: npt.NDArray[np.object_],
    panel: _Panel,
    heights: tuple[float, float],
    most: float,
    label: str,
) -> None:
    """Draw a logo and a heat map for every 100 bases.

    The x axis counts bases from 0; its labels are their positions.
    """
    bases = panel.locus.bases
    width = min(len(bases), LINE_BP)
    for line, left in enumerate(panel.lines):
        start = max(left, 0)
        rows = slice(start, left + LINE_BP)
        codes = bases[rows]
        logo, heat = axes[2 * line], axes[2 * line + 1]
        draw_logo(logo, codes, panel.heights[rows], start)
        logo.hlines(0, start - 0.5, start + len(codes) - 0.5, FAINT, linewidth=0.6, zorder=0)
        logo.set_ylim(*heights)
        logo.set_xticks([])
        logo.tick_params(labelsize=7)
        logo.spines[["top", "right", "bottom"]].set_visible(False)
        image = heat.imshow(
            panel.values[:, rows],
            aspect="auto",
            cmap="RdBu_r",
            vmin=-most,
            vmax=most,
            extent=(start - 0.5, start + len(codes) - 0.5, 3.5, -0.5),
            interpolation="nearest",
        )
        known = np.flatnonzero(codes < dna.UNKNOWN)
        heat.plot(start + known, codes[known], ".", color=FAINT, markersize=2)
        heat.set_yticks(range(4), list(dna.BASES), fontsize=7)
        heat.set_xticks(*_ticks(panel.locus, start, start + len(codes), width), fontsize=8)
        heat.spines[:].set_visible(False)
        for part in (logo, heat):
            part.set_xlim(left - 0.5, left + width - 0.5)
        _mark_allele(logo, heat, panel.locus.allele)
    bar = axes[0].figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.01, shrink=0.9)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _mark_allele(logo: Axes, heat: Axes, allele: tuple[int, int] | None) -> None:
    """Mark the bases of a variant's allele; where the line has none of them nothing is visible."""
    if allele is None:
        return
    start, end = allele
    logo.axvspan(start - 0.5, end - 0.5, facecolor=_ALLELE, alpha=0.6, linewidth=0, zorder=0)
    heat.add_patch(
        Rectangle((start - 0.5, -0.5), end - start, 4, fill=False, edgecolor="black", linewidth=1.2)
    )


def _ticks(locus: Locus, start: int, end: int, width: int) -> tuple[list[int], list[str]]:
    """Return (indices, labels) of round positions, counted from 1, of a line that has room for
    `width` bases; inserted bases have none."""
    every = next(step for step in (1, 2, 5, 10, 20) if width / step <= 10 or step == 20)
    shown = [
        index
        for index in range(start, end)
        if not locus.inserted[index] and (locus.position[index] + 1) % every == 0
    ]
    return shown, [f"{locus.position[index] + 1:,}" for index in shown]


def _title(locus: Locus, target: str) -> str:
    columns = locus.columns
    where = columns.get("sequence") or columns["chrom"]
    name = f", {columns['name']}" if columns.get("name") else ""
    return f"{target}\n{where}:{locus.position[0] + 1:,}-{locus.position[-1] + 1:,}{name}"


def letter_outline(letter: str) -> Outline:
    """Return the outline of a letter, stretched to the unit square."""
    path = TextPath(
        (0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold")
    )
    box = path.get_extents()
    vertices = (np.asarray(path.vertices) - box.min) / box.size
    return Outline(vertices, path.codes)
