"""The outputs of an explanation: a file, a figure, or both."""

from pathlib import Path

from bioq.errors import UsageError

_FIGURES = (".png", ".svg")


def split_outputs(out: Path, figure: Path | None) -> tuple[list[Path], Path | None]:
    """Return (files, figure); `out` may be the figure itself.

    Raises UsageError for two figures, and for a figure that is not .png or .svg.
    """
    if out.suffix.lower() in _FIGURES:
        if figure is not None:
            raise UsageError(f"--out {out} is a figure already; remove --figure")
        return [], out
    if figure is not None and figure.suffix.lower() not in _FIGURES:
        raise UsageError(f"--figure {figure}: expected a name that ends in .png or .svg")
    return [out], figure
