"""Web addresses: which are requested, as what, and how messages and files show them."""

import string
import urllib.parse

from bioq.errors import BioqError


def require_web_address(url: str) -> None:
    """Raise BioqError for an address that is not http or https, that is not complete, or that has a
    password, which messages and files would show."""
    if not url.startswith(("http://", "https://")):
        raise BioqError(f"{url}: is not a web address; expected http://... or https://...")
    try:
        parts = urllib.parse.urlsplit(url)
        is_complete = bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:  # a port in letters, one bracket, a name too long
        is_complete = False
    before, at, host = url.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        shown = without_query(url).replace(f"{before}@", "", 1)
        raise BioqError(
            f"{shown}: has a user name or a password before the server, which BioQ does not send; "
            f"give the address that begins with {host}"
        )
    if not is_complete:
        raise BioqError(
            f"{without_query(url)}: has no server, or a port that is none; expected https://SERVER/FILE"
        )


def without_query(url: str) -> str:
    """Return an address for messages and files, without what is behind `?`, which can be a key."""
    return url.partition("?")[0]


def as_sent(url: str) -> str:
    """Return an address with the letters that it cannot have written as a browser writes them."""
    parts = urllib.parse.urlsplit(url)
    path, query = (
        urllib.parse.quote(part, safe=string.punctuation) for part in (parts.path, parts.query)
    )
    return parts._replace(path=path, query=query).geturl()
