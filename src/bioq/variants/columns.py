"""The columns of an allele: those that are written before its scores, in every format.

`COLUMNS` are always there; with a column of the target table to group by, `score_phred` and
`top_target` follow for each group of targets.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import UsageError, did_you_mean, nearest, some
from bioq.tables import Kind

TOP_TARGET, TOP_DIFF = "top_target", "top_diff"
SCORE_PHRED, BACKGROUND_N = "score_phred", "background_n"
RANK_SCORE = "rank_score"
"""The column that 'bioq rank apply' adds, after those of the groups."""
RANK_MEANING = "probability that the allele is a positive, among alleles mixed as those of the fit"

COLUMNS: Mapping[str, Kind] = {
    "chrom": "text",
    "pos": "integer",
    "id": "text",
    "ref": "text",
    "alt": "text",
    "status": "text",
    "genome_ref": "text",
    "max_abs_diff": "number",
    "mean_abs_diff": "number",
    TOP_TARGET: "text",
    TOP_DIFF: "number",
    SCORE_PHRED: "number",
    BACKGROUND_N: "number",
}
"""The columns of every table of alleles, in order; the first five are those of the VCF."""

COLUMN_MEANING: Mapping[str, str] = {
    "chrom": "contig, in the spelling of the input",
    "pos": "position of the first base of ref, counted from 1",
    "id": "ID of the input; . if it has none",
    "ref": "reference allele",
    "alt": "alternative allele",
    "status": "scored, or the reason why the allele has no score",
    "genome_ref": "letters of the genome in place of ref, if they differ",
    "max_abs_diff": "largest absolute diff of the chosen targets",
    "mean_abs_diff": "mean absolute diff of the chosen targets",
    TOP_TARGET: "target with the smallest E-value of all targets; without a background, chosen "
    "target with the largest absolute diff",
    TOP_DIFF: "diff of top_target",
    SCORE_PHRED: "-10 log10 of the share of background variants whose smallest E-value of all "
    "targets is at most that of the allele",
    BACKGROUND_N: "background variants that the allele was compared with",
}
"""What each of `COLUMNS` means."""

RANKING = (TOP_TARGET, TOP_DIFF, SCORE_PHRED, BACKGROUND_N)
"""The columns that are computed with the scores, from all targets of a run."""

TargetNumbers = npt.NDArray[np.int64]
"""Numbers of targets: rows of a target table."""


def groups_of(table: pd.DataFrame, column: str | None) -> dict[str, TargetNumbers]:
    """Return {value of a column of a target table: the targets that have it}, in table order.

    A target whose cell is empty is in no group; without a column there is no group. Raises
    UsageError if the table has no such column, or all its cells are empty.
    """
    if column is None:
        return {}
    if column not in table:
        names = [str(name) for name in table.columns]
        hint = did_you_mean([repr(name) for name in nearest(column, names, 1)])
        raise UsageError(
            f"group by {column!r}: the target table has no such column; {hint}its columns are "
            f"{some(names, 10)}"
        )
    rows = table.reset_index(drop=True).groupby(column, sort=False).indices
    found = {str(value): np.asarray(at, np.int64) for value, at in rows.items() if str(value)}
    if not found:
        raise UsageError(f"group by {column!r}: all its cells of the target table are empty")
    return found


def group_columns(group: str) -> tuple[str, str]:
    """Return the names of the columns of a group of targets: its score_phred and top_target."""
    return f"{SCORE_PHRED}:{group}", f"{TOP_TARGET}:{group}"


def groups_in(columns: Iterable[str]) -> list[str]:
    """Return the groups whose columns are among some columns, in order."""
    start = f"{SCORE_PHRED}:"
    return [name.removeprefix(start) for name in columns if name.startswith(start)]


def with_groups(groups: Iterable[str]) -> dict[str, Kind]:
    """Return `COLUMNS`, then the columns of each group, with their kinds."""
    columns = dict(COLUMNS)
    for group in groups:
        phred, top = group_columns(group)
        columns |= {phred: "number", top: "text"}
    return columns


def is_scored(columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Return which alleles have scores, from their columns."""
    scored: npt.NDArray[np.bool_] = np.isfinite(columns["max_abs_diff"])
    return scored


def empty_column(kind: Kind, rows: int) -> npt.NDArray[np.generic]:
    """Return a column without values: NaN, or empty texts."""
    if kind == "text":
        return np.full(rows, "", dtype=object)
    return np.full(rows, np.nan)
