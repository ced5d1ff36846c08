"""Ctrl-C and SIGTERM during a training: it stops where its state can be saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


class Stopped(BaseException):
    """A signal during work that may be left at any point, see `StopSignals.at_once`."""


class StopSignals:
    """Keeps the first SIGINT or SIGTERM until `act`; a second signal acts at once.

    A context manager. Signals that the process ignores stay ignored, and a thread that is not the
    main thread gets none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The signal that has arrived and not acted yet."""
        self._may_raise = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        self._install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()
        if kind is None and self.received is not None:
            self.act()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise Stopped inside this block as soon as a signal arrives."""
        self._may_raise = True
        try:
            if self.received is not None:
                raise Stopped
            yield
        finally:
            self._may_raise = False

    def act(self) -> None:
        """Send the signal to the handler that was there before this training, which usually raises
        KeyboardInterrupt. Returns if that handler does not end the training."""
        number = self.received
        if number is None:
            return
        self._restore()
        self.received = None
        signal.raise_signal(number)
        self._install()

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if handler not in (None, signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._receive)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            self._restore()
            signal.raise_signal(number)
            return
        self.received = number
        if self._may_raise:
            raise Stopped
