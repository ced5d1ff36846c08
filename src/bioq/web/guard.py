"""What stands before every request: a bound on its size, whose it may be, and safe headers.

Plain ASGI, so that a body is counted while it comes in.
"""

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
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
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Refuses a body that is too large and a request that another site's page sends."""

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
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message: MutableMapping[str, Any] = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes:
                raise BodyTooLarge
            return message

        try:
            await self._app(scope, receive_counted, send_with_headers)
        except BodyTooLarge:
            await self._too_large()(scope, receive, send_with_headers)

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        site = headers.get("sec-fetch-site", "same-origin")
        if scope["method"] not in _SAFE and site not in ("same-origin", "none"):
            return JSONResponse({"detail": "a page of another site may not ask this"}, 403)
        length = headers.get("content-length", "0")
        if not length.isdigit():
            return JSONResponse({"detail": "Content-Length is no number"}, 400)
        return self._too_large() if int(length) > self._body_bytes else None

    def _too_large(self) -> JSONResponse:
        mib = self._body_bytes / (1 << 20)
        return JSONResponse({"detail": f"the request is larger than {mib:g} MiB; send less"}, 413)


class BodyTooLarge(Exception):
    """More bytes came than a request may have."""
