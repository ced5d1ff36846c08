"""Connections: their number, and the time that each of their parts may take.

uvicorn bounds the size of a request's head and the time between requests. This module adds the
number of connections, and the time of a head, of a body and of an answer that is not read. Once per
second, one function checks every connection.
"""

import asyncio
import contextlib
import time
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from bioq.web.limits import Limits
from bioq.web.trouble import report_trouble

SHUTDOWN_SECONDS = 1
"""Seconds that unfinished responses may take when the server stops."""
_CHECK_SECONDS = 1.0
_BACKLOG = 256
"""Connections that the system keeps until they are accepted."""
_DESCRIPTORS_OF_WORK = 128
"""File descriptors kept for the genome, results and temporary files."""


class Connections:
    """The open connections of a server."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self._most = min(limits.connections, most_connections())
        self._open: dict[Connection, None] = {}

    def add(self, connection: "Connection") -> bool:
        """Add a new connection; return whether there is room, if need be after closing another."""
        if not self._open:
            asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)
        if len(self._open) >= self._most:
            idle = (other for other in self._open if other.waits_since() is not None)
            oldest = min(idle, key=lambda other: other.waits_since() or 0.0, default=None)
            if oldest is None:
                return False
            oldest.abort()
        self._open[connection] = None
        return True

    def remove(self, connection: "Connection") -> None:
        """Remove a connection that was closed."""
        self._open.pop(connection, None)

    def _check(self) -> None:
        now = time.monotonic()
        for connection in list(self._open):
            connection.check(now)
        if self._open:
            asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)


class Connection(H11Protocol):
    """An HTTP/1.1 connection whose parts have time limits."""

    def __init__(self, connections: Connections, **given: Any):
        super().__init__(**given)
        self._all = connections
        self._limits = connections.limits
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._body_bytes = 0
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = time.monotonic()
        if not self._all.add(self):
            self._refuse(503, "all connections are busy; try again in some seconds")

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._note_phase(len(data))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_phase(0)
        if self._head_since is not None and not self.conn.trailing_data[0]:
            self._head_since = None  # idle: uvicorn closes the connection after idle_seconds

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def waits_since(self) -> float | None:
        """Return since when the connection has waited for a request; None while it answers one."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        return self._head_since or self._body_since or 0.0

    def abort(self) -> None:
        """Close at once, whatever has not been sent."""
        self._all.remove(self)
        self.transport.abort()

    def check(self, now: float) -> None:
        """Close the connection if a part of it takes too long."""
        limits = self._limits
        unread = self.transport.get_write_buffer_size()
        self._unread_since = (self._unread_since or now) if unread else None
        if self._unread_since is not None and now - self._unread_since > limits.answer_seconds:
            self.abort()
        elif self._head_since is not None and now - self._head_since > limits.head_seconds:
            self._refuse(408, "the request did not arrive in time")
        elif self._body_since is not None:
            allowed = limits.body_seconds + self._body_bytes / limits.bytes_per_second
            if now - self._body_since > allowed:
                self._refuse(408, "the body of the request did not arrive in time")

    def _note_phase(self, count: int) -> None:
        """Start the clock of the part of the request that has begun, and stop the others."""
        now, state = time.monotonic(), self.conn.their_state
        self._head_since = (self._head_since or now) if state is h11.IDLE else None
        if state is h11.SEND_BODY:
            self._body_bytes += count
            self._body_since = self._body_since or now
        else:
            self._body_since, self._body_bytes = None, 0

    def _refuse(self, status: int, sentence: str) -> None:
        """Send an error if no answer has begun, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application's answer would come after this one
            self.cycle.message_event.set()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"connection", b"close"),
            *([(b"retry-after", b"5")] if status == 503 else []),
        ]
        reason = STATUS_PHRASES[status]
        with contextlib.suppress(h11.LocalProtocolError):
            answer = self.conn.send(
                h11.Response(status_code=status, headers=headers, reason=reason)
            )
            answer = (answer or b"") + (self.conn.send(h11.Data(data=sentence.encode())) or b"")
            self.transport.write(answer + (self.conn.send(h11.EndOfMessage()) or b""))
        self._head_since = self._body_since = None
        self.transport.close()


class _Server(uvicorn.Server):
    """A server that reports missing file descriptors in one line per minute."""

    async def startup(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_report)
        await super().startup(sockets=sockets)


def new_server(app: ASGIApp, limits: Limits, *, port: int = 0) -> uvicorn.Server:
    """Return the server of an application, to be run with a socket or on a port."""
    connections = Connections(limits)

    def connect(**given: Any) -> Connection:
        return Connection(connections, **given)

    config = uvicorn.Config(
        app,
        port=port,
        http=cast(type[asyncio.Protocol], connect),
        ws="none",
        log_level="error",  # warnings: one line for each request that is not HTTP
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return _Server(config)


def most_connections() -> float:
    """Return the number of connections for which this process has file descriptors: two each."""
    try:
        import resource
    except ImportError:  # Windows
        return float("inf")
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return float("inf")
    return max((descriptors - _DESCRIPTORS_OF_WORK) // 2, 8)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an error of the event loop: those of the machine in one line per minute."""
    if report_trouble(context.get("exception")) is None:
        loop.default_exception_handler(context)
