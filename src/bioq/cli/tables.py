"""What commands print on stdout: lines, tables, and the paths and names that programs read.

Nothing else prints there, so that no name from a file reaches a terminal with its control
characters.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bioq.errors import escaped


def print_line(line: object = "") -> None:
    """Print one line for a person; what is not printable in it is shown escaped, also in a pipe,
    because `| head` and a log end on a terminal."""
    print(escaped(str(line)), flush=True)


def print_path(path: Path) -> None:
    """Print a path, which programs read: on a terminal what is not printable is shown escaped, in a
    pipe or a file it does not change, so that `$(...)` returns a path that exists. `ls` does the
    same."""
    print(escaped(str(path)) if sys.stdout.isatty() else path, flush=True)


def print_table(rows: Sequence[Sequence[str]], *, longest_name: int | None = None) -> None:
    """Print rows of text in aligned columns; the first row is the heading, numbers align right.

    A first cell that is longer than `longest_name` has a line of its own, above its row.
    """
    rows = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    if longest_name is not None:
        widths[0] = max(len(row[0]) for row in rows if len(row[0]) <= longest_name)
    for number, row in enumerate(rows):
        if len(row[0]) > widths[0]:
            print_line(row[0])
            row = ["", *row[1:]]
        aligned = [
            cell.ljust(width) if column == 0 or not _is_number(cell) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print_line("  ".join(aligned).rstrip())
        if number == 0:
            print_line("  ".join("-" * width for width in widths))


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "-–+"
