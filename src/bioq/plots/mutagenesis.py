"""Effects of substitutions: a sequence logo above a heat map, in lines of 100 bases."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from bioq import dna
from bioq.files import new_file
from bioq.mutagenesis import WindowEffects
from bioq.plots.style import FAINT, to_png, to_svg

LINE_BP = 100
"""Bases a line of the figure."""
_BASE_COLOURS = ("#009E73", "#0072B2", "#E69F00", "#D55E00")
_LINE_HIGH = 1.75


def write_effects_figure(
    out: Path, windows: Sequence[WindowEffects], targets: Sequence[str]
) -> None:
    """Write the figure of all windows and targets as .png or .svg."""
    figure = plot_effects(windows, targets)
    image = to_svg(figure).encode() if out.suffix.lower() == ".svg" else to_png(figure)
    with new_file(out) as partial:
        partial.write_bytes(image)


def plot_effects(windows: Sequence[WindowEffects], targets: Sequence[str]) -> Figure:
    """Draw a panel for each window and target; the heat maps of a target have one scale.

    A letter is as high as the mean fall of the probability when the base is replaced: the bases
    that a prediction needs stand up, those that hold it down hang. The heat map below has the
    effect of every base; a dot marks the base that is there.
    """
    panels = [(found, number) for number in range(len(targets)) for found in windows]
    lines = [-(-len(found.codes) // LINE_BP) for found, _ in panels]
    wide = 1.7 + 0.105 * min(max(len(found.codes) for found in windows), LINE_BP)
    figure = Figure(figsize=(max(wide, 4.5), sum(lines) * _LINE_HIGH + 0.5 * len(panels)))
    figure.set_layout_engine("constrained", hspace=0.02)
    parts = figure.subfigures(len(panels), 1, height_ratios=lines, squeeze=False)[:, 0]
    for part, (found, number), count in zip(parts, panels, lines, strict=True):
        most = max(float(np.abs(other.effects[:, :, number]).max()) for other in windows)
        part.suptitle(_title(found, targets[number], number), x=0.01, ha="left", fontsize=10)
        axes = part.subplots(2 * count, 1, height_ratios=[1.25, 1] * count, squeeze=False)[:, 0]
        _draw_panel(axes, found, found.effects[:, :, number], most or 1.0)
    return figure


def letter_heights(codes: dna.Bytes, effects: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return minus the mean effect of the other bases `(length,)`; 0 where the base is unknown."""
    heights: npt.NDArray[np.float64] = -effects.sum(axis=0, dtype=np.float64) / 3
    return np.where(codes < dna.UNKNOWN, heights, 0.0)


def draw_logo(axes: Axes, codes: dna.Bytes, heights: npt.NDArray[np.float64], first: int) -> None:
    """Draw letters one unit wide from `first` on; below 0 they stand on their heads."""
    for code, letter in enumerate(dna.BASES):
        outline = _letter(letter)
        drawn = []
        for place in np.flatnonzero((codes == code) & (heights != 0)):
            corner = np.array([first + place - 0.46, 0.0])
            drawn.append(
                Outline(
                    np.asarray(outline.vertices) * [0.92, heights[place]] + corner, outline.codes
                )
            )
        if drawn:
            path = Outline.make_compound_path(*drawn)
            axes.add_patch(PathPatch(path, facecolor=_BASE_COLOURS[code], linewidth=0))


def _draw_panel(
    axes: npt.NDArray[np.object_],
    found: WindowEffects,
    effects: npt.NDArray[np.float32],
    most: float,
) -> None:
    """Draw a logo and a heat map for each 100 bases."""
    heights = letter_heights(found.codes, effects)
    low, high = min(heights.min(), 0.0), max(heights.max(), 0.0)
    air = 0.05 * (high - low or 1.0)
    width = min(len(found.codes), LINE_BP)
    for line, start in enumerate(range(0, len(found.codes), LINE_BP)):
        rows = slice(start, start + LINE_BP)
        codes = found.codes[rows]
        first = found.first_position + start + 1  # people count bases from 1
        logo, heat = axes[2 * line], axes[2 * line + 1]
        draw_logo(logo, codes, heights[rows], first)
        logo.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
        logo.set_ylim(low - air, high + air)
        logo.set_xticks([])
        logo.tick_params(labelsize=7)
        logo.spines[["top", "right", "bottom"]].set_visible(False)
        image = heat.imshow(
            effects[:, rows],
            aspect="auto",
            cmap="RdBu_r",
            vmin=-most,
            vmax=most,
            extent=(first - 0.5, first + len(codes) - 0.5, 3.5, -0.5),
            interpolation="nearest",
        )
        known = np.flatnonzero(codes < dna.UNKNOWN)
        heat.plot(first + known, codes[known], ".", color=FAINT, markersize=2)
        heat.set_yticks(range(4), list(dna.BASES), fontsize=7)
        heat.tick_params(axis="x", labelsize=8)
        heat.xaxis.set_major_formatter("{x:,.0f}")
        heat.xaxis.get_major_locator().set_params(integer=True)
        for one in (logo, heat):
            one.set_xlim(first - 0.5, first + width - 0.5)
    bar = axes[0].figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.01, shrink=0.9)
    bar.set_label("change of probability", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _title(found: WindowEffects, target: str, number: int) -> str:
    columns = found.columns
    where = columns.get("sequence") or columns["chrom"]
    last = found.first_position + len(found.codes)
    name = f", {columns['name']}" if columns.get("name") else ""
    return (
        f"{target}: {where}:{found.first_position + 1:,}-{last:,}{name}, "
        f"probability {found.reference[number]:.3f}"
    )


def _letter(letter: str) -> Outline:
    """Return the outline of a letter, stretched to the unit square."""
    path = TextPath(
        (0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold")
    )
    box = path.get_extents()
    vertices = (np.asarray(path.vertices) - box.min) / box.size
    return Outline(vertices, path.codes)
