"""Tables as aligned text on stdout, readable in a pipe and on a terminal."""

from collections.abc import Sequence


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in aligned columns; the first row is the heading, numbers align right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        aligned = [
            cell.ljust(width) if column == 0 or not _is_number(cell) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(aligned).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "-–+"
