"""Render a page from its template."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from bioq import __version__
from bioq.errors import harmless
from bioq.plots.numbers import phred_text, probability_text, share_text, signed_text
from bioq.web.jobs import Job
from bioq.web.request import retry_headers, service_of

DRAWING = threading.Lock()
"""Held while a figure is drawn: the whole process shares Matplotlib's settings."""
_HEADINGS = {404: "Not found", 429: "Busy"}

_environment = Environment(
    finalize=harmless,
    loader=PackageLoader("bioq.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["integer"] = "{:,}".format
_environment.filters["phred"] = phred_text
_environment.filters["probability"] = probability_text
_environment.filters["share"] = share_text
_environment.filters["signed"] = signed_text
_environment.filters["sentence"] = lambda text: text if text.endswith("?") else f"{text}."


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Answer with a page; text is escaped, and a missing value is an error.

    An answer with status 429 has the header Retry-After.
    """
    page = _environment.get_template(template).render(
        service=service_of(request), version=__version__, **values
    )
    return HTMLResponse(page, status, {**retry_headers(status), **(headers or {})})


def error_page(
    request: Request, message: str, status: int, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Answer with a page that shows an error message."""
    heading = _HEADINGS.get(status, "That did not work")
    return render(
        request, "error.html.j2", status=status, headers=headers, message=message, heading=heading
    )


async def go_to(
    job: Job, seconds: float, *, query: Mapping[str, str] | None = None
) -> RedirectResponse:
    """Redirect to a job's page when the job has ended, after at most `seconds`; `query` says what
    the page shows."""
    deadline = time.monotonic() + seconds
    while not job.future.done() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    what = f"?{urlencode(query)}" if query else ""
    return RedirectResponse(f"/jobs/{job.id}{what}", 303)
