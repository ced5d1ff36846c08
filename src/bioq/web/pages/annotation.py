"""What the target table says of its targets: which columns a page shows, chooses from, colours."""

from dataclasses import dataclass

import pandas as pd

from bioq.dataset.targets import NAME
from bioq.plots.style import MOST_GROUPS, group_colours

_MOST_CHOICES = 40
_GROUPS = ("group", "assay", "cell")
"""Columns by which targets are coloured; the first that tells targets apart."""


@dataclass(frozen=True)
class Annotation:
    """The columns of a target table, apart from the name."""

    columns: tuple[str, ...]
    choices: tuple[str, ...]
    """Those with few values, of which a reader may want one."""
    group: str
    """The column that colours; empty where there is none."""
    colours: dict[str, str]
    """Value of `group` -> colour."""

    def colour(self, value: str) -> str:
        """Return the colour of a value of `group`."""
        return self.colours[value]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """(value, colour); those that share the last colour are one entry."""
        entries = list(self.colours.items())
        if len(entries) <= MOST_GROUPS:
            return entries
        return [*entries[:MOST_GROUPS], ("other", entries[-1][1])]


def annotation_of(targets: pd.DataFrame) -> Annotation:
    """Return what a target table's columns are good for."""
    values = {column: targets[column].unique() for column in targets.columns if column != NAME}
    choices = [name for name, some in values.items() if 2 <= len(some) <= _MOST_CHOICES]
    group = next((name for name in _GROUPS if len(values.get(name, ())) > 1), "")
    common = targets[group].value_counts().index if group else ()
    return Annotation(
        tuple(values), tuple(choices), group, group_colours([str(one) for one in common])
    )
