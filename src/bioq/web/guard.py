"""Checks on every request: its size and its origin; and safe headers on every response.

Plain ASGI, so that a body is counted while it arrives.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bioq.web.limits import Limits

HEADERS = {
    # Everything comes from this server; nothing inline, nothing framed.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, the pages' forms would have no Origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_LONGEST_QUERY = 4096
"""Bytes of the address after ?; each field takes 5 microseconds, and links have up to 2,000."""
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Refuses a body that is too large, also together with those of other requests, and a request
    sent by a page of another site.

    `prepare` is called before a request that may have a body.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, prepare: Callable[[], None]):
        self._app = app
        self._limits = limits
        self._prepare = prepare
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        if scope["method"] not in _SAFE:
            self._prepare()
        answer: Send = send_with_headers
        if scope["method"] == "HEAD":
            scope, answer = _as_get(scope, send_with_headers)
        with self._counted(receive, declared_bytes(Headers(scope=scope))) as receive_counted:
            try:
                await self._app(scope, receive_counted, answer)
            except asyncio.CancelledError:  # the server stops
                if not is_started:
                    await JSONResponse({"detail": "the server is stopping"}, 503)(
                        scope, receive, send_with_headers
                    )

    @contextlib.contextmanager
    def _counted(self, receive: Receive, declared: int) -> Iterator[Receive]:
        """Yield `receive` with its bytes counted, for this request and for all."""
        received = held = 0

        async def receive_counted() -> Message:
            nonlocal received, held
            if declared > self._limits.body_bytes:
                raise BodyTooLarge(self._limits.body_bytes)
            message: MutableMapping[str, Any] = await receive()
            received += len(message.get("body", b""))
            if received > self._limits.body_bytes:
                raise BodyTooLarge(self._limits.body_bytes)
            if received > self._limits.small_bytes:
                self._held_bytes += received - held
                held = received
            if held and self._held_bytes > self._limits.bodies_bytes:
                raise HTTPException(
                    429, "the server holds many large requests; try again", {"Retry-After": "5"}
                )
            return message

        try:
            yield receive_counted
        finally:
            self._held_bytes -= held

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if scope["method"] not in _SAFE and not _is_from_this_site(headers):
            return JSONResponse({"detail": "pages of other sites may not send this request"}, 403)
        if declared_bytes(headers) < 0:
            return JSONResponse({"detail": "Content-Length is not a number"}, 400)
        if len(scope["query_string"]) > _LONGEST_QUERY:
            return JSONResponse(
                {"detail": f"the query has more than {_LONGEST_QUERY} letters"}, 414
            )
        return None


def _as_get(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """Return a HEAD request as GET, and a `send` without bodies: the same headers as for GET."""

    async def send_no_body(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif not message.get("more_body", False):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    # With this extension a file is one message with its path, and is not read.
    extensions = {**scope.get("extensions", {}), "http.response.pathsend": {}}
    return {**scope, "method": "GET", "extensions": extensions}, send_no_body


def _is_from_this_site(headers: Headers) -> bool:
    """Return whether a request comes from this server's pages, or not from a page."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")  # browsers omit Sec-Fetch-Site without https
    return origin is None or origin.partition("://")[2] == headers.get("host")


def declared_bytes(headers: Headers) -> int:
    """Return the declared length of a body: 0 if none is declared, -1 if it is not a number."""
    text = headers.get("content-length", "0")
    return int(text[:20]) if text.isascii() and text.isdigit() else -1


class BodyTooLarge(HTTPException):
    """A body is larger than the limit."""

    def __init__(self, body_bytes: int):
        super().__init__(
            413, f"the request is larger than {body_bytes / (1 << 20):g} MiB; send less"
        )
