"""The queue of requests for the model, and the one thread that uses the model.

Requests that wait at the same time are predicted as one batch; long work pauses for short work.

>>> queue = ModelQueue(lambda codes: predict_codes(model, codes))    # doctest: +SKIP
>>> queue.predict(codes).result()       # (windows, targets)         # doctest: +SKIP
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.forward import BATCH_SIZE
from bioq.web.trouble import report_trouble

Floats = npt.NDArray[np.float32]
Predict = Callable[[dna.Bytes], Floats]
"""Codes `(windows, window_bp)` -> probabilities `(windows, targets)`."""
GATHER_S = 0.02
"""Seconds to wait after a batch with several requests. Most of these clients send the next request
at once, and one batch of all requests is faster than two batches of half each."""
_log = logging.getLogger(__name__)


class Busy(BioqError):
    """The queue is full; the client may try again later."""


class Cancelled(Exception):
    """The running work was cancelled."""


class Level(IntEnum):
    """How long a piece of work takes; shorter work runs first and interrupts longer work."""

    SECONDS = 1
    MINUTES = 2


GiveWay = Callable[[], None]
"""Called by long work between its steps, to run the shorter work that waits. Raises Cancelled."""


@dataclass
class _Prediction:
    codes: dna.Bytes
    future: Future[Floats] = field(default_factory=Future)


@dataclass(eq=False)
class Work:
    """A piece of work that waits, runs or has ended; `future` holds its result."""

    level: Level
    run: Callable[[GiveWay], Any]
    future: Future[Any] = field(default_factory=Future)
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Remove the work from the queue, or stop it at its next step."""
        self.is_cancelled = True
        self.run = _ended
        self.future.cancel()


class ModelQueue:
    """The requests that wait for a model, and the thread that answers them."""

    def __init__(
        self,
        predict: Predict,
        *,
        waiting_windows: int = 2_000,
        waiting_jobs: int = 16,
        batch_size: int = BATCH_SIZE,
    ):
        self._predict = predict
        self._waiting_windows = waiting_windows
        self._waiting_jobs = waiting_jobs
        self._batch_size = batch_size
        self._predictions: deque[_Prediction] = deque()
        self._works: dict[Level, deque[Work]] = {level: deque() for level in Level}
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="bioq-model", daemon=True)
        self._thread.start()

    def predict(self, codes: dna.Bytes) -> Future[Floats]:
        """Predict codes `(windows, window_bp)`, in one batch with the other requests that wait.

        Raises Busy if too many windows wait already.
        """
        prediction = _Prediction(codes)
        with self._changed:
            self._require_open()
            waiting = sum(
                len(item.codes) for item in self._predictions if not item.future.cancelled()
            )
            if waiting + len(codes) > self._waiting_windows:
                raise Busy(f"{waiting:,} windows wait already; try again in some seconds")
            self._predictions.append(prediction)
            self._changed.notify()
        return prediction.future

    def submit(self, level: Level, run: Callable[[GiveWay], Any]) -> Work:
        """Queue work that takes longer than a batch. Raises Busy if too much waits already."""
        work = Work(level, run)
        with self._changed:
            self._require_open()
            queue = deque(item for item in self._works[level] if not item.is_cancelled)
            if len(queue) >= self._waiting_jobs:
                raise Busy(f"{len(queue):,} jobs wait already; try again in a minute")
            queue.append(work)
            self._works[level] = queue
            self._changed.notify()
        return work

    def ahead(self, work: Work) -> int:
        """Return how many pieces of work wait before `work`."""
        with self._changed:
            before = [item for level in Level if level < work.level for item in self._works[level]]
            queue = list(self._works[work.level])
            before += queue[: queue.index(work)] if work in queue else []
            return sum(not item.is_cancelled for item in before)

    def is_stopping(self) -> bool:
        """Return whether `stop` or `close` was called."""
        return self._is_closed

    def stop(self) -> None:
        """Accept nothing more, and end the running work at its next step."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def close(self) -> None:
        """Cancel everything and wait until the running step ends."""
        self.stop()
        with self._changed:
            predictions = list(self._predictions)
            works = [work for queue in self._works.values() for work in queue]
        for prediction in predictions:
            prediction.future.cancel()
        for work in works:
            work.cancel()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._has_work())
                if self._is_closed:
                    return
            for level in Level:
                if self._do_batch() > 1:
                    time.sleep(GATHER_S)
                self._do_work(level)

    def _require_open(self) -> None:
        if self._is_closed:
            raise Busy("the server is stopping")

    def _has_work(self) -> bool:
        return bool(self._predictions) or any(self._works.values())

    def _do_batch(self) -> int:
        """Predict the waiting requests that fit into one batch; return the number of requests.

        A request that is larger than a batch is predicted alone.
        """
        batch: list[_Prediction] = []
        windows = 0
        with self._changed:
            while self._predictions:
                request = self._predictions[0]
                if batch and windows + len(request.codes) > self._batch_size:
                    break
                self._predictions.popleft()
                if request.future.set_running_or_notify_cancel():
                    batch.append(request)
                    windows += len(request.codes)
        if not batch:
            return 0
        try:
            probability = self._predict(np.concatenate([request.codes for request in batch]))
        except Exception as error:  # noqa: BLE001 the futures carry it; the thread continues
            _report(error)
            for request in batch:
                request.future.set_exception(error)
            return len(batch)
        start = 0
        for request in batch:  # copied: a view would keep the whole batch in memory
            request.future.set_result(probability[start : start + len(request.codes)].copy())
            start += len(request.codes)
        return len(batch)

    def _do_work(self, level: Level) -> None:
        """Run the first waiting piece of work of a level, if any."""
        with self._changed:
            if not self._works[level]:
                return
            work = self._works[level].popleft()
        run, work.run = work.run, _ended  # its alleles are freed when it ends
        if not work.future.set_running_or_notify_cancel():
            return

        def give_way() -> None:
            self._do_batch()
            for shorter in Level:
                if shorter < level:
                    self._do_work(shorter)
            if work.is_cancelled or self._is_closed:
                raise Cancelled

        try:
            result = run(give_way)
        except Exception as error:  # noqa: BLE001 the future carries it; the thread continues
            _report(error)
            work.future.set_exception(error)
        else:
            work.future.set_result(result)


def _ended(give_way: GiveWay) -> Any:
    raise Cancelled


def _report(error: Exception) -> None:
    """Log an unexpected error on the server's stderr; the page shows the visitor its type only."""
    if not isinstance(error, (BioqError, Cancelled)) and report_trouble(error) is None:
        _log.error("unexpected error in the work of a visitor", exc_info=error)
