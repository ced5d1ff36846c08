"""Connections: their number, and the time that each of their parts may take.

uvicorn bounds the size of a request's head and the time between requests. This module adds the
number of connections, and the time of a head, of a body and of an answer that is not read. Once per
second, one function checks every connection.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from typing import Any, Never, cast

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
_READ_BYTES, _SLOW_READ_BYTES = 8 << 10, 1 << 10
"""Bytes that are read from a connection at a time, before others have their turn; and if the last
ones took `_SLOW_SECONDS`, as chunks of one byte do: each takes 50 microseconds."""
_SLOW_SECONDS = 0.02
_MOST_HEAD_BYTES = 64 << 10
_PIECES, _PIECE_BYTES = 4_000, 32
"""A body has at most this many chunks, and one more per so many bytes: a line of a VCF."""
_UNREAD_SECONDS = 2.0
"""A connection whose answer was not read for so long makes room for a new one."""


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
            oldest = self._idlest() or self._slowest()
            if oldest is None:
                return False
            oldest.abort()
        self._open[connection] = None
        return True

    def remove(self, connection: "Connection") -> None:
        """Remove a connection that was closed."""
        self._open.pop(connection, None)

    def _idlest(self) -> "Connection | None":
        """Return the connection that has waited longest without a complete request."""
        idle = (other for other in self._open if other.waits_since() is not None)
        return min(idle, key=lambda other: other.waits_since() or 0.0, default=None)

    def _slowest(self) -> "Connection | None":
        """Return the connection that has read its answer for longest, of the slow ones."""
        before = time.monotonic() - _UNREAD_SECONDS
        slow = (other for other in self._open if (other.stalled_since or math.inf) < before)
        return min(slow, key=lambda other: other.stalled_since or 0.0, default=None)

    def _check(self) -> None:
        now = time.monotonic()
        for connection in list(self._open):
            connection.check(now)
        if self._open:
            asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)


class _Parser(h11.Connection):
    """Parses HTTP/1.1. Refuses a body of very small chunks, and one whose length is given in two
    ways: a proxy may use the other one, and take a part of the body for a request (smuggling)."""

    def __init__(self, most_head_bytes: int):
        super().__init__(h11.SERVER, most_head_bytes)
        self.refusal = ""
        """Why a request is refused that h11 accepts."""
        self._pieces = self._bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                self._refuse("the request has Content-Length and Transfer-Encoding; send one")
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > _PIECES + self._bytes // _PIECE_BYTES:
                self._refuse("the chunks of the body are very small; send it in larger ones")
        return event

    def _refuse(self, sentence: str) -> Never:
        self.refusal = sentence
        raise h11.RemoteProtocolError(sentence)


class Connection(H11Protocol):
    """An HTTP/1.1 connection whose parts have time limits."""

    def __init__(self, connections: Connections, **given: Any):
        super().__init__(**given)
        self.conn: _Parser = _Parser(_MOST_HEAD_BYTES)
        self._all = connections
        self._limits = connections.limits
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._body_bytes = 0
        self._unread_since: float | None = None
        self.stalled_since: float | None = None
        """When the client first did not read its answer as fast as it was made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        self._head_since = time.monotonic()
        if not self._all.add(self):
            self._refuse(503, "all connections are busy; try again in some seconds")

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        started = time.monotonic()
        super().data_received(data)
        is_slow = time.monotonic() - started > _SLOW_SECONDS
        size = _SLOW_READ_BYTES if is_slow else _READ_BYTES
        self.transport.max_size = size  # type: ignore[attr-defined]
        self._note_phase(len(data))
        if self._body_bytes > 2 * self._limits.body_bytes:
            self._refuse(413, "the body of the request is too large")  # was answered before

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.stalled_since = None
        self._note_phase(0)
        if self._head_since is not None and not self.conn.trailing_data[0]:
            self._head_since = None  # idle: uvicorn closes the connection after idle_seconds

    def pause_writing(self) -> None:
        self.stalled_since = self.stalled_since or time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, self.conn.refusal or msg)

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
    """A server that reports missing file descriptors in one line per minute, and calls `stop` as
    soon as it stops."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]):
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: Any = None) -> None:
        self._stop()
        await super().shutdown(sockets=sockets)

    async def startup(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_report)
        await super().startup(sockets=sockets)


def new_server(
    app: ASGIApp, limits: Limits, *, port: int = 0, stop: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """Return the server of an application, to be run with a socket or on a port.

    `stop` is called when it begins to stop.
    """
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
    # Requests that a stop ends, one line each.
    logging.getLogger("uvicorn.error").addFilter(_is_unexpected)
    return _Server(config, stop)


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


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Return whether a line of uvicorn is not about an answer that a stop has cut short."""
    return not str(record.msg).startswith(("ASGI callable returned without", "Cancel %s running"))


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an error of the event loop: those of the machine in one line per minute."""
    if report_trouble(context.get("exception")) is None:
        loop.default_exception_handler(context)
