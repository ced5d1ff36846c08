"""How the options of a command and the arguments of a function are checked.

Options are frozen dataclasses. The annotation of a field holds its type, its choices and its range;
`check_types`, called by `__post_init__`, compares the value with it. The arguments of public
functions are checked one by one: `whole_number` and the functions below it return the value in the
type that the code computes with. Arrays are checked where their meaning is: codes in `dna`, labels
and scores in `metrics`, windows in `inputs.python_windows`, models in `runs.trained_model`.
"""

import math
import operator
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bioq.errors import UsageError, did_you_mean, nearest, short, shown

_Value = TypeVar("_Value")


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
        if self.least is not None and self.most is not None:
            return f"{self.least:,} to {self.most:,}"
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
MOST_TARGETS = 1_000_000
"""Targets of a model or a data set. Published models have up to about 20,000; a million bounds the
memory that a table from a stranger takes (a gigabyte)."""
MOST_WINDOW_BP = 1 << 20
"""Bases of a window; the longest windows of published models have 2^20."""
TargetCount = Annotated[int, Range(least=1, most=MOST_TARGETS)]
WindowBp = Annotated[int, Range(least=1, most=MOST_WINDOW_BP)]

LARGEST = 2**63 - 1
"""The largest whole number of an option: what TOML promises and what PyTorch and NumPy hold."""

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


def wrong_values(kinds: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """Return {name: its value, and what is expected} of the values that do not fit the annotation
    of their name."""
    return {
        name: f"{shown(value)}, {_near_choice(value, kinds[name])}"
        f"expected {expected(value, kinds[name])}"
        for name, value in values.items()
        if not fits(value, kinds[name])
    }


def _near_choice(value: Any, annotation: Any) -> str:
    """Return the question that names the choice spelled most like a text; empty without one."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return "".join(_near_choice(value, part) for part in get_args(annotation))
    if get_origin(annotation) is not Literal:
        return ""
    choices = [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return did_you_mean(nearest(value, choices, most=1))


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
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max  # false for NaN
    if annotation is int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and abs(value) <= LARGEST
    if annotation in (str, Path):  # no path and no name of the system holds a NUL
        return isinstance(value, annotation) and "\0" not in str(value)
    return bool(isinstance(value, annotation))


def expected(value: Any, annotation: Any) -> str:
    """Return an annotation in words; only the range where the type of `value` is right."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        parts = [part for part in arguments if part is not NoneType]
        return " or ".join(expected(value, part) for part in parts)
    if origin is Literal:
        return _listed(arguments)
    if origin is Annotated:
        ranges = ", ".join(map(str, arguments[1:]))
        is_type = fits(value, arguments[0])
        return ranges if is_type else f"{expected(value, arguments[0])}, {ranges}"
    if origin is tuple:
        return f"a tuple, each item {expected(value, arguments[0])}"
    if annotation in (str, Path) and isinstance(value, annotation) and "\0" in str(value):
        return f"{_WORDS[annotation]} without a NUL"
    is_large = isinstance(value, int) and abs(value) > LARGEST
    if annotation is int and is_large:
        return f"{_WORDS[int]} below 2^63"
    return _WORDS.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")


def whole_number(
    name: str, value: object, *, least: int | None = None, most: int | None = None
) -> int:
    """Return an argument that is a whole number, of Python, NumPy or PyTorch, as an int.

    Raises UsageError for another type, True and False included, and for a number below `least` or
    above `most`.
    """
    number = _as_int(value)
    if number is None or number not in Range(least=least, most=most):
        kind = "a whole number" if number is None else ""
        raise UsageError(f"{name} {found(value)}; expected {_in_words(kind, least, most)}")
    return number


def finite_number(
    name: str, value: object, *, least: float | None = None, most: float | None = None
) -> float:
    """Return an argument that is a number as a float. Raises UsageError as `whole_number` does, and
    for NaN and infinity."""
    number = _as_float(value)
    if not math.isfinite(number) or number not in Range(least=least, most=most):
        expected = _in_words("a finite number", least, most)
        raise UsageError(f"{name} {found(value)}; expected {expected}")
    return number


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """Return an argument that is one of the choices; raise UsageError for anything else."""
    if not isinstance(value, str) or value not in choices:
        hint = did_you_mean(nearest(value, choices, most=1))
        raise UsageError(f"{name} {found(value)}; {hint}expected {_listed(choices)}")
    return value


def path_to(name: str, value: object) -> Path:
    """Return an argument that is a path; raise UsageError for anything else."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{name} {found(value if text is None else text)}; expected a path")
    return Path(text)


def text(name: str, value: object) -> str:
    """Return an argument that is text; raise UsageError for anything else."""
    return of_type(name, value, str, "text")


def text_list(name: str, value: object) -> list[str]:
    """Return an argument that is a list or a tuple of texts; raise UsageError for anything else,
    also for one text, which is a sequence of letters."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{name} {found(value)}; expected a list of text")
    return list(value)


def of_type(
    name: str, value: object, kind: type[_Value] | tuple[type[_Value], ...], expected: str
) -> _Value:
    """Return an argument of a type, which `expected` describes; raise UsageError for another."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} {found(value)}; expected {expected}")
    return value


def found(value: object) -> str:
    """Return an argument for a message, in one line: an array by its type and its shape."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"of type {dtype} and shape {tuple(shape)}" if shape else short(str(value))
    if value is None or isinstance(value, str | bytes | int | float):
        return shown(value)
    return f"of type {type(value).__name__}"


def _listed(choices: Sequence[str]) -> str:
    return " or ".join(", ".join(choices).rsplit(", ", 1))


def _as_int(value: object) -> int | None:
    if _is_no_number(value):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]  # another type is a TypeError
    except (TypeError, RuntimeError):  # PyTorch's, for a tensor without values
        return None


def _as_float(value: object) -> float:
    """Return a number as a float; NaN for anything else."""
    if _is_no_number(value) or isinstance(value, str | bytes):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]  # another type is a TypeError
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def _is_no_number(value: object) -> bool:
    """Return whether a value is True or False, or an array with axes."""
    is_bool = isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))
    return is_bool or getattr(value, "ndim", 0) != 0


def _in_words(kind: str, least: float | None, most: float | None) -> str:
    """Return what is expected: `a whole number, 0 to 9`."""
    if least is not None and most is not None:
        bounds = str(Range(least=least, most=most))
    elif least is not None:
        bounds = f"at least {least:,}"
    else:
        bounds = "" if most is None else f"at most {most:,}"
    return ", ".join(part for part in (kind, bounds) if part)
