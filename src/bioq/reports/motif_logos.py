"""Sequence logos of motifs for HTML pages, as SVG."""

import html

import numpy as np

from bioq import dna
from bioq.motifs import Floats, Motif

_COLUMN, _HIGH, _GAP = 8, 34, 5
"""Width of a position, height of 2 bits and gap between the two logos, in units of the SVG."""
_LEAST_HIGH = 1
"""Lower letters are not drawn: they cannot be seen, and most letters are that low."""
_BEYOND = 8
"""Positions of the match drawn beyond each end of the filter."""


def motif_logos(motif: Motif, match: Motif | None = None, offset: float = 0) -> str:
    """Return an SVG with the logo of a motif and, aligned below it, the logo of its match.

    `offset` is where the motif starts in the match. The letters are those of `letters.html.j2`.
    """
    drawn = _letters(motif.probabilities, first=0, top=0)
    start, end, high = 0, len(motif), _HIGH
    if match is not None:
        first = -int(offset)
        begin, stop = max(0, -first - _BEYOND), len(motif) + _BEYOND - first
        shown = match.probabilities[begin:stop]
        first += begin
        drawn += _letters(shown, first=first, top=_HIGH + _GAP)
        start, end, high = min(0, first), max(end, first + len(shown)), 2 * _HIGH + _GAP
    width = (end - start) * _COLUMN
    lines = "".join(
        f'<path class="base" d="M{start * _COLUMN} {top + _HIGH}h{width}"/>'
        for top in range(0, high, _HIGH + _GAP)
    )
    label = motif.name if match is None else f"{motif.name} above {match.name}"
    label = html.escape(label, quote=True)
    return (
        f'<svg viewBox="{start * _COLUMN} 0 {width} {high + 1}" style="width:{width * 1.5:.0f}px" '
        f'role="img" aria-label="{label}">{lines}{drawn}</svg>'
    )


def _letters(probabilities: Floats, *, first: int, top: int) -> str:
    """Return the letters of a logo, as high as their shares of the position's information."""
    bits = Motif("", "", probabilities).information_bits()
    heights = np.round(probabilities * bits[:, np.newaxis] * _HIGH / 2, 1)
    parts = []
    for position, column in enumerate(heights):
        foot = float(top + _HIGH)
        for base in np.argsort(column):
            high = float(column[base])
            if high >= _LEAST_HIGH:
                x, y = (first + position) * _COLUMN, foot - high
                letter = dna.BASES[base]
                parts.append(
                    f'<use href="#{letter}" transform="matrix(1 0 0 {high:g} {x} {y:g})"/>'
                )
            foot -= high
    return "".join(parts)
