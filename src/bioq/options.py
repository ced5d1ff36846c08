"""Checks options by the types of their fields, whether they come from flags, a file or Python.

Options are frozen dataclasses. The annotation of a field holds its type, its choices and its range;
`check_types`, called by `__post_init__`, compares the value with it.
"""

import sys
from collections.abc import Mapping
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

LARGEST = 2**63 - 1
"""The largest whole number of an option: what TOML promises and what PyTorch and NumPy hold."""
_SHOWN_BITS = 180
"""A longer whole number is not written in digits: it would fill the line."""

FLAG = "flag"
"""Key in the metadata of a field whose flag does not follow from its name."""

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
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    flags = {field.name: field.metadata.get(FLAG, flag_of(field.name)) for field in fields(options)}
    wrong = wrong_values(annotations(type(options)), values)
    if wrong:
        raise UsageError("; ".join(f"{flags[name]} {text}" for name, text in wrong.items()))


def annotations(kind: type) -> dict[str, Any]:
    """Return the annotations of the fields of a dataclass, with choices and ranges."""
    return get_type_hints(kind, include_extras=True)


def wrong_values(expected: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """Return {name: its value, and what is expected} of the values that do not fit the annotation
    of their name."""
    return {
        name: f"{_shown(value)}, expected {_expected(value, expected[name])}"
        for name, value in values.items()
        if not _fits(value, expected[name])
    }


def flag_of(name: str) -> str:
    """Return the flag of an option: `--select-by` for `select_by`."""
    return f"--{name.replace('_', '-')}"


def _fits(value: Any, annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is Annotated:
        return _fits(value, arguments[0]) and all(value in range_ for range_ in arguments[1:])
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if annotation is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max  # false for NaN
    if annotation is int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and abs(value) <= LARGEST
    if annotation in (str, Path):  # no path and no name of the system holds a NUL
        return isinstance(value, annotation) and "\0" not in str(value)
    return bool(isinstance(value, annotation))


def _shown(value: Any) -> str:
    """Return a value for a message, cut; Python writes no number of more than 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"a number of {value.bit_length():,} bits"
    return short(repr(value))


def _expected(value: Any, annotation: Any) -> str:
    """Return an annotation in words; only the range where the type of `value` is right."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        parts = [part for part in arguments if part is not NoneType]
        return " or ".join(_expected(value, part) for part in parts)
    if origin is Literal:
        return " or ".join(", ".join(arguments).rsplit(", ", 1))
    if origin is Annotated:
        ranges = ", ".join(map(str, arguments[1:]))
        is_type = _fits(value, arguments[0])
        return ranges if is_type else f"{_expected(value, arguments[0])}, {ranges}"
    if origin is tuple:
        return f"a tuple, each item {_expected(value, arguments[0])}"
    if annotation in (str, Path) and isinstance(value, annotation):
        return f"{_WORDS[annotation]} without a NUL"
    is_large = isinstance(value, int) and abs(value) > LARGEST
    if annotation is int and is_large:
        return f"{_WORDS[int]} below 2^63"
    return _WORDS.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")
