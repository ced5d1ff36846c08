"""Threads for the work of requests, apart from those that render pages.

Pages are rendered in the threads that Starlette shares between all requests. Work that takes longer
has a pool of its own, in which it waits for its own kind only; beyond a number that wait, a request
is refused at once.
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from bioq.web.limits import Limits
from bioq.web.queue import Busy

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Pool:
    """A number of threads, and the requests that wait for one."""

    def __init__(self, what: str, *, threads: int, waiting: int):
        self._what = what
        self._waiting = waiting
        self._threads = threads
        self._inside = 0
        self._limiter = CapacityLimiter(threads)

    async def run(
        self, work: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        """Return the result of `work`, called in a thread. Raises Busy if too many wait."""
        # The limiter counts a request only later, and many that come at once would all be accepted.
        if self._inside >= self._threads + self._waiting:
            raise Busy(f"{self._waiting:,} {self._what} wait already; try again in some seconds")
        self._inside += 1
        try:
            return await to_thread.run_sync(partial(work, *given, **named), limiter=self._limiter)
        finally:
            self._inside -= 1


class Pools:
    """The pools of an application."""

    def __init__(self, limits: Limits):
        waiting = limits.waiting_requests
        self.uploads = Pool("uploads", threads=1, waiting=limits.waiting_uploads)
        """Unpack and check a VCF: one at a time, since the largest take hundreds of MB."""
        self.inputs = Pool("requests", threads=2, waiting=waiting)
        """Read sequences, regions and variants; make the answers of the API."""
        self.results = Pool("results", threads=2, waiting=waiting)
        """Draw the page or the figure of a result."""
        self.motifs = Pool("requests for motif names", threads=1, waiting=waiting)
        """Search and name the sites of contributions: one at a time, since the first call compiles
        for seconds."""
        self.downloads = Pool("downloads", threads=1, waiting=waiting)
        """Write a result as a file."""


def pools_of(request: Request) -> Pools:
    """Return the pools of the application that received the request."""
    pools: Pools = request.app.state.pools
    return pools
