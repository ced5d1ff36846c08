"""Threads of their own change nothing for other threads, and do without each other."""

import subprocess
import sys
import threading
import time

import pytest
import torch

from bioq.fast.threads import Threads

WITHOUT_A_MAIN_THREAD = """
import threading

import torch

from bioq import predict
from bioq.models import ModelSizes, build_model

torch.set_num_threads(2)
model = build_model("danq", targets=2, sizes=ModelSizes(filters=4, lstm_units=2, dense_units=2))


def predict_later():
    threading.main_thread().join()
    print(predict(model, ["A" * 1000] * 100).shape)


threading.Thread(target=predict_later).start()
"""


def number_in_a_new_thread(_: object = None) -> tuple[int, int]:
    """Return the number of PyTorch's threads in a thread that starts now, and in this thread."""
    seen: list[int] = []
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join()
    return seen[0], torch.get_num_threads()


@pytest.mark.parametrize(("workers", "inner", "expected"), [(2, None, 2), (2, 1, 1), (1, 1, 1)])
def test_a_thread_that_starts_meanwhile_has_all_threads(
    workers: int, inner: int | None, expected: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        threads, all_started = Threads(), threading.Barrier(workers)
        threads.map(lambda _: all_started.wait(), range(workers), workers, inner=inner)
        during = threads.map(number_in_a_new_thread, range(4), workers, inner=inner)
        assert during == [(5, expected)] * 4
        assert number_in_a_new_thread() == (5, 5)
    finally:
        torch.set_num_threads(before)


def test_fewer_workers_than_before_are_fewer_threads() -> None:
    def thread_of(_: int) -> int:
        time.sleep(0.01)  # so that every thread that may takes a part
        return threading.get_ident()

    threads = Threads()
    threads.map(thread_of, range(16), 4)
    assert len(set(threads.map(thread_of, range(16), 2))) <= 2


def test_an_error_of_a_part_is_raised() -> None:
    def fail(_: int) -> int:
        raise RuntimeError("of a part")

    with pytest.raises(RuntimeError, match="of a part"):
        Threads().map(fail, range(4), 2)


def test_a_thread_predicts_after_the_main_thread_has_ended() -> None:
    """Python then refuses to start threads."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_MAIN_THREAD], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("(100, 2)\n", 0), done.stderr
