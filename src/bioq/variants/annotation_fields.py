"""The INFO fields that `--annotate` adds to a record: one value per ALT (Number=A)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bioq import __version__
from bioq.dataset.targets import NAME
from bioq.genome.alleles import STATUSES
from bioq.tables import Columns, Layout, Scores
from bioq.tables.text import join_scores
from bioq.variants.columns import (
    COLUMN_MEANING,
    RANK_MEANING,
    RANK_SCORE,
    SCORE_PHRED,
    TOP_DIFF,
    TOP_TARGET,
    group_columns,
    groups_in,
)
from bioq.variants.formats import ENCODED
from bioq.variants.scores import MEANING

PREFIX = "BIOQ_"
FieldKind = Literal["String", "Float"]
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "status": ("STATUS", f"what became of ALT: {', '.join(STATUSES)}"),
    SCORE_PHRED: ("PHRED", COLUMN_MEANING[SCORE_PHRED]),
    TOP_TARGET: ("TARGET", f"{COLUMN_MEANING[TOP_TARGET]}; percent-encoded"),
    TOP_DIFF: ("DIFF", f"probability with ALT minus that with REF, of {PREFIX}TARGET"),
    "max_abs_diff": ("MAX_ABS_DIFF", COLUMN_MEANING["max_abs_diff"]),
    RANK_SCORE: ("RANK", RANK_MEANING),
}
"""Column of the table -> the name of its field after the prefix, and its description."""
# VCF 4.3, section 1.6.1: a key is [A-Za-z_][0-9A-Za-z_.]*.
_NOT_IN_KEY = re.compile(r"[^0-9A-Za-z_.]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class InfoField:
    """A field of INFO, and where its values are."""

    key: str
    kind: FieldKind
    description: str
    column: str = ""
    """Column of the table; empty if the field is of a score."""
    score: str = ""
    target: int = 0
    """The number of the target in the scores."""

    def header_line(self) -> bytes:
        """Return the line of the header that describes the field."""
        text = _CONTROL.sub(" ", self.description).replace("\\", "\\\\").replace('"', '\\"')
        return (
            f'##INFO=<ID={self.key},Number=A,Type={self.kind},Description="{text}",'
            f'Source="BioQ",Version="{__version__}">'
        ).encode()

    def values(self, columns: Columns, scores: Scores) -> npt.NDArray[Any]:
        """Return the values of alleles, `(alleles,)`: float32, NaN if missing, or text."""
        if self.score:
            return np.asarray(scores[self.score][:, self.target], np.float32)
        values = columns[self.column]
        return values if self.kind == "String" else np.asarray(values, np.float32)


def info_fields(layout: Layout) -> list[InfoField]:
    """Return the fields of a table: its main columns, those of its groups, and its scores."""
    taken: set[str] = set()
    fields = [
        InfoField(_key(name, taken), kind, text, column=column)
        for column, kind, name, text in _of_columns(layout)
    ]
    for score in layout.scores:
        for number, target in enumerate(layout.targets[NAME]):
            key = _key(f"{score.upper()}_{target}", taken)
            text = f"{MEANING[score]}; target {target}"
            fields.append(InfoField(key, "Float", text, score=score, target=number))
    return fields


def _of_columns(layout: Layout) -> Iterator[tuple[str, FieldKind, str, str]]:
    """Yield (column of the table, kind, name after the prefix, description) of the fields that are
    columns."""
    endings = {"status": _model(layout), SCORE_PHRED: _ceiling(layout)}
    for column, (name, text) in _COLUMNS.items():
        if column in layout.columns:
            yield column, _kind(layout, column), name, text + endings.get(column, "")
    for group in groups_in(layout.columns):
        for column in group_columns(group):
            name = _COLUMNS[column.removesuffix(f":{group}")][0]
            text = f"{PREFIX}{name} of the targets of {group} alone"
            yield column, _kind(layout, column), f"{name}_{group}", text


def _model(layout: Layout) -> str:
    """Return which weights and genome the values are of, to be added to a description."""
    about = layout.metadata
    return f"; weights {about['model']:.12}, genome {about['genome']}" if "model" in about else ""


def _ceiling(layout: Layout) -> str:
    """Return the largest score_phred of each kind of allele, to be added to a description."""
    background = layout.metadata.get("background") or {}
    most = background.get("most_score_phred", {})
    named = [
        f"{bound:.4g} of a {kind.replace('_', ' ')}"
        for kind, bound in most.items()
        if bound is not None
    ]
    if not named:
        return ""
    compared, own = background.get("compared_with", {}), background.get("of_kind", {})
    kind = "length_change"
    too_high = "; of a length change too high, because the background has too few of them"
    is_mixed = compared.get(kind) != own.get(kind)
    return f"; at most {', '.join(named)}{too_high if is_mixed else ''}"


def _kind(layout: Layout, column: str) -> FieldKind:
    return "String" if layout.columns[column] == "text" else "Float"


def _key(name: str, taken: set[str]) -> str:
    """Return the key of a field, different from all that are taken, and add it to these."""
    stem = PREFIX + _NOT_IN_KEY.sub("_", name)
    key, number = stem, 1
    while key in taken:
        number += 1
        key = f"{stem}_{number}"
    taken.add(key)
    return key


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
