"""Checks the content of BioQ's own JSON files by the types that the code gives to it.

The annotation of a TypedDict or a frozen dataclass is the description of a file's content: types,
choices, ranges, keys that may be absent. `require_types` compares the parsed JSON with it, once,
where the file is read; what follows trusts the types.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    NotRequired,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from bioq.errors import BioqError, shown
from bioq.options import LARGEST, expected, fits

_Record = TypeVar("_Record")

MOST_VALUES = 4_000_000
"""Values of a JSON text. A value takes up to 250 bytes of memory, and a data set of a million
contigs has two million."""
_LONGEST_LINE = 4096
"""Letters of a name, a checksum or a path: the longest path that Linux takes."""


class MayBeUndefined:
    """Marks a number that may be NaN or infinite: `Annotated[float, MayBeUndefined]`."""


class OneLine:
    """Marks text of one line, such as a checksum: `Line`."""


class FileName:
    """Marks the name or the path of a file: `Name`. It may have blanks of every
    kind, joined letters and line ends, as the system takes them; messages show those escaped."""


Line = Annotated[str, OneLine]
Name = Annotated[str, FileName]


class Pair:
    """Marks a list of two: `Annotated[list[float], Pair]`."""


class EachOptional:
    """Marks a dataclass of which a file may have any part: `Annotated[Recipe, EachOptional]`."""


_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of a character, which no file and no terminal takes."""
_WORDS = {dict: "an object", list: "a list"}


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises ValueError, in one line, for text that is not JSON, has more than MOST_VALUES values,
    numbers of thousands of digits, lists within lists by the thousand, or an object with one key
    twice.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text.count(",") + text.count("[") + text.count("{") > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("too many lists within lists") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object without repeated keys: other programs read the first of two, or the last."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"the key {shown(repeated(key for key, _ in pairs))} twice")
    return result


def repeated(names: Iterable[str]) -> str | None:
    """Return the name that is there most often, if it is there more than once; None otherwise."""
    counts = Counter(names).most_common(1)
    return counts[0][0] if counts and counts[0][1] > 1 else None


def require_types(
    value: Any, annotation: Any, file: Path | str, remedy: str, *, at: str = ""
) -> None:
    """Raise BioqError if a JSON value does not have the types of an annotation.

    The line names the file, the field (`at` is the path of the whole value), the value, and what is
    expected. Keys that the annotation does not have are ignored: a newer BioQ may write them.
    """
    fault = _fault(value, annotation, at)
    if fault is not None:
        raise BioqError(f"{file}: {fault}; {remedy}")


def fields_in(kind: type[Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an entry whose names are fields of a dataclass; a newer BioQ may have
    written others, an older one fewer."""
    return {field.name: entry[field.name] for field in fields(kind) if field.name in entry}


def record(kind: type[_Record], entry: Mapping[str, Any]) -> _Record:
    """Return the dataclass that an entry, whose types are checked, records."""
    return kind(**fields_in(kind, entry))


def _fault(value: Any, annotation: Any, at: str) -> str | None:
    """Return what is wrong with the value of the field `at`; None if nothing is."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return None
    if origin is NotRequired:
        return _fault(value, arguments[0], at)
    if origin in (Union, UnionType):
        return _fault_of_union(value, arguments, at)
    if Pair in arguments:
        is_other = isinstance(value, list) and len(value) != 2
        return (
            f"{at} is {shown(value)}, expected two" if is_other else _fault(value, arguments[0], at)
        )
    if origin is Annotated and is_dataclass(arguments[0]):
        return _fault_of_object(value, arguments[0], at, each_optional=True)
    if is_dataclass(annotation) or hasattr(annotation, "__required_keys__"):
        return _fault_of_object(value, annotation, at, each_optional=False)
    if origin in (dict, Mapping):
        return _fault_of_mapping(value, arguments[1], at)
    if origin in (list, tuple):
        return _fault_of_list(value, arguments[0], at)
    return None if _fits(value, annotation) else _wrong(value, annotation, at)


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a value that is neither an object nor a list fits an annotation."""
    if isinstance(value, str) and _HALVES.search(value):
        return False
    if isinstance(value, int) and abs(value) > LARGEST:
        return False
    if OneLine in get_args(annotation):
        return isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_LINE
    if FileName in get_args(annotation):
        return fits(value, str) and len(value) <= _LONGEST_LINE
    if MayBeUndefined in get_args(annotation):
        return isinstance(value, float) or fits(value, float)
    return fits(value, annotation)


def _fault_of_union(value: Any, parts: tuple[Any, ...], at: str) -> str | None:
    """Return the fault of the part that fits best: of an object, what is wrong in it."""
    faults = [_fault(value, part, at) for part in parts]
    if None in faults:
        return None
    largest = [part for part in parts if part is not NoneType]
    if len(largest) == 1:
        return _fault(value, largest[0], at)
    return _wrong(value, Union[parts], at)  # noqa: UP007  the parts are known at run time only


def _fault_of_object(value: Any, kind: Any, at: str, *, each_optional: bool) -> str | None:
    if not isinstance(value, dict):
        return _wrong(value, dict, at)
    hints, required = _keys_of(kind)
    for name, annotation in hints.items():
        inside, fault = f"{at}.{name}" if at else name, None
        if name in value:
            fault = _fault(value[name], annotation, inside)
        elif name in required and not each_optional:
            fault = f"has no {inside}"
        if fault is not None:
            return fault
    return None


@cache
def _keys_of(kind: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Return the annotations of a TypedDict or a dataclass, and the keys that must be there."""
    required = {
        field.name
        for field in (fields(kind) if is_dataclass(kind) else ())
        if field.default is MISSING and field.default_factory is MISSING
    }
    hints = get_type_hints(kind, include_extras=True)
    return hints, frozenset(required | getattr(kind, "__required_keys__", frozenset()))


def _fault_of_mapping(value: Any, annotation: Any, at: str) -> str | None:
    if not isinstance(value, dict):
        return _wrong(value, dict, at)
    for key, item in value.items():
        if not _fits(key, str):
            return f"{at or 'a key'} has the key {shown(key)}, expected text"
        fault = _fault(item, annotation, f"{at}.{name_text(key)}" if at else name_text(key))
        if fault is not None:
            return fault
    return None


def _fault_of_list(value: Any, annotation: Any, at: str) -> str | None:
    if not isinstance(value, list):
        return _wrong(value, list, at)
    for number, item in enumerate(value):
        fault = _fault(item, annotation, f"{at}[{number}]")
        if fault is not None:
            return fault
    return None


def name_text(key: str) -> str:
    """Return a name that a file gives for a message: without line ends and escape codes."""
    text = shown(key)
    return key if text == f"'{key}'" else text


def _wrong(value: Any, annotation: Any, at: str) -> str:
    words = _WORDS.get(annotation)
    if OneLine in get_args(annotation):
        words = "one line of text"
    elif FileName in get_args(annotation):
        words = "the name of a file"
    words = words or expected(value, annotation)
    return f"{at or 'its content'} is {shown(value)}, expected {words}"
