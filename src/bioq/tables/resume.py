"""The folder of an output that is not complete: its parts, its identity, and when it is resumed.

Every part appears complete or not at all. The identity is a set of JSON values: the weights, the
options, the input. An output is resumed only with the same identity. `prediction.spool` collects
the rows of one table in such a folder; in `cluster.parts` the folder itself is the output.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bioq.errors import BioqError, NotWrittenError, UsageError, shown
from bioq.files import new_file, read_json_text
from bioq.files.typed import name_text

REMEDY = "remove its folder and run the command again"


@contextlib.contextmanager
def new_part(file: Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `file`, a part, when the block ends.

    Raises NotWrittenError, with the way to resume, if the part cannot be written.
    """
    with parts_are_kept(file.parent), new_file(file) as partial:
        yield partial


@contextlib.contextmanager
def parts_are_kept(folder: Path) -> Iterator[None]:
    """Say how to resume if a file cannot be written: the parts before it stay in `folder`."""
    try:
        yield
    except NotWrittenError as error:
        raise NotWrittenError(
            error.path,
            error.reason,
            f"the rows so far are kept in {folder}, --resume continues from there",
        ) from error


def refuse_interrupted(folder: Path, *, resume: bool) -> None:
    """Raise UsageError for a folder with an interrupted output unless it is to be resumed."""
    if not resume:
        raise UsageError(
            f"{folder}: holds an interrupted output; add --resume to continue it, or --force to "
            "begin again"
        )


def require_identity(
    folder: Path, recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Raise UsageError if the identity recorded in `folder` is not that of the present command."""
    for name in sorted(recorded.keys() | expected.keys()):
        if recorded.get(name) != expected.get(name):
            found = f"{name_text(name)} {shown(recorded.get(name))}"
            raise different(folder, f"{found}, not {expected.get(name)!r}")


def different(folder: Path, difference: str) -> UsageError:
    """Return the error for an output that cannot be resumed: it was started with other values."""
    return UsageError(
        f"{folder}: was started with {difference}; resume it with the same, or give another output"
    )


def damaged(file: Path, reason: object) -> BioqError:
    """Return the error for a file in the folder that cannot be read."""
    return BioqError(f"{file}: is damaged ({' '.join(str(reason).split())}); {REMEDY}")


def read_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file of the folder. Raises BioqError if it is damaged."""
    content = read_json_text(file, "is damaged", REMEDY)
    if not isinstance(content, dict):
        raise damaged(file, f"its content is {shown(content)}, expected an object")
    return content


def refuse_both(*, resume: bool, force: bool) -> None:
    """Raise UsageError for --resume together with --force."""
    if resume and force:
        raise UsageError(
            "--resume continues an output and --force replaces it; give one of the two"
        )
