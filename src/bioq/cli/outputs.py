"""The outputs of an explanation: files, a figure, or both."""

from collections.abc import Sequence
from pathlib import Path

from bioq.errors import UsageError

_FIGURES = (".png", ".svg")


def split_outputs(outs: Sequence[Path], figure: Path | None) -> tuple[list[Path], Path | None]:
    """Return (files, figure); one of `outs` may be the figure itself.

    Raises UsageError for two figures, and for a figure that is not .png or .svg.
    """
    figures = [out for out in outs if out.suffix.lower() in _FIGURES]
    if len(figures) > 1:
        raise UsageError(f"--out {figures[1]} is a second figure; give one")
    if figures and figure is not None:
        raise UsageError(f"--out {figures[0]} is a figure already; remove --figure")
    if figure is not None and figure.suffix.lower() not in _FIGURES:
        raise UsageError(f"--figure {figure}: expected a name that ends in .png or .svg")
    return [out for out in outs if out not in figures], figures[0] if figures else figure
