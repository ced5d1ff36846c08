"""Figures for pages: drawn beside the event loop, one at a time."""

import threading
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

Drawn = TypeVar("Drawn")
_drawing = threading.Lock()


async def draw(make: Callable[[], Drawn]) -> Drawn:
    """Return what `make` draws; Matplotlib's settings are those of the whole process."""

    def alone() -> Drawn:
        with _drawing:
            return make()

    return await run_in_threadpool(alone)
