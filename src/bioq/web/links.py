"""Links that recompute a result: an address of a page with the input, the options, and marks of the
model and the genome.

A link opens a form that is filled in. Computing starts with the form's POST, so that a link on a
page of another site, or a picture with its address, starts nothing; see `starts_itself`.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from bioq.errors import short
from bioq.web.examples import JSON
from bioq.web.jobs import Job
from bioq.web.repeat import MOST_LETTERS
from bioq.web.request import service_of
from bioq.web.service import Service

_MARK_LETTERS = 12
_NAME_LETTERS = 60
MODEL, GENOME = "model", "genome"
"""Names of the marks in the query of a link."""


@dataclass(frozen=True)
class Share:
    """How a visitor computes a result again, or lets another visitor compute it."""

    link: str
    """Address of a page on this server; empty if it would be too long."""
    host: str
    """The server's part of the address, as the visitor's request has it."""
    curl: str
    """Command that sends the request to the API; used if there is no link."""
    file: str
    """Name of the request's file, for the command."""
    download: str
    """Address of this file; empty if the visitor sent it."""


def share(request: Request, job: Job, **fields: str) -> Share | None:
    """Return how to compute a job's result again; `fields` are added to the link's query.

    None for a job of the API, whose requests are not kept.
    """
    again = job.again
    if again is None:
        return None
    host, link = str(request.base_url).rstrip("/"), ""
    if again.fields:
        given = {name: text for name, text in (*again.fields.items(), *fields.items()) if text}
        link = f"{again.path}?{urlencode({**given, **marks(service_of(request))})}"
    kind = "" if again.api.startswith("/api/jobs") else f" -H 'Content-Type: {JSON}'"
    body = shlex.quote(f"@{again.file}")
    return Share(
        link if len(host) + len(link) <= MOST_LETTERS else "",
        host,
        f"curl {shlex.quote(host + again.api)}{kind} --data-binary {body}",
        again.file,
        f"/jobs/{job.id}/request" if again.is_kept else "",
    )


def marks(service: Service) -> dict[str, str]:
    """Return the marks of a server's model and genome: a name to read, and a checksum."""
    found = {MODEL: _mark(service.run, service.fingerprint)}
    if service.genome is not None:
        found[GENOME] = _mark(service.genome.path.name, service.contigs_checksum)
    return found


def difference(service: Service, query: Mapping[str, str]) -> str:
    """Return that a link was made with another model or genome, as a sentence; empty if it was
    not, or has no marks."""
    here = marks(service)
    for what in (MODEL, GENOME):
        given = query.get(what, "")
        if given and _sum_of(given) != _sum_of(here.get(what, "")):
            of_link, of_server = _name_of(given), _name_of(here.get(what, ""))
            served = f"this server has {of_server}" if of_server else f"this server has no {what}"
            if of_link == of_server:
                served += f", but another {what} of this name"
            return (
                f"This link was made with another {what}, {of_link}; {served}. "
                "The numbers will differ."
            )
    return ""


def opened(request: Request) -> dict[str, Any]:
    """Return the values of a form that a link has filled in: `note`, that the link was made with
    another model or genome; and `starts`, whether the page may send the form without a click."""
    query = request.query_params
    note = difference(service_of(request), query)
    return {"note": note, "starts": "text" in query and not note and starts_itself(request)}


def starts_itself(request: Request) -> bool:
    """Return whether the form of a link may be sent without a click: the visitor typed the address
    or came from this server. The browser says so; a page of another site cannot change it."""
    headers = request.headers
    return (
        headers.get("sec-fetch-site") in ("none", "same-origin")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and not headers.get("sec-purpose")  # the browser guesses that the link will be opened
    )


def _mark(name: str, checksum: str) -> str:
    return f"{short(name, _NAME_LETTERS)}-{checksum[:_MARK_LETTERS]}"


def _sum_of(mark: str) -> str:
    return mark.rpartition("-")[2]


def _name_of(mark: str) -> str:
    return short(mark.rpartition("-")[0] or mark, _NAME_LETTERS)
