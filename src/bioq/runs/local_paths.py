"""The paths of this computer in `config.json`, which a run that is shared should not have."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bioq.files import read_json_text, write_json
from bioq.runs.folder import CONFIG, read_config, read_members


def remove_local_paths(run: Path) -> list[str]:
    """Remove the path of the data set from the `config.json` of a run and of its members, and keep
    of every other absolute path the last name; return the paths, in order.

    A command that needs the data set then takes a folder of its name beside the run, or the folder
    that is named behind the run. Raises BioqError if the run is damaged.
    """
    found: dict[str, None] = {}
    for folder in (run, *(member for member, _ in read_members(run, read_config(run)))):
        content = read_json_text(folder / CONFIG, "is not JSON", "restore it")
        paths = list(_absolute(content))
        if paths:
            content["data"].pop("path", None)
            write_json(folder / CONFIG, _with_names(content))
        found |= dict.fromkeys(paths)
    return list(found)


def _absolute(value: Any) -> Iterator[str]:
    """Yield the absolute paths among the texts of a JSON value."""
    if isinstance(value, str) and _name(value) != value:
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _absolute(each)


def _with_names(value: Any) -> Any:
    """Return a JSON value with the last name of each absolute path in its place."""
    if isinstance(value, dict):
        return {key: _with_names(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_names(each) for each in value]
    return _name(value) if isinstance(value, str) else value


def _name(text: str) -> str:
    """Return the last name of an absolute path, of whatever system; another text unchanged."""
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute() and path.name:
            return path.name
    return text
