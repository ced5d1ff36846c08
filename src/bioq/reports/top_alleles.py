"""The alleles of the highest ranks, and a sample of all, kept while a table is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from bioq.errors import UsageError
from bioq.options import Range, check_types
from bioq.tables import Columns, Scores
from bioq.variants.columns import is_scored
from bioq.variants.order import ranking

SAMPLED = 5_000
"""Alleles of a figure: of more, as many as this, drawn at random, each with the same chance."""
REPORT_TOP = 50
_SEED = 0
_KEYS = ("score_phred", "max_abs_diff")


@dataclass(frozen=True)
class VariantReportOptions:
    """The report beside a table of scored alleles."""

    report: Path | None = None
    """HTML page to write beside the table: the alleles of the highest ranks, their best targets, a
    figure, and the logos of both alleles of the first ten."""
    report_top: Annotated[int, Range(least=1, most=1000)] = REPORT_TOP
    """Alleles that the report lists."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.report is None and self.report_top != REPORT_TOP:
            raise UsageError(f"--report-top {self.report_top} belongs to a report; add --report")

    @property
    def files(self) -> list[Path]:
        """The files of the report: its page, or none."""
        return [] if self.report is None else [self.report]


@dataclass(frozen=True)
class RankedAllele:
    """An allele and all that is known about it."""

    number: int
    """Its place in the input, from 1."""
    columns: Mapping[str, Any]
    """The columns of the table of scores."""
    scores: Mapping[str, npt.NDArray[np.floating[Any]]]
    """Score name -> `(targets,)`."""


class TopAlleles:
    """Rows of an output (`variants.outputs.formats`) that keep the first `most` of their ranking.

    Memory is that of `most` alleles and `SAMPLED` points, however many rows are written.
    """

    def __init__(self, most: int):
        self.alleles = 0
        self.scored = 0
        self._most = most
        self._kept: list[RankedAllele] = []
        self._random = np.random.default_rng(_SEED)
        self._points = np.empty((0, 4))  # of each sampled allele: random, number, phred, diff

    def write(self, columns: Columns, scores: Scores) -> None:
        """Take rows in input order: columns and scores of a `ScoredBlock`."""
        rows = np.flatnonzero(is_scored(columns))
        self._keep(rows, columns, scores)
        self._sample(rows, columns)
        self.scored += len(rows)
        self.alleles += len(columns["chrom"])

    @property
    def top(self) -> Sequence[RankedAllele]:
        """The alleles of the highest ranks, in order."""
        return self._kept

    @property
    def points(self) -> dict[str, npt.NDArray[np.float64]]:
        """`number`, `score_phred` and `top_diff` of the sampled alleles, each `(alleles,)`."""
        in_order = self._points[self._points[:, 1].argsort()]
        return dict(zip(("number", "score_phred", "top_diff"), in_order.T[1:], strict=True))

    def _keep(self, rows: npt.NDArray[np.int64], columns: Columns, scores: Scores) -> None:
        kept = len(self._kept)
        keys = {
            name: np.concatenate(
                [np.array([each.columns[name] for each in self._kept], float), columns[name][rows]]
            )
            for name in _KEYS
        }
        chosen = ranking(keys)[: self._most].tolist()
        self._kept = [
            self._kept[place]
            if place < kept
            else self._allele(int(rows[place - kept]), columns, scores)
            for place in chosen
        ]

    def _allele(self, row: int, columns: Columns, scores: Scores) -> RankedAllele:
        return RankedAllele(
            self.alleles + row + 1,
            {name: values[row] for name, values in columns.items()},
            {name: values[row].copy() for name, values in scores.items()},
        )

    def _sample(self, rows: npt.NDArray[np.int64], columns: Columns) -> None:
        """Give each allele a random number; those with the smallest numbers are the sample."""
        new = [
            self._random.random(len(rows)),
            self.alleles + rows + 1.0,
            columns["score_phred"][rows],
            columns["top_diff"][rows],
        ]
        points = np.concatenate([self._points, np.column_stack(new)])
        if len(points) > SAMPLED:
            points = points[np.argpartition(points[:, 0], SAMPLED)[:SAMPLED]]
        self._points = points
