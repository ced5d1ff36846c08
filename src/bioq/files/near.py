"""A path that does not exist: the file or folder whose name is spelled most like it."""

import itertools
import os
from pathlib import Path

from bioq.errors import did_you_mean, nearest

_ALIKE = 0.7
"""The usual 0.6 suggests a folder `other` for `nowhere`."""
_MOST_NAMES = 2000
"""Names of a folder that are compared; a folder with more gives no suggestion."""


def near_path(path: Path) -> str:
    """Return the question that names a path spelled most like one that does not exist, such as
    `did you mean peaks.bed? `; empty if there is none.

    The first part of the path that does not exist is compared with the names beside it.
    """
    missing = path
    while missing.parent != missing and not os.path.lexists(missing.parent):
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_NAMES + 1)]
    except (OSError, ValueError):  # no folder, not readable, a name that the system refuses
        return ""
    if len(names) > _MOST_NAMES or not missing.name:
        return ""
    rest = path.relative_to(missing)
    near = [
        name for name in nearest(missing.name, names, alike=_ALIKE) if _is_near(missing.name, name)
    ]
    found = [missing.with_name(name) / rest for name in near]
    return did_you_mean([str(each) for each in found if each.exists() and each != path][:1])


def _is_near(name: str, other: str) -> bool:
    """Whether names that have the same ending are also alike without it."""
    (stem, ending), (of_other, its_ending) = os.path.splitext(name), os.path.splitext(other)
    return ending != its_ending or bool(nearest(stem, [of_other], alike=_ALIKE))
