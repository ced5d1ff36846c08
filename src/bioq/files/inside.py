"""The files in a folder that BioQ wrote, perhaps on a stranger's computer.

A run, a data set, an evaluation and an interrupted output are folders that people send to one
another. So a name in such a folder may be a pipe that never ends, a device, a link to a file
elsewhere on this computer, or a file whose size is invented. Every reader gets the path of such a
file from `kept_file`, which reads nothing.
"""

import os
import stat
from pathlib import Path

from bioq.errors import BioqError, reason_of

SMALL_BYTES = 1 << 26
"""The largest text file that is read in one piece."""
SPARSE_BYTES = 1 << 30
SPARSE_RATIO = 1000
"""A file of more than SPARSE_BYTES with less than a thousandth of them on the disk is refused: it
takes no room for its sender, and its size in memory or time here. Packed windows compress to
a quarter at best; a file system that reports no blocks at all is not judged."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kept_file(folder: Path, name: str) -> Path | None:
    """Return the path of the regular file `name` (parts are separated by /) in a folder.

    None if there is no such name. The folder itself may be a link. Raises BioqError for a name or
    a link that leads out of the folder, for a folder, a pipe, a socket or a device of that name, a
    file whose size is not on the disk, and a file that the system does not open.
    """
    file = require_inside(folder, name)
    try:
        status = os.stat(file)  # opens nothing: a pipe or a device is not waited for
    except FileNotFoundError as error:
        if not os.path.islink(file):
            return None
        raise BioqError(f"{file}: is a link to a file that does not exist; {_COPY}") from error
    except (OSError, ValueError) as error:
        raise BioqError(f"{file}: could not be read: {reason_of(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((text for is_kind, text in _KINDS if is_kind(status.st_mode)), "no file")
        raise BioqError(f"{file}: is {kind}, expected a file; {_COPY}")
    on_disk = getattr(status, "st_blocks", 0) * 512
    if status.st_size > SPARSE_BYTES and 0 < on_disk < status.st_size / SPARSE_RATIO:
        raise BioqError(
            f"{file}: has a size of {status.st_size:,} bytes, of which {on_disk:,} are on the "
            f"disk; {_COPY}"
        )
    return file


def require_inside(folder: Path, name: str) -> Path:
    """Return the path of `name` in a folder, whether it exists or not.

    Raises BioqError if the name, or a link, leads out of the folder.
    """
    folder = Path(folder)
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or {"", ".", ".."}.intersection(parts):
        raise BioqError(
            f"{folder}: names the file {name[:60]!a}; expected a file in this folder; {_COPY}"
        )
    file = folder / name
    try:
        inside = Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))
    except (OSError, ValueError) as error:
        raise BioqError(f"{file}: could not be read: {reason_of(error)}") from error
    if not inside:
        raise BioqError(
            f"{file}: leads out of the folder {folder}, to {os.path.realpath(file)}; BioQ follows "
            f"no link out of a folder that it reads; replace the link by the file itself: "
            "'cp -rL FOLDER COPY' makes such a copy"
        )
    return file


def require_kept(folder: Path, name: str, remedy: str) -> Path:
    """Return what `kept_file` returns; raise BioqError, which ends with `remedy`, if there is no
    such name."""
    file = kept_file(folder, name)
    if file is None:
        raise BioqError(f"{Path(folder) / name}: no such file; {remedy}")
    return file


def read_kept(folder: Path, name: str, remedy: str) -> bytes:
    """Return the content of a file in a folder.

    Raises BioqError as `require_kept` does, and for a file of more than SMALL_BYTES.
    """
    file = require_kept(folder, name, remedy)
    try:
        with open(file, "rb") as opened:
            content = opened.read(SMALL_BYTES + 1)
    except OSError as error:
        raise BioqError(f"{file}: could not be read: {reason_of(error)}") from error
    if len(content) > SMALL_BYTES:
        raise BioqError(f"{file}: is larger than {SMALL_BYTES:,} bytes; {_COPY}")
    return content


_COPY = "copy the folder again from where it was written"
