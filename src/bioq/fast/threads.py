"""Every thread computes windows of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")


class Threads:
    """Gives every thread parts of its own: it waits for no other and has its core's cache.

    PyTorch's threads share every matrix product instead and wait for one another after each, 300
    times in two LSTM layers; with few windows that is still the better way.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._workers = 0

    def map(
        self, compute: Callable[[Part], Tensor], parts: Sequence[Part], workers: int
    ) -> list[Tensor]:
        """Compute every part, without gradients; all PyTorch's threads share each for less than two
        workers."""

        def alone(part: Part) -> Tensor:
            if torch.get_num_threads() != inner:
                torch.set_num_threads(inner)  # of this thread
            return _compute(compute, part)

        if workers < 2:
            return [_compute(compute, part) for part in parts]
        if workers > self._workers or self._pool is None:
            self._pool, self._workers = ThreadPoolExecutor(workers), workers
        threads = torch.get_num_threads()
        inner = max(1, threads // workers)
        try:
            return list(self._pool.map(alone, parts))
        finally:
            torch.set_num_threads(threads)  # which also is what threads made from now on start with


def _compute(compute: Callable[[Part], Tensor], part: Part) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return compute(part)
