"""The annotation of targets: the columns that a page shows, filters by and colours by."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bioq.dataset.targets import NAME
from bioq.plots.style import MOST_GROUPS, group_colours

_MOST_CHOICES = 40
_GROUPS = ("group", "assay", "cell")
"""Columns that may colour the targets; the first with two or more values is used."""


@dataclass(frozen=True)
class Annotation:
    """The columns of a target table, without the name."""

    columns: tuple[str, ...]
    choices: tuple[str, ...]
    """Columns with few values, which the page offers as filters."""
    group: str
    """The column that colours the targets; empty if no column does."""
    colours: dict[str, str]
    """Value of `group` -> colour."""

    def colour(self, value: str) -> str:
        """Return the colour of a value of the column `group`."""
        return self.colours[value]

    def colour_of(self, target: Mapping[str, object]) -> str:
        """Return the colour of a row of the target table; empty if no column colours targets."""
        return self.colours[str(target[self.group])] if self.group else ""

    @property
    def legend(self) -> list[tuple[str, str]]:
        """(value, colour) of every entry; values that share the last colour are one entry."""
        entries = list(self.colours.items())
        if len(entries) <= MOST_GROUPS:
            return entries
        return [*entries[:MOST_GROUPS], ("other", entries[-1][1])]


def annotation_of(targets: pd.DataFrame) -> Annotation:
    """Return how a page uses the columns of a target table."""
    values = {column: targets[column].unique() for column in targets.columns if column != NAME}
    choices = [name for name, cells in values.items() if 2 <= len(cells) <= _MOST_CHOICES]
    group = next((name for name in _GROUPS if len(values.get(name, ())) > 1), "")
    common = targets[group].value_counts().index if group else ()
    return Annotation(
        tuple(values), tuple(choices), group, group_colours([str(value) for value in common])
    )
