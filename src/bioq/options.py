"""Checks options by the types of their fields, whether they come from flags, a file or Python.

Options are frozen dataclasses. The annotation of a field holds its type, its choices and its range;
`check_types`, called by `__post_init__`, compares the value with it.
"""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from bioq.errors import UsageError, short


@dataclass(frozen=True)
class Range:
    """The numbers that an option may have; a bound that is None does not apply."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = (
            (self.least, "{} or more"),
            (self.above, "more than {}"),
            (self.most, "at most {}"),
            (self.below, "below {}"),
        )
        return ", ".join(words.format(bound) for bound, words in bounds if bound is not None)


AtLeastOne = Annotated[int, Range(least=1)]
AtLeastZero = Annotated[int, Range(least=0)]
NotNegative = Annotated[float, Range(least=0)]
Positive = Annotated[float, Range(above=0)]
Share = Annotated[float, Range(least=0, below=1)]
TargetCount = Annotated[int, Range(least=1, most=1_000_000)]
"""Targets of a model or a data set. Published models have up to about 20,000; a million bounds the
memory that a table from a stranger takes (a gigabyte)."""
WindowBp = Annotated[int, Range(least=1, most=1 << 20)]
"""Length of a window; the longest windows of published models have 2^20 bases."""

FLAG = "flag"
"""Key in the metadata of a field whose flag does not follow from its name."""

_LARGEST_FLOAT = 2**1000
"""A larger whole number cannot be computed with as a float."""
_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}


def check_types(options: Any) -> None:
    """Raise UsageError if a value of a dataclass does not fit the annotation of its field.

    True is not a whole number; NaN and infinity are not numbers. For every wrong value the message
    has the flag of the field, the value and what is expected.
    """
    hints = get_type_hints(type(options), include_extras=True)
    wrong = []
    for field in fields(options):
        value, annotation = getattr(options, field.name), hints[field.name]
        if not fits(value, annotation):
            flag = field.metadata.get(FLAG, flag_of(field.name))
            wrong.append(f"{flag} {short(repr(value))}, expected {expected(value, annotation)}")
    if wrong:
        raise UsageError("; ".join(wrong))


def flag_of(name: str) -> str:
    """Return the flag of an option: `--select-by` for `select_by`."""
    return f"--{name.replace('_', '-')}"


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value has the type, is one of the choices and is in the range that an
    annotation gives."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is Annotated:
        return fits(value, arguments[0]) and all(value in range_ for range_ in arguments[1:])
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(item, arguments[0]) for item in value)
    if annotation is float:
        if isinstance(value, int):
            return not isinstance(value, bool) and abs(value) < _LARGEST_FLOAT
        return isinstance(value, float) and math.isfinite(value)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation)


def expected(value: Any, annotation: Any) -> str:
    """Return an annotation in words; only the range where the type of `value` is right."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        parts = [part for part in arguments if part is not NoneType]
        return " or ".join(expected(value, part) for part in parts)
    if origin is Literal:
        return " or ".join(", ".join(arguments).rsplit(", ", 1))
    if origin is Annotated:
        ranges = ", ".join(map(str, arguments[1:]))
        is_type = fits(value, arguments[0])
        return ranges if is_type else f"{expected(value, arguments[0])}, {ranges}"
    if origin is tuple:
        return f"a tuple, each item {expected(value, arguments[0])}"
    return _WORDS.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")
