"""The fields of INFO that BioQ writes into a VCF: BIOQ_ and the name of a column in capitals."""

import re
from collections.abc import Iterable
from typing import Any, Literal

from bioq.genome.alleles import STATUSES
from bioq.tables import Layout
from bioq.variants.columns import (
    BACKGROUND_N,
    COLUMN_MEANING,
    RANK_MEANING,
    RANK_SCORE,
    TOP_TARGET,
)

PREFIX = "BIOQ_"
InfoType = Literal["String", "Float", "Integer"]
# Characters to percent-encode in a value of INFO: those of VCF 4.3, section 1.2, and blanks.
ENCODED = str.maketrans({letter: f"%{ord(letter):02X}" for letter in "%:;=, \t\r\n"})
# VCF 4.3, section 1.6.1: a key is [A-Za-z_][0-9A-Za-z_.]*.
_NOT_IN_KEY = re.compile(r"[^0-9A-Za-z_.]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def field_keys(names: Iterable[str]) -> list[str]:
    """Return the keys of the fields of columns or scores, all different.

    Of `NAME:REST`, REST is the name of a group or target, which keeps its small letters.
    """
    keys: dict[str, None] = {}
    for name in names:
        first, _, rest = name.partition(":")
        stem = PREFIX + first.upper() + _NOT_IN_KEY.sub("_", f"_{rest}" if rest else "")
        key, number = stem, 1
        while key in keys:
            number += 1
            key = f"{stem}_{number}"
        keys[key] = None
    return list(keys)


def type_of(layout: Layout, column: str) -> InfoType:
    """Return the type of the field of a column."""
    if column == BACKGROUND_N:
        return "Integer"
    return "String" if layout.columns[column] == "text" else "Float"


def about(column: str) -> str:
    """Return the description of the field of a column."""
    name, _, group = column.partition(":")
    if group:
        return f"{name} of the targets of {group} alone"
    if name == RANK_SCORE:
        return RANK_MEANING
    more = {"status": f": {', '.join(STATUSES)}", TOP_TARGET: "; percent-encoded"}
    return COLUMN_MEANING[name] + more.get(name, "")


def info_line(key: str, number: Any, kind: InfoType, description: str, ending: str = "") -> str:
    """Return the line of the header that describes a field."""
    return (
        f"##INFO=<ID={key},Number={number},Type={kind},Description={quoted(description)}{ending}>"
    )


def quoted(text: str) -> str:
    """Return a text in quotes, escaped as in VCF 4.3, section 1.4, without control characters."""
    return '"' + _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"') + '"'
