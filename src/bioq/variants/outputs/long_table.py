"""A long table: one row per allele and target, in place of one column per score and target."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME
from bioq.tables import Columns, Layout, Scores, Table, open_table
from bioq.variants.order import by_effect

TARGET = "target"
"""The column with the target of a row; the columns of scores are SCORE:target."""
_ROWS_AT_ONCE = 1 << 16
"""Rows that are in memory together, about; a column of text takes most of it."""


@dataclass(frozen=True)
class LongChoice:
    """The targets of an allele that get a row: those that pass all conditions."""

    top: int | None
    """At most this number, in the order of `by_effect`."""
    max_evalue: float | None
    min_diff: float | None

    def targets(self, scores: Scores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the alleles and the targets of the rows, `(rows,)` each, in order.

        `scores` are all scores of the alleles, `(alleles, targets)`. An allele without a target
        that passes has one row, with the target -1.
        """
        order = by_effect(scores)
        passes = np.isfinite(scores["diff"])
        if self.min_diff is not None:
            passes &= np.abs(scores["diff"]) >= self.min_diff
        if self.max_evalue is not None:
            passes &= scores["evalue"] <= self.max_evalue
        passes = np.take_along_axis(passes, order, axis=1)
        if self.top is not None:
            passes &= np.cumsum(passes, axis=1) <= self.top
        rows = np.concatenate([passes, ~passes.any(axis=1, keepdims=True)], axis=1)
        order = np.concatenate([order, np.full((len(order), 1), -1)], axis=1)
        return np.nonzero(rows)[0], order[rows]


@contextlib.contextmanager
def open_long(out: Path, layout: Layout, choice: LongChoice) -> Iterator["LongRows"]:
    """Yield rows that become a long table: the columns of `layout`, `TARGET`, then its scores.

    `write` takes all scores of the alleles, also those that the table does not have.
    """
    of_row = pd.DataFrame({NAME: [TARGET]})
    long = replace(layout, columns={**layout.columns, TARGET: "text"}, targets=of_row)
    with open_table(out, long) as table:
        yield LongRows(table, layout, choice)


class LongRows:
    """Divides rows of alleles into rows of alleles and targets."""

    def __init__(self, table: Table, layout: Layout, choice: LongChoice):
        self._table = table
        self._scores = layout.scores
        self._names = np.array([*layout.targets[NAME], ""], dtype=object)
        self._choice = choice
        self._alleles = max(_ROWS_AT_ONCE // len(layout.targets), 1)

    def write(self, columns: Columns, scores: Scores) -> None:
        """Append the rows of alleles."""
        for first in range(0, len(columns["chrom"]), self._alleles):
            part = slice(first, first + self._alleles)
            of_part = {name: values[part] for name, values in scores.items()}
            allele, target = self._choice.targets(of_part)
            chosen = {}
            for name in self._scores:
                values = of_part[name][allele, target]
                chosen[name] = np.where(target < 0, np.float32("nan"), values)[:, None]
            rows = {name: values[part][allele] for name, values in columns.items()}
            self._table.write({**rows, TARGET: self._names[target]}, chosen)
