"""Published models by name: downloaded once, then read from the cache."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bioq.errors import BioqError, UsageError, did_you_mean, nearest
from bioq.files.cache import being_filled, cache_folder
from bioq.files.checksum import Checksum, digits_of
from bioq.files.download import fetch
from bioq.files.near import near_path
from bioq.files.streams import require_file
from bioq.files.web_address import require_web_address, without_query
from bioq.progress import say
from bioq.published.publications import PUBLICATIONS


@dataclass(frozen=True)
class PublishedFile:
    """A file that a name stands for."""

    title: str
    url: str
    md5: str


def _named() -> Iterator[tuple[str, PublishedFile]]:
    for name, publication in PUBLICATIONS.items():
        for md5, url in list(publication.files.items())[:1]:
            yield name, PublishedFile(publication.title, url, md5)


NAMED: Mapping[str, PublishedFile] = dict(_named())
"""Name of a layout -> the first file of its publication, if it has any."""
_REMEDY = "or give the file itself, or a mirror of it with --from-url"


def published_file(what: Path, from_url: str | None) -> Path:
    """Return the file of a published model: `what` itself or, for a name in NAMED without a file of
    this name here, the file in the cache, which is downloaded if it is not there yet.

    Raises BioqError for a path without a file, a name that is not known, and if the download fails
    or has another checksum; UsageError for an address to download a file that is here.
    """
    name = str(what)
    if name not in NAMED or what.is_file():
        if from_url is not None:
            raise UsageError(
                f"--from-url is the address of a mirror for a name ({', '.join(NAMED)}), and "
                f"{what} is {'a file here' if what.is_file() else 'no such name'}; run without it"
            )
        return _given(what)
    file = cache_folder() / "published" / f"{name}.pth"
    if not file.exists():
        published = NAMED[name]
        url = published.url if from_url is None else from_url
        require_web_address(url)
        with being_filled(file.parent, f"model {name}"):
            if not file.exists():  # another process may have downloaded it meanwhile
                shown = without_query(url)
                say(f"model {name} ({published.title}): downloading {shown} to {file}, once")
                fetch(url, file, checksum=Checksum("MD5", published.md5), remedy=_REMEDY)
                return file
    _require_published(file, NAMED[name])
    return file


def _require_published(file: Path, published: PublishedFile) -> None:
    """Raise BioqError if a file of the cache is not the one that was downloaded."""
    if not file.is_file() or digits_of(file, "MD5") != published.md5:
        raise BioqError(
            f"{file}: is not the published file of {published.title}, so it was changed after its "
            "download; remove it, and run the same command again to download it"
        )


def _given(what: Path) -> Path:
    """Return a file that exists. Raises BioqError for anything else."""
    require_file(what, "the file of a model")
    if what.is_file():
        return what
    if os.path.lexists(what):
        raise BioqError(f"{what}: is not a file; give the file of a published model")
    if what.name in PUBLICATIONS:
        hint = "no file of this model is online, give your copy of it; "
    else:
        hint = did_you_mean(nearest(what.name, NAMED, most=1)) or near_path(what)
    raise BioqError(
        f"{what}: no such file; {hint}expected the file of a published model, or one of the names "
        f"{', '.join(NAMED)}: BioQ then downloads it"
    )
