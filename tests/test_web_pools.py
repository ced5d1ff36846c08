"""Pools: no more work at once and no more that waits than was said, and pages that do not wait."""

import asyncio
import threading

import pytest

from bioq.web.pools import Pool
from bioq.web.queue import Busy


def test_a_pool_runs_and_keeps_no_more_than_was_said_and_recovers():
    pool, go_on = Pool("things", threads=2, waiting=3), threading.Event()
    running, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go_on.wait(30)
        with lock:
            running -= 1
        return number

    async def ask() -> list[int | BaseException]:
        asked = [asyncio.ensure_future(pool.run(work, number)) for number in range(9)]
        await asyncio.sleep(0.1)
        go_on.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert await pool.run(work, 9) == 9
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)
        assert await pool.run(work, 10) == 10
        return answers

    answers = asyncio.run(ask())
    assert answers[:5] == list(range(5))
    assert all(isinstance(answer, Busy) for answer in answers[5:])
    assert "3 things wait already; try again in some seconds" in str(answers[5])
    assert most == 2
