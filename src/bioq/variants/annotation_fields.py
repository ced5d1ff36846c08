"""The INFO fields that `--annotate` adds to a record: one value per ALT (Number=A)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bioq import __version__
from bioq.dataset.targets import NAME
from bioq.genome.alleles import STATUSES
from bioq.tables import Columns, Layout, Scores
from bioq.tables.text import join_scores
from bioq.variants.scores import MEANING

PREFIX = "BIOQ_"
_COLUMNS = {
    "status": ("STATUS", "{statuses}"),
    "score_phred": (
        "PHRED",
        "-10 log10 of the share of background variants that are at least as extreme",
    ),
    "top_target": (
        "TARGET",
        "Target with the smallest E-value or, without a background, the largest absolute diff, "
        "percent-encoded",
    ),
    "top_diff": ("DIFF", "Probability with ALT minus probability with REF, of BIOQ_TARGET"),
    "max_abs_diff": ("MAX_ABS_DIFF", "Largest absolute diff of all targets"),
}
"""Column of the table -> the name of its field after the prefix, and its description."""
# VCF 4.3, section 1.6.1: a key is [A-Za-z_][0-9A-Za-z_.]*.
_NOT_IN_KEY = re.compile(r"[^0-9A-Za-z_.]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Characters to percent-encode in a value of INFO: those of VCF 4.3, section 1.2, and blanks.
ENCODED = str.maketrans({letter: f"%{ord(letter):02X}" for letter in "%:;=, \t\r\n"})


@dataclass(frozen=True)
class InfoField:
    """A field of INFO, and where its values are."""

    key: str
    kind: Literal["String", "Float"]
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
    fields: list[InfoField] = []
    taken: set[str] = set()
    for column, _, suffix, text in _of_columns(layout):
        name = _COLUMNS[column.partition(":")[0]][0]
        key = _key(name if not suffix else f"{name}_{suffix}", taken)
        kind: Literal["String", "Float"] = "String" if layout.columns[column] == "text" else "Float"
        fields.append(InfoField(key, kind, text, column=column))
    for score in layout.scores:
        for number, target in enumerate(layout.targets[NAME]):
            key = _key(f"{score.upper()}_{target}", taken)
            text = f"{MEANING[score]}; target {target}"
            fields.append(InfoField(key, "Float", text, score=score, target=number))
    return fields


def _of_columns(layout: Layout) -> Iterator[tuple[str, str, str, str]]:
    """Yield (column of the table, main column, group, description) of the fields of columns."""
    model = str(layout.metadata.get("model", ""))[:12]
    about = f"; weights {model}, genome {layout.metadata.get('genome', '')}" if model else ""
    for main, (_, text) in _COLUMNS.items():
        if main in layout.columns:
            statuses = f"What became of ALT: {', '.join(STATUSES)}{about}"
            yield main, main, "", text.format(statuses=statuses)
    for column in layout.columns:
        main, colon, group = column.partition(":")
        if colon and main in _COLUMNS:
            yield column, main, group or "none", f"{_COLUMNS[main][1]}; targets of {group}"


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
