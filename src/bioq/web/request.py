"""The service behind a request, its numbers, and the HTTP status of an error."""

import re

from starlette.requests import Request

from bioq.errors import BioqError
from bioq.web.jobs import NoSuchJob
from bioq.web.queue import Busy
from bioq.web.service import Service

_WHOLE = re.compile("0|[1-9][0-9]{0,17}")


def service_of(request: Request) -> Service:
    """Return the service of the application that received the request."""
    service: Service = request.app.state.service
    return service


def typed_number(text: str, most: int) -> int | None:
    """Return the number from 0 to `most` that a text is, in digits of ASCII without zeros before
    them; None for another text."""
    if _WHOLE.fullmatch(text) is None or int(text) > most:
        return None
    return int(text)


def refusal_status(error: BioqError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, Busy):
        return 429
    return 404 if isinstance(error, NoSuchJob) else 422


def retry_headers(status: int) -> dict[str, str]:
    """Return the headers with the time after which to repeat a request to a busy server."""
    return {"Retry-After": "5"} if status == 429 else {}
