"""Every thread computes windows of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


class Threads:
    """Gives every thread parts of its own: it waits for no other and has its core's cache.

    PyTorch's threads share every matrix product instead and wait for one another after each, 300
    times in two LSTM layers; with few windows that is still the better way.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._workers = 0

    def map(
        self,
        compute: Callable[[Part], Result],
        parts: Sequence[Part],
        workers: int,
        *,
        inner: int | None = None,
    ) -> list[Result]:
        """Compute every part, without gradients.

        The workers divide PyTorch's threads among them, or have `inner` each. Without `inner` less
        than two workers are none: the caller's thread computes, with all of PyTorch's.
        """
        if workers < 2 and inner is None:
            return [_compute(compute, part) for part in parts]
        threads = torch.get_num_threads()
        inner = inner or max(1, threads // workers)

        def alone(part: Part) -> Result:
            if torch.get_num_threads() != inner:
                torch.set_num_threads(inner)  # of this thread
            return _compute(compute, part)

        if workers > self._workers or self._pool is None:
            self._pool, self._workers = ThreadPoolExecutor(workers), workers
        try:
            return list(self._pool.map(alone, parts))
        finally:
            torch.set_num_threads(threads)  # which also is what threads made from now on start with


def _compute(compute: Callable[[Part], Result], part: Part) -> Result:
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return compute(part)
