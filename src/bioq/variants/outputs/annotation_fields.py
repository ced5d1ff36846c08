"""The INFO fields that `--annotate` adds to a record: one value per ALT (Number=A)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import __version__
from bioq.dataset.targets import NAME
from bioq.tables import Columns, Layout, Scores
from bioq.tables.text import join_scores
from bioq.variants.columns import (
    RANK_SCORE,
    SCORE_PHRED,
    TOP_DIFF,
    TOP_TARGET,
    group_columns,
    groups_in,
)
from bioq.variants.outputs.info import (
    ENCODED,
    InfoType,
    about,
    field_keys,
    info_line,
    type_of,
)
from bioq.variants.scores import MEANING

_COLUMNS = ("status", SCORE_PHRED, TOP_TARGET, TOP_DIFF, "max_abs_diff", RANK_SCORE)
"""The columns of the table that are fields, those that the table has."""


@dataclass(frozen=True)
class InfoField:
    """A field of INFO, and where its values are."""

    key: str
    kind: InfoType
    description: str
    column: str = ""
    """Column of the table; empty if the field is of a score."""
    score: str = ""
    target: int = 0
    """The number of the target in the scores."""

    def header_line(self) -> bytes:
        """Return the line of the header that describes the field."""
        made_by = f',Source="BioQ",Version="{__version__}"'
        return info_line(self.key, "A", self.kind, self.description, made_by).encode()

    def values(self, columns: Columns, scores: Scores) -> npt.NDArray[Any]:
        """Return the values of alleles, `(alleles,)`: float32, NaN if missing, or text."""
        if self.score:
            return np.asarray(scores[self.score][:, self.target], np.float32)
        values = columns[self.column]
        return values if self.kind == "String" else np.asarray(values, np.float32)


def info_fields(layout: Layout) -> list[InfoField]:
    """Return the fields of a table: its main columns, those of its groups, and its scores."""
    columns = [name for name in _COLUMNS if name in layout.columns]
    columns += [name for group in groups_in(layout.columns) for name in group_columns(group)]
    scores = [
        (score, number, target)
        for score in layout.scores
        for number, target in enumerate(layout.targets[NAME])
    ]
    keys = iter(field_keys([*columns, *(f"{score}:{target}" for score, _, target in scores)]))
    endings = {"status": _model(layout), SCORE_PHRED: _ceiling(layout)}
    return [
        *(
            InfoField(next(keys), type_of(layout, name), about(name) + endings.get(name, ""), name)
            for name in columns
        ),
        *(
            InfoField(next(keys), "Float", f"{MEANING[score]}; target {target}", "", score, number)
            for score, number, target in scores
        ),
    ]


def _model(layout: Layout) -> str:
    """Return which weights and genome the values are of, to be added to a description."""
    about = layout.metadata
    return f"; weights {about['model']:.12}, genome {about['genome']}" if "model" in about else ""


def _ceiling(layout: Layout) -> str:
    """Return the largest score_phred of each kind of allele, to be added to a description."""
    background = layout.metadata.get("background") or {}
    most = background.get("most_score_phred", {})
    named = [f"{bound:.4g} of {kind}s" for kind, bound in most.items() if bound is not None]
    if not named:
        return ""
    compared, own = background.get("compared_with", {}), background.get("of_kind", {})
    too_high = "; of indels too high, because the background has too few of them"
    is_mixed = compared.get("indel") != own.get("indel")
    return f"; at most {', '.join(named)}{too_high if is_mixed else ''}"


def as_text(values: npt.NDArray[Any]) -> list[str]:
    """Return the values of a field as INFO has them, `.` if missing."""
    if values.dtype.kind == "f":
        texts: list[str] = join_scores(values[:, None], ",", ".").to_pylist()
        return texts
    return [value.translate(ENCODED) or "." for value in values.tolist()]


def as_values(values: npt.NDArray[Any]) -> list[str | float | None]:
    """Return the values of a field as htslib takes them, None if missing."""
    if values.dtype.kind == "f":
        return [None if value != value else value for value in values.tolist()]
    return [value.translate(ENCODED) or None for value in values.tolist()]
