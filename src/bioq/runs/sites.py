"""What Hugging Face and Zenodo have at an address: the files of a run, with their checksums.

Both answer with JSON. Of Hugging Face: https://huggingface.co/docs/hub/api (a model's repository at
a revision, with its files, their sizes and checksums); of Zenodo: https://developers.zenodo.org
(a record, with the same). The files that are requested afterwards are those of the answer, so they
belong together even if somebody changes the repository meanwhile.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict
from urllib.parse import quote

from bioq.errors import BioqError, UsageError, did_you_mean, nearest, reason_of, shown, some
from bioq.files.archives import ENDINGS
from bioq.files.checksum import Checksum
from bioq.files.download import read_text
from bioq.files.typed import Line, Name, parse_json, require_types
from bioq.options import Range
from bioq.runs.addresses import Address, HubAddress, WebAddress, ZenodoAddress
from bioq.runs.folder import CONFIG

HUB, HUB_VARIABLE = "https://huggingface.co", "HF_ENDPOINT"
TOKEN_VARIABLE = "HF_TOKEN"
"""The environment variable with a password of Hugging Face, for private and gated repositories."""
ZENODO, ZENODO_VARIABLE = "https://zenodo.org", "BIOQ_ZENODO"
"""Also with https://sandbox.zenodo.org, or a mirror, in the environment variable."""
MOST_BYTES = 1 << 38
"""Of a file: a run of 64 members of 150 million weights has 40 GB."""

_Size = Annotated[int, Range(least=0, most=MOST_BYTES)]


@dataclass(frozen=True)
class RemoteFile:
    """A file of a server."""

    name: str
    """Its path in the run folder; of an archive its name."""
    url: str
    checksum: Checksum
    most_bytes: int
    """Its size or, if that is not known, the largest size that it may have."""


@dataclass(frozen=True)
class Listing:
    """The run at an address: its files, or an archive of them."""

    version: str
    """Of what the server had: a commit, the number of a record, the checksum of the archive."""
    files: Sequence[RemoteFile] = ()
    archive: RemoteFile | None = None
    licence: str | None = None
    headers: Mapping[str, str] | None = None
    """Sent with each request to the server."""
    if_refused: str = ""
    """What to check if the server answers with an error."""


def listing_of(address: Address, is_run_file: Callable[[str], bool]) -> Listing:
    """Return what is at an address; of a repository only the files that are of a run folder.

    Raises BioqError if there is nothing, or no run, and if the server does not answer.
    """
    if isinstance(address, HubAddress):
        return _of_hub(address, is_run_file)
    if isinstance(address, ZenodoAddress):
        return _of_zenodo(address, is_run_file)
    return _of_web(address)


class _Lfs(TypedDict):
    sha256: Line
    size: _Size


class _Sibling(TypedDict):
    rfilename: Name
    size: _Size
    blobId: Line
    lfs: NotRequired[_Lfs | None]


class _Repository(TypedDict):
    sha: Line
    siblings: list[_Sibling]
    cardData: NotRequired[dict[str, Any] | None]


def _of_hub(address: HubAddress, is_run_file: Callable[[str], bool]) -> Listing:
    base = (os.environ.get(HUB_VARIABLE) or HUB).rstrip("/")
    headers = _token_headers()
    owned = f"{address.owner}/{address.repository}"
    if_refused = f"check the name; a private or gated repository needs a token in {TOKEN_VARIABLE}"
    url = f"{base}/api/models/{owned}/revision/{quote(address.revision, safe='')}?blobs=true"
    answer = _read(
        url, _Repository, f"{address}: no such repository or revision", headers, if_refused
    )
    commit = _version(url, answer["sha"])
    files = []
    for sibling in answer["siblings"]:
        name, lfs = sibling["rfilename"], sibling.get("lfs")
        if is_run_file(name):
            checksum = (
                Checksum("Git SHA-1", sibling["blobId"])
                if lfs is None
                else Checksum("SHA-256", lfs["sha256"])
            )
            link = f"{base}/{owned}/resolve/{quote(commit, safe='')}/{quote(name)}"
            files.append(RemoteFile(name, link, checksum, sibling["size"]))
    _require_config(address, files, [sibling["rfilename"] for sibling in answer["siblings"]])
    card = answer.get("cardData") or {}
    licence = card.get("license")
    return Listing(
        commit,
        files,
        licence=licence if isinstance(licence, str) else None,
        headers=headers,
        if_refused=if_refused,
    )


def _token_headers() -> Mapping[str, str] | None:
    """Return the header with the user's token; None without one. Messages never show it."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if re.fullmatch(r"[!-~]*", token) is None:
        raise UsageError(
            f"{TOKEN_VARIABLE} has a space or a letter that no token has; copy the token again"
        )
    return {"Authorization": f"Bearer {token}"} if token else None


class _Links(TypedDict):
    self: Line


class _RecordFile(TypedDict):
    key: Name
    size: _Size
    checksum: Line
    links: _Links


class _Record(TypedDict):
    id: int | str
    files: list[_RecordFile]
    metadata: NotRequired[dict[str, Any]]


def _of_zenodo(address: ZenodoAddress, is_run_file: Callable[[str], bool]) -> Listing:
    base = (os.environ.get(ZENODO_VARIABLE) or ZENODO).rstrip("/")
    url = f"{base}/api/records/{address.record}"
    if_refused = "check the number of the record; its files must be public"
    answer = _read(url, _Record, f"{address}: no such record", None, if_refused)
    files = [_zenodo_file(url, entry) for entry in answer["files"]]
    licence = (answer.get("metadata") or {}).get("license")
    licence = licence.get("id") if isinstance(licence, dict) else licence
    is_folder = address.file is None and any(file.name == CONFIG for file in files)
    return Listing(
        _version(url, str(answer["id"])),
        [file for file in files if is_run_file(file.name)] if is_folder else (),
        archive=None if is_folder else _archive(address, files),
        licence=licence if isinstance(licence, str) else None,
        if_refused=if_refused,
    )


def _zenodo_file(url: str, entry: _RecordFile) -> RemoteFile:
    kind, _, digits = entry["checksum"].partition(":")
    if kind != "md5":
        raise BioqError(
            f"{url}: {entry['key']} has a checksum {kind}, expected md5; a newer BioQ may read it"
        )
    link = entry["links"]["self"]
    if url.startswith("https://") and not link.startswith("https://"):
        raise BioqError(f"{url}: has the link {shown(link)}, expected https as its own address")
    return RemoteFile(entry["key"], link, Checksum("MD5", digits), entry["size"])


def _archive(address: ZenodoAddress, files: Sequence[RemoteFile]) -> RemoteFile:
    """Return the file of a record that the address names or, without a name, its only archive."""
    named = {file.name: file for file in files}
    if address.file is not None:
        if address.file not in named:
            hint = did_you_mean(nearest(address.file, named, most=1))
            raise BioqError(
                f"{address}: the record has no such file; {hint}it has {some(named) or 'none'}"
            )
        return named[address.file]
    archives = [file for file in files if file.name.lower().endswith(ENDINGS)]
    if len(archives) != 1:
        count = "no" if not archives else f"{len(archives)}"
        raise BioqError(
            f"{address}: the record has no {CONFIG} and {count} archives; expected a run folder or "
            f"one archive ({', '.join(ENDINGS)}); name a file, such as "
            f"zenodo:{address.record}/{archives[0].name if archives else 'run.zip'}"
        )
    return archives[0]


def _of_web(address: WebAddress) -> Listing:
    checksum = Checksum("SHA-256", address.sha256)
    archive = RemoteFile(address.name, address.url, checksum, MOST_BYTES)
    return Listing(address.sha256, archive=archive)


def _version(url: str, text: str) -> str:
    """Return a commit or the number of a record, which becomes a part of the names of files."""
    if re.fullmatch(r"[0-9A-Za-z]{1,64}", text) is None:
        raise BioqError(
            f"{url}: the version is {shown(text)}, expected letters and digits; check the address "
            "of the server"
        )
    return text


def _require_config(address: Address, files: Sequence[RemoteFile], names: Sequence[str]) -> None:
    if not any(file.name == CONFIG for file in files):
        raise BioqError(
            f"{address}: has no {CONFIG}; expected the files of a run folder, found "
            f"{some(names) or 'no files'}"
        )


def _read(
    url: str, shape: Any, absent: str, headers: Mapping[str, str] | None, if_refused: str
) -> Mapping[str, Any]:
    """Return the JSON object of a server, its types checked; `absent` is the message if there is
    none."""
    text = read_text(url, if_refused=if_refused, headers=headers)
    if text is None:
        raise BioqError(f"{absent}; {if_refused}")
    try:
        answer: Any = parse_json(text)
    except ValueError as error:
        raise BioqError(
            f"{url}: the answer is not JSON ({reason_of(error)}); try again later"
        ) from error
    require_types(answer, shape, url, "check the address of the server")
    checked: Mapping[str, Any] = answer
    return checked
