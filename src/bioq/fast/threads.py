"""Work divided between threads, each with separate windows."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


class Threads:
    """A pool of threads that compute separate parts, without waiting for one another.

    PyTorch's threads divide every matrix product instead and wait for one another after each, 300
    times in two LSTM layers. With few windows that is still faster.
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

        PyTorch's threads are divided between the workers, or each worker has `inner` of them. With
        fewer than two workers and no `inner`, everything runs in the calling thread with all of
        PyTorch's threads.
        """
        if workers < 2 and inner is None:
            return [_compute(compute, part) for part in parts]
        threads = torch.get_num_threads()
        inner = inner or max(1, threads // workers)

        def compute_part(part: Part) -> Result:
            if torch.get_num_threads() != inner:
                torch.set_num_threads(inner)  # of this thread
            return _compute(compute, part)

        if workers > self._workers or self._pool is None:
            self._pool, self._workers = ThreadPoolExecutor(workers), workers
        try:
            return list(self._pool.map(compute_part, parts))
        finally:
            torch.set_num_threads(threads)  # also the number for threads that start later


def _compute(compute: Callable[[Part], Result], part: Part) -> Result:
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return compute(part)
