"""The web application: pages, the API, and the handling of errors."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bioq import __version__
from bioq.errors import BioqError
from bioq.web import api, pages
from bioq.web.examples import add_examples
from bioq.web.guard import HEADERS, Guard
from bioq.web.pools import Pools
from bioq.web.request import refusal_status, retry_headers, service_of
from bioq.web.schemas import one_line
from bioq.web.service import Service
from bioq.web.trouble import report_trouble

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Host names of a server that only this machine can reach."""
STATIC = Path(__file__).parent / "static"


def create_app(
    service: Service, *, hosts: Sequence[str] = LOCAL, prepare: Callable[[], None] = lambda: None
) -> FastAPI:
    """Return the application.

    `hosts` are the accepted Host names; any other gets status 400, so that a page of another site
    cannot reach the server through its host name (DNS rebinding). `prepare` is called before each
    request that may have a body.
    """
    app = FastAPI(
        title="BioQ",
        version=__version__,
        summary="Predict chromatin targets from DNA with a trained model",
        docs_url=None,  # FastAPI's pages load scripts from another site; /api replaces them
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.service = service
    app.state.pools = Pools(service.limits)
    # It writes a line to stderr for every form that is damaged; the answer has the error.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    app.include_router(api.router)
    app.include_router(pages.router)
    add_examples(app.openapi(), service)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(BioqError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_form)
    app.add_exception_handler(HTTPException, _refuse_request)
    app.add_exception_handler(ClientDisconnect, _forget)
    app.add_exception_handler(OSError, _refuse_in_trouble)
    app.add_exception_handler(Exception, _fail)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    # Added last, called first.
    app.add_middleware(Guard, limits=service.limits, prepare=prepare)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer bad input with the error's line, which contains the correction."""
    assert isinstance(error, BioqError)
    status = refusal_status(error)
    return _answer(request, str(error), status, retry_headers(status))


async def _refuse_form(request: Request, error: Exception) -> Response:
    """Answer a request of the wrong form with the field and the expected value."""
    assert isinstance(error, RequestValidationError)
    known = service_of(request).known_window
    region, variant = ("", "") if known is None else (str(known.region()), str(known.variant))
    return await _refuse(request, BioqError(one_line(error, region=region, variant=variant)))


async def _refuse_request(request: Request, error: Exception) -> Response:
    """Answer a request for an unknown address, or one that cannot be read."""
    assert isinstance(error, HTTPException)
    detail = "there is no such address" if error.status_code == 404 else str(error.detail)
    return _answer(request, detail, error.status_code, error.headers)


async def _forget(request: Request, error: Exception) -> Response:
    """Answer a client that closed the connection while it sent its request."""
    return _answer(request, "the request is not complete", 400, None)


async def _refuse_in_trouble(request: Request, error: Exception) -> Response:
    """Answer an error of the machine, such as a full disk, with a sentence."""
    trouble = report_trouble(error)
    if trouble is None:
        raise error
    return _answer(request, trouble[1], trouble[0], None)


async def _fail(request: Request, error: Exception) -> Response:
    """Answer an unexpected error without its details; the server's log has the traceback."""
    detail = "unexpected error in the server; see its terminal"
    return _answer(request, detail, 500, HEADERS)


def _answer(
    request: Request, detail: str, status: int, headers: Mapping[str, str] | None
) -> Response:
    """Return the answer as JSON for the API and as a page otherwise."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"detail": detail}, status, headers)
    return pages.error_page(request, detail, status, headers)
