"""Work divided between threads, each with separate windows."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
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
                _set_threads(inner, later=threads)
            return _compute(compute, part)

        has_more = self._workers > workers and len(parts) > workers  # would use more at once
        if self._pool is None or workers > self._workers or has_more:
            self._pool, self._workers = ThreadPoolExecutor(workers), workers
        try:
            results = self._pool.map(compute_part, parts)
        except RuntimeError:  # Python has finished its main thread, and starts no others
            return [_compute(compute, part) for part in parts]
        return list(results)


@contextlib.contextmanager
def same_threads() -> Iterator[None]:
    """Give PyTorch its number of threads back after the block.

    With another number later sums would be computed in another order, and differ in their last
    bits. What Numba has compiled (TOMTOM, for one) gives OpenMP, and so PyTorch, all cores.
    """
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _set_threads(own: int, *, later: int) -> None:
    """Set the number of PyTorch's threads of this thread to `own`.

    PyTorch also gives it to every thread that uses PyTorch for the first time afterwards, for all
    of that thread's life. So another thread sets it at once to `later`.
    """
    torch.set_num_threads(own)
    other = threading.Thread(target=torch.set_num_threads, args=(later,))
    other.start()
    other.join()


def _compute(compute: Callable[[Part], Result], part: Part) -> Result:
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return compute(part)
