"""The thread that uses the model, with predictions that are known beforehand."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest

from bioq.web.queue import Busy, Cancelled, Level, ModelQueue

WINDOW_BP, LONG_S = 8, 30
"""LONG_S: how long a test waits for what comes at once, or never."""


def expected(codes: np.ndarray) -> np.ndarray:
    """Return numbers that are another window's only where its codes are the same: `(n, 2)`."""
    weights = 5.0 ** np.arange(WINDOW_BP)
    return np.stack([codes @ weights, codes.sum(axis=1)], axis=1).astype(np.float32)


class Model:
    """Predicts when it is let; remembers how many windows came together."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.began = threading.Semaphore(0)
        self.may_go = threading.Event()

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        self.calls.append(len(codes))
        self.began.release()
        assert self.may_go.wait(LONG_S)
        return expected(codes)


def windows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (count, WINDOW_BP)).astype(np.uint8)


@pytest.fixture
def model():
    model = Model()
    yield model
    model.may_go.set()


@pytest.fixture
def queue(model):
    with ModelQueue(model, waiting_windows=20, waiting_jobs=2, batch_size=10) as queue:
        yield queue
        model.may_go.set()


@pytest.fixture
def busy(queue, model):
    """A queue whose thread is in the middle of a prediction of one window."""
    first = queue.predict(windows(1))
    assert model.began.acquire(timeout=LONG_S)
    yield queue
    model.may_go.set()
    assert first.exception(LONG_S) is None


def test_requests_that_wait_together_are_predicted_together(busy, model):
    requests = [windows(count, count) for count in (3, 4, 2, 5)]
    futures = [busy.predict(codes) for codes in requests]
    model.may_go.set()
    for codes, future in zip(requests, futures, strict=True):
        np.testing.assert_array_equal(future.result(LONG_S), expected(codes))
    assert model.calls == [1, 9, 5]


def test_a_request_that_is_larger_than_a_batch_is_not_cut(busy, model):
    futures = [busy.predict(windows(count)) for count in (15, 5)]
    model.may_go.set()
    assert [len(future.result(LONG_S)) for future in futures] == [15, 5]
    assert model.calls == [1, 15, 5]


def test_an_answer_holds_nobody_elses(busy, model):
    futures = [busy.predict(windows(count)) for count in (1, 9)]
    model.may_go.set()
    assert all(future.result(LONG_S).base is None for future in futures)


def test_64_threads_get_their_own_answers():
    with ModelQueue(expected, waiting_windows=1000, batch_size=64) as queue:

        def ask(seed: int) -> bool:
            many = [windows(1 + (seed + turn) % 7, 100 * seed + turn) for turn in range(20)]
            return all(
                np.array_equal(queue.predict(codes).result(LONG_S), expected(codes))
                for codes in many
            )

        with ThreadPoolExecutor(64) as threads:
            assert all(threads.map(ask, range(64)))


def test_more_windows_than_may_wait_are_refused_and_those_that_wait_are_not_lost(busy, model):
    kept = busy.predict(windows(15))
    with pytest.raises(Busy, match="15 windows wait already"):
        busy.predict(windows(6))
    cancelled = busy.predict(windows(5))
    assert cancelled.cancel()
    last = busy.predict(windows(4))  # what was cancelled takes no place
    model.may_go.set()
    assert len(kept.result(LONG_S)) == 15
    assert len(last.result(LONG_S)) == 4
    assert model.calls == [1, 15, 4]


def test_more_work_than_may_wait_is_refused_until_some_is_cancelled(busy, model):
    works = [busy.submit(Level.SECONDS, lambda give_way: None) for _ in range(2)]
    with pytest.raises(Busy, match="2 jobs wait already"):
        busy.submit(Level.SECONDS, lambda give_way: None)
    other = busy.submit(Level.MINUTES, lambda give_way: "long")  # has a queue of its own
    works[0].cancel()
    last = busy.submit(Level.SECONDS, lambda give_way: "short")
    model.may_go.set()
    assert last.future.result(LONG_S) == "short"
    assert other.future.result(LONG_S) == "long"


def test_short_work_goes_before_long_and_also_in_its_middle(busy, model):
    ended = []

    def long(give_way):
        busy.submit(Level.SECONDS, lambda give_way: ended.append("in the middle"))
        prediction = busy.predict(windows(2))
        give_way()
        assert prediction.done()
        ended.append("long")

    waiting = busy.submit(Level.MINUTES, long)
    short = busy.submit(Level.SECONDS, lambda give_way: ended.append("short"))
    assert busy.ahead(waiting) == 1
    assert busy.ahead(short) == 0
    model.may_go.set()
    waiting.future.result(LONG_S)
    assert ended == ["short", "in the middle", "long"]


def test_long_work_does_not_go_in_the_middle_of_short(busy, model):
    ended = []
    busy.submit(Level.MINUTES, lambda give_way: ended.append("long"))

    def short(give_way):
        give_way()
        ended.append("short")

    busy.submit(Level.SECONDS, short)
    model.may_go.set()
    busy.submit(Level.MINUTES, lambda give_way: None).future.result(LONG_S)
    assert ended == ["short", "long"]


@pytest.mark.parametrize("level", Level)
def test_no_stream_of_what_is_shorter_starves_work(level):
    """Whenever one prediction or piece of work is done, the next one waits already."""
    stopped = threading.Event()
    with ModelQueue(expected) as queue:

        def again(_: object) -> None:
            if not stopped.is_set():
                queue.predict(windows(1)).add_done_callback(again)

        def work_again(give_way) -> None:
            if level > Level.SECONDS and not stopped.is_set():
                queue.submit(Level.SECONDS, work_again)

        again(None)
        queue.submit(Level.SECONDS, work_again)

        def run(give_way):
            for _ in range(5):
                give_way()
            return "done"

        try:
            assert queue.submit(level, run).future.result(LONG_S) == "done"
        finally:
            stopped.set()


def test_what_is_cancelled_while_it_waits_is_never_begun(busy, model):
    ran = []
    work = busy.submit(Level.SECONDS, lambda give_way: ran.append(1))
    work.cancel()
    assert work.future.cancelled()
    model.may_go.set()
    busy.submit(Level.SECONDS, lambda give_way: None).future.result(LONG_S)
    assert not ran


def test_work_that_runs_stops_at_its_next_step(queue):
    began, cancelled = threading.Event(), threading.Event()

    def run(give_way):
        began.set()
        assert cancelled.wait(LONG_S)
        give_way()
        pytest.fail("it went on")

    work = queue.submit(Level.SECONDS, run)
    assert began.wait(LONG_S)
    work.cancel()
    cancelled.set()
    assert isinstance(work.future.exception(LONG_S), Cancelled)
    assert queue.submit(Level.SECONDS, lambda give_way: 1).future.result(LONG_S) == 1


def test_an_error_reaches_who_asked_and_the_log_and_the_thread_goes_on(caplog):
    def predict(codes):
        if codes[0, 0] == 4:
            raise MemoryError("no room")
        return expected(codes)

    with ModelQueue(predict) as queue:
        bad = np.full((1, WINDOW_BP), 4, dtype=np.uint8)
        assert isinstance(queue.predict(bad).exception(LONG_S), MemoryError)
        work = queue.submit(Level.SECONDS, lambda give_way: 1 / 0)
        assert isinstance(work.future.exception(LONG_S), ZeroDivisionError)
        good = np.zeros((1, WINDOW_BP), dtype=np.uint8)
        assert queue.predict(good).result(LONG_S).shape == (1, 2)
    assert "MemoryError: no room" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" in caplog.text


def test_what_a_visitor_did_wrong_is_not_logged(busy, model, caplog):
    def refuse(give_way):
        raise Busy("words for a visitor")

    work = busy.submit(Level.SECONDS, refuse)
    model.may_go.set()
    assert isinstance(work.future.exception(LONG_S), Busy)
    assert not caplog.text


def test_closing_cancels_what_waits_and_stops_what_runs(model):
    began = threading.Event()

    def run(give_way):
        began.set()
        while True:
            give_way()

    queue = ModelQueue(model)
    running = queue.submit(Level.SECONDS, run)
    assert began.wait(LONG_S)
    prediction = queue.predict(windows(1))
    assert model.began.acquire(timeout=LONG_S)  # the prediction holds up the work
    waiting = queue.predict(windows(1))
    queued = queue.submit(Level.MINUTES, lambda give_way: None)
    closing = threading.Thread(target=queue.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(LONG_S)
    model.may_go.set()
    closing.join(LONG_S)
    assert not closing.is_alive()
    assert prediction.exception(LONG_S) is None  # was under way
    assert queued.future.cancelled()
    assert isinstance(running.future.exception(LONG_S), Cancelled)


def test_a_closed_queue_refuses_rather_than_never_answers():
    queue = ModelQueue(expected)
    queue.close()
    with pytest.raises(Busy, match="is stopping"):
        queue.predict(windows(1))
    with pytest.raises(Busy, match="is stopping"):
        queue.submit(Level.SECONDS, lambda give_way: None)
