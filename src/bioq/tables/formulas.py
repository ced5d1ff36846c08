"""Cells of text that a spreadsheet takes for formulas, made harmless so that they can be read back.

A cell that a spreadsheet may execute gets `'` before it, as does a cell that begins with `'`. The
original is the cell without one `'` at its start. Source: OWASP, CSV Injection.
"""

import re
from collections.abc import Iterable

MARK = "'"
# Spreadsheets remove a quote around a cell; the wide signs are for Asian keyboards.
_FORMULA = re.compile(r"[\s\x00-\x1f]*['\"=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def mark_formulas(cells: Iterable[str]) -> list[str]:
    """Return the cells, with `MARK` before those that may be formulas; numbers do not change."""
    return [
        MARK + cell if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
        for cell in cells
    ]
