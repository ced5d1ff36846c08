"""Addresses of runs: how they are written, and where their runs are in the cache.

`hf:OWNER/NAME[@REVISION]` is a repository of Hugging Face, `zenodo:RECORD[/FILE]` a record of
Zenodo, `https://...#sha256=DIGITS` an archive of a run folder anywhere.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from bioq.errors import UsageError, short
from bioq.files.archives import ENDINGS
from bioq.files.web_address import require_web_address, without_query

FORMS = "hf:OWNER/NAME, zenodo:RECORD or https://...#sha256=DIGITS"
MAIN = "main"
"""The revision of a repository that has no other in its address: the newest."""
_WEB_SCHEMES = ("http", "https")
_SCHEMES = ("hf", "zenodo", *_WEB_SCHEMES)
_HUB = re.compile(r"([\w.-]{1,96})/([\w.-]{1,96})(?:@([\w./-]{1,255}))?", re.ASCII)
_ZENODO = re.compile(r"(\d{1,15})(?:/(\S.{0,254}))?", re.ASCII)
_WEB = re.compile(r"(https?):/+([^#\s]+)(?:#(.*))?")
"""Also with one slash, as a path has it."""
_SHA256 = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class HubAddress:
    """A repository of Hugging Face."""

    owner: str
    repository: str
    revision: str = MAIN
    """A branch, a tag or a commit."""

    def __str__(self) -> str:
        at = "" if self.revision == MAIN else f"@{self.revision}"
        return f"hf:{self.owner}/{self.repository}{at}"

    @property
    def folder(self) -> str:
        """The folder in the cache, relative to that of all runs."""
        return f"hf/{self.owner}/{self.repository}@{quote(self.revision, safe='')}"

    @property
    def name(self) -> str:
        """The name of the run folder, which pages and tables show."""
        return self.repository


@dataclass(frozen=True)
class ZenodoAddress:
    """A record of Zenodo, and a file of it if it has several."""

    record: str
    file: str | None = None

    def __str__(self) -> str:
        return f"zenodo:{self.record}" + ("" if self.file is None else f"/{self.file}")

    @property
    def folder(self) -> str:
        """The folder in the cache, relative to that of all runs."""
        return f"zenodo/{self.record}" + (
            "" if self.file is None else f"-{quote(self.file, safe='')}"
        )

    @property
    def name(self) -> str:
        """The name of the run folder, which pages and tables show."""
        return f"zenodo-{self.record}" if self.file is None else _without_ending(self.file)


@dataclass(frozen=True)
class WebAddress:
    """An archive at any address, with its checksum."""

    url: str
    sha256: str

    def __str__(self) -> str:
        """Return the address as messages and files have it: the checksum says what it is."""
        return f"{without_query(self.url)}#sha256={self.sha256}"

    @property
    def folder(self) -> str:
        """The folder in the cache, relative to that of all runs."""
        return f"web/{self.sha256}"

    @property
    def name(self) -> str:
        """The name of the run folder, which pages and tables show."""
        return _without_ending(unquote(PurePosixPath(urlsplit(self.url).path).name))


Address = HubAddress | ZenodoAddress | WebAddress


def parse_address(text: str) -> Address | None:
    """Return the address that a text is; None for a text of another form, such as a path.

    Raises UsageError for an address that is not complete, BioqError for a web address that cannot
    be requested.
    """
    scheme, _, rest = text.partition(":")
    if scheme in _SCHEMES and not text.isprintable():
        raise _incomplete(text, f"{FORMS}, without control characters")
    if scheme == "hf":
        return _hub(text, rest)
    if scheme == "zenodo":
        return _zenodo(text, rest)
    if scheme in _WEB_SCHEMES:
        return _web(text)
    return None


def _hub(text: str, rest: str) -> HubAddress:
    found = _HUB.fullmatch(rest)
    parts = re.split("[/@]", rest)
    if found is None or {"", ".", ".."} & {*parts}:
        raise _incomplete(text, "hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    owner, repository, revision = found.groups()
    return HubAddress(owner, repository, revision or MAIN)


def _zenodo(text: str, rest: str) -> ZenodoAddress:
    found = _ZENODO.fullmatch(rest)
    if found is None:
        raise _incomplete(text, "zenodo:RECORD or zenodo:RECORD/FILE, with the number of a record")
    return ZenodoAddress(*found.groups())


def _web(text: str) -> WebAddress:
    found = _WEB.fullmatch(text)
    if found is None:
        raise _incomplete(text, "https://ADDRESS#sha256=DIGITS")
    scheme, rest, fragment = found.groups()
    digits = _SHA256.fullmatch(fragment or "")
    if digits is None:
        raise UsageError(
            f"{short(text, 200)}: has no checksum, by which a download is the same file tomorrow; "
            "write it behind the address, as #sha256= and its 64 digits ('sha256sum FILE' prints "
            "them)"
        )
    url = f"{scheme}://{rest}"
    require_web_address(url)
    return WebAddress(url, digits[1].lower())


def _incomplete(text: str, form: str) -> UsageError:
    return UsageError(f"{short(text, 200)}: is not an address of a run; expected {form}")


def _without_ending(name: str) -> str:
    """Return the name of an archive without its ending, for a folder."""
    ending = next((each for each in ENDINGS if name.lower().endswith(each)), "")
    return _safe(name[: len(name) - len(ending)]) or "run"


def _safe(name: str) -> str:
    """Return a name of a folder: letters, digits, dots and dashes, not beginning with a dot."""
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".")[:100]
