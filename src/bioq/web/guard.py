"""Checks on every request: its size and its origin; and safe headers on every response.

Plain ASGI, so that a body is counted while it arrives.
"""

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
"""Bytes of the address after ?; each field takes 5 microseconds, and pages use 200 bytes."""
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Refuses a body that is too large, and a request sent by a page of another site."""

    def __init__(self, app: ASGIApp, *, body_bytes: int):
        self._app = app
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        received = 0
        declared = _length(Headers(scope=scope))

        async def receive_counted() -> Message:
            nonlocal received
            if declared > self._body_bytes:
                raise BodyTooLarge(self._body_bytes)
            message: MutableMapping[str, Any] = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes:
                raise BodyTooLarge(self._body_bytes)
            return message

        await self._app(scope, receive_counted, send_with_headers)

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if scope["method"] not in _SAFE and not _is_from_this_site(headers):
            return JSONResponse({"detail": "pages of other sites may not send this request"}, 403)
        if _length(headers) < 0:
            return JSONResponse({"detail": "Content-Length is not a number"}, 400)
        if len(scope["query_string"]) > _LONGEST_QUERY:
            return JSONResponse(
                {"detail": f"the query has more than {_LONGEST_QUERY} letters"}, 414
            )
        return None


def _is_from_this_site(headers: Headers) -> bool:
    """Return whether a request comes from this server's pages, or not from a page."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")  # browsers omit Sec-Fetch-Site without https
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _length(headers: Headers) -> int:
    """Return the declared length of a body: 0 if none is declared, -1 if it is not a number."""
    text = headers.get("content-length", "0")
    return int(text[:20]) if text.isascii() and text.isdigit() else -1


class BodyTooLarge(HTTPException):
    """A body is larger than the limit."""

    def __init__(self, body_bytes: int):
        super().__init__(
            413, f"the request is larger than {body_bytes / (1 << 20):g} MiB; send less"
        )
