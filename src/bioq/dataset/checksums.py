"""Compare the files of a data set with their checksums: all of them, or those of some splits.

A damaged byte in a split gives other windows or labels, and no other error.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bioq.dataset.layout import METADATA, TARGETS, as_text, read_metadata
from bioq.dataset.reading import Dataset, check_sizes, open_dataset
from bioq.errors import BioqError
from bioq.files import sha256
from bioq.options import path_to
from bioq.progress import progress


def verify(path: str | Path) -> Dataset:
    """Compare every file of a data set with its checksum.

    Args:
        path: Folder of the data set.

    Returns:
        The open data set, if all files agree.

    Raises:
        BioqError: With the name of every damaged file.
    """
    path = path_to("path", path)
    meta = read_metadata(path)
    file = path / METADATA
    if file.read_bytes() != as_text(meta).encode():
        raise BioqError(
            f"{file}: was changed after it was written; copy or build the data set again"
        )
    check_sizes(path, meta["files"])
    _require_checksums(path, meta["files"])
    return open_dataset(path)


def require_undamaged(data: Dataset, splits: Iterable[str]) -> None:
    """Raise BioqError, as `verify` does, if the target table or a file of one of the splits is
    damaged.

    Every command that computes from a data set calls it once, before its work: reading a file for
    its checksum takes about a second per gigabyte.

    Args:
        data: The data set.
        splits: Names of splits; those that the data set does not have are left out.

    Raises:
        BioqError: With the names of the damaged files.
    """
    used = [folder for name in splits if name in data for folder in data[name].folders]
    folders = tuple(f"{folder}/" for folder in used)
    files = {name: at for name, at in data.files.items() if name.startswith((TARGETS, *folders))}
    _require_checksums(data.path, files)


def _require_checksums(path: Path, files: Mapping[str, Any]) -> None:
    """Compare files, name -> {"sha256", "bytes"}; raise BioqError that names every damaged one."""
    damaged = []
    total = sum(recorded["bytes"] for recorded in files.values())
    with progress("checksums", total, "bytes") as advance:
        for name, recorded in files.items():
            if sha256(path / name) != recorded["sha256"]:
                damaged.append(name)
            advance(recorded["bytes"])
    if damaged:
        raise BioqError(
            f"{path}: the checksum of {', '.join(damaged)} differs from {METADATA}; "
            "the data set is damaged, copy or build it again"
        )
