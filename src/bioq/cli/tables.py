"""Tables as aligned text on stdout: as readable in a pipe as on a terminal."""

from collections.abc import Sequence


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in columns, the first row as the heading; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if place == 0 or not _is_number(cell) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "-–+"
