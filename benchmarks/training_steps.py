"""The steps of `bioq.train`, one by one, by PyTorch's own hook that is called after each of them.

A step is all that lies between two steps of the optimizer: reading the batch, the forward and the
backward pass, and what the loop itself does.
"""

import argparse
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from generated import named_sizes
from torch.optim.optimizer import register_optimizer_step_post_hook

from bioq.models import ModelSizes, sizes_from

TINY = {"sizes": ["filters=8", "lstm_units=8", "dense_units=8"], "targets": 9, "batch": 20}
"""Values of the options of `add_options` with --tiny."""


def add_options(options: argparse.ArgumentParser) -> None:
    """Add the options that say what is trained."""
    options.add_argument("--model", default="bioq")
    options.add_argument("--sizes", nargs="*", default=[], metavar="NAME=VALUE")
    options.add_argument("--targets", type=int, default=919)
    options.add_argument("--batch", type=int, default=100)


def sizes_of(words: Sequence[str]) -> ModelSizes:
    """Return the sizes that --sizes names."""
    return sizes_from(named_sizes(words))


class EnoughStepsError(Exception):
    """Ends a training of which no more steps are needed."""


def train_with(after_step: Callable[[int], None], train: Callable[[], object]) -> None:
    """Call `train`, and `after_step` with the number of the step, from 0, after each; it may raise
    EnoughStepsError, in a training on several processes in all of them after the same step."""
    number, thread = 0, threading.get_ident()

    def hook(*_: Any) -> None:
        nonlocal number
        if threading.get_ident() != thread:  # PyTorch calls it for every optimizer of the process
            return
        number += 1
        after_step(number - 1)

    handle = register_optimizer_step_post_hook(hook)
    try:
        with contextlib.suppress(EnoughStepsError):
            train()
    finally:
        handle.remove()


class PausedTraining:
    """A training that waits between its steps until it is asked for the next one.

    It runs in a thread of its own. Only one of several goes on at a time.
    """

    def __init__(self, train: Callable[[], object]):
        """`train` calls `bioq.train`; nothing of it runs before the first step."""
        self._train = train
        self._asked: queue.Queue[bool] = queue.Queue()
        self._taken: queue.Queue[Exception | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def step(self) -> None:
        """Take one step. Raises what the training raises, RuntimeError once it has ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._asked.put(True)
        error = self._taken.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """End the training after the last step."""
        if self._thread is not None and self._thread.is_alive():
            self._asked.put(False)
            self._thread.join()

    def _run(self) -> None:
        def after_step(_: int) -> None:
            self._taken.put(None)
            self._wait()

        try:
            self._wait()
            train_with(after_step, self._train)
        except EnoughStepsError:  # before the first step
            return
        except Exception as error:  # noqa: BLE001 `step` raises it
            self._taken.put(error)
            return
        self._taken.put(RuntimeError("the training has ended; give it more windows"))

    def _wait(self) -> None:
        if not self._asked.get():
            raise EnoughStepsError


@contextlib.contextmanager
def paused(train: Callable[[], object]) -> Iterator[PausedTraining]:
    """A training that is stopped at the end of the block."""
    training = PausedTraining(train)
    try:
        yield training
    finally:
        training.stop()
