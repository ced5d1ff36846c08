"""The one thread that uses the model: requests that wait together are predicted together, and long
work gives way to short.

>>> desk = ModelQueue(lambda codes: predict_codes(model, codes))           # doctest: +SKIP
>>> desk.predict(codes).result()        # (windows, targets)         # doctest: +SKIP
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

Floats = npt.NDArray[np.float32]
Predict = Callable[[dna.Bytes], Floats]
"""Codes `(windows, window_bp)` -> probabilities `(windows, targets)`."""
GATHER_S = 0.02
"""How long the desk waits after it has answered several, most of whom ask again at once: one batch
of all of them is sooner done than two of a half each."""
_log = logging.getLogger(__name__)


class Busy(BioqError):
    """More is waiting than the server takes on; to be asked again later."""


class Cancelled(Exception):
    """Somebody cancelled the work that is running."""


class Level(IntEnum):
    """How long work takes; what is shorter goes first, also in the middle of what is longer."""

    SECONDS = 1
    MINUTES = 2


GiveWay = Callable[[], None]
"""Called by long work between its steps: what is shorter is done meanwhile. Raises Cancelled."""


@dataclass
class _Prediction:
    codes: dna.Bytes
    future: Future[Floats] = field(default_factory=Future)


@dataclass(eq=False)
class Work:
    """A piece of work that waits, runs or has ended; `future` has its result."""

    level: Level
    run: Callable[[GiveWay], Any]
    future: Future[Any] = field(default_factory=Future)
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Take it out of the queue, or stop it at its next step."""
        self.is_cancelled = True
        self.future.cancel()


class ModelQueue:
    """Queues before a model, and the thread that serves them."""

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
        """Predict codes `(windows, window_bp)`; with others' windows in one batch where both wait.

        Raises Busy if too many windows wait already.
        """
        asked = _Prediction(codes)
        with self._changed:
            self._require_open()
            waiting = sum(len(one.codes) for one in self._predictions if not one.future.cancelled())
            if waiting + len(codes) > self._waiting_windows:
                raise Busy(f"{waiting:,} windows wait already; ask again in some seconds")
            self._predictions.append(asked)
            self._changed.notify()
        return asked.future

    def submit(self, level: Level, run: Callable[[GiveWay], Any]) -> Work:
        """Queue work that takes longer than a batch. Raises Busy if too much waits already."""
        work = Work(level, run)
        with self._changed:
            self._require_open()
            queue = deque(one for one in self._works[level] if not one.is_cancelled)
            if len(queue) >= self._waiting_jobs:
                raise Busy(f"{len(queue):,} jobs wait already; ask again in a minute")
            queue.append(work)
            self._works[level] = queue
            self._changed.notify()
        return work

    def ahead(self, work: Work) -> int:
        """Return how many pieces of work wait before this one."""
        with self._changed:
            before = [one for level in Level if level < work.level for one in self._works[level]]
            queue = list(self._works[work.level])
            before += queue[: queue.index(work)] if work in queue else []
            return sum(not one.is_cancelled for one in before)

    def close(self) -> None:
        """Cancel everything, and wait for the step that is running."""
        with self._changed:
            self._is_closed = True
            predictions = list(self._predictions)
            works = [work for queue in self._works.values() for work in queue]
            self._changed.notify()
        for one in predictions:
            one.future.cancel()
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
                self._changed.wait_for(lambda: self._is_closed or self._is_asked())
                if self._is_closed:
                    return
            for level in Level:
                if self._do_batch() > 1:
                    time.sleep(GATHER_S)
                self._do_work(level)

    def _require_open(self) -> None:
        if self._is_closed:
            raise Busy("the server is stopping")

    def _is_asked(self) -> bool:
        return bool(self._predictions) or any(self._works.values())

    def _do_batch(self) -> int:
        """Predict what waits, as far as it fits one batch (a larger request comes alone); return
        how many requests that were."""
        batch: list[_Prediction] = []
        windows = 0
        with self._changed:
            while self._predictions:
                following = self._predictions[0]
                if batch and windows + len(following.codes) > self._batch_size:
                    break
                self._predictions.popleft()
                if following.future.set_running_or_notify_cancel():
                    batch.append(following)
                    windows += len(following.codes)
        if not batch:
            return 0
        try:
            found = self._predict(np.concatenate([one.codes for one in batch]))
        except Exception as error:  # noqa: BLE001 whoever asked is told; the thread goes on
            _report(error)
            for one in batch:
                one.future.set_exception(error)
            return len(batch)
        start = 0
        for one in batch:  # a copy: a view would keep everybody's for as long as one is kept
            one.future.set_result(found[start : start + len(one.codes)].copy())
            start += len(one.codes)
        return len(batch)

    def _do_work(self, level: Level) -> None:
        """Do the first piece of work of a level, if one waits."""
        with self._changed:
            if not self._works[level]:
                return
            work = self._works[level].popleft()
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
            result = work.run(give_way)
        except Exception as error:  # noqa: BLE001 whoever asked is told; the thread goes on
            _report(error)
            work.future.set_exception(error)
        else:
            work.future.set_result(result)


def _report(error: Exception) -> None:
    """Write what nobody expected to the server's stderr; a visitor is told its type only."""
    if not isinstance(error, (BioqError, Cancelled)):
        _log.error("unexpected error in the work of a visitor", exc_info=error)
