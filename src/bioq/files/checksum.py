"""The checksum of a file, compared with the one that it must have."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bioq.errors import BioqError
from bioq.progress import say

Kind = Literal["SHA-256", "MD5", "Git SHA-1"]
"""Git SHA-1: of the length and the content, by which Git names a file."""


@dataclass(frozen=True)
class Checksum:
    """The checksum that a file must have."""

    kind: Kind
    digits: str
    """Hexadecimal digits, in either case."""


def check_checksum(
    path: Path, expected: Checksum | None, url: str, *, label: str, ending: str = ""
) -> None:
    """Print the checksum of a download, which is the file `label`. Raises BioqError, which ends
    with `ending`, if another checksum is expected."""
    kind: Kind = "SHA-256" if expected is None else expected.kind
    actual = digits_of(path, kind)
    if expected is not None and actual != expected.digits.lower():
        raise BioqError(
            f"{url}: the {kind} of the download is {actual}, expected {expected.digits}; it was "
            f"removed; download it again, or check the expected value{ending}"
        )
    state = "as expected" if expected else "not compared: no expected value was given"
    say(f"{label}: {path.stat().st_size:,} bytes, {kind} {actual} ({state})")


def digits_of(path: Path, kind: Kind) -> str:
    """Return a checksum of a file as hexadecimal digits, in lower case."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: _NEW_HASH[kind](path)).hexdigest()


_NEW_HASH: Mapping[str, Callable[[Path], Any]] = {
    "SHA-256": lambda path: hashlib.sha256(),
    "MD5": lambda path: hashlib.md5(usedforsecurity=False),
    "Git SHA-1": lambda path: hashlib.sha1(
        f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False
    ),
}
