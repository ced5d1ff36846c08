"""Makes outputs of `predict` in processes that are killed: run by test_prediction_faults.py.

    killed_predictions.py RUN BED GENOME KILLS OUT ...

Every OUT is made twice: by one process as FOLDER/whole.ENDING, and as OUT by processes that are
killed KILLS times. Prints how many were killed at work, and after how many parts. With KILLS 0 the
first process may write files of a few kB only, and must fail; a second one goes on.
"""

import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from bioq.cli import main, predict
from bioq.prediction import spool
from bioq.tables import hdf5, parquet, text

LOADED = (predict, hdf5, parquet, text)
"""Imported before the processes are made, not in each of them."""
LIMIT_BYTES = 2500


def start(arguments: list[str], *, limit: bool = False) -> int:
    """Predict in a process of its own; return its number."""
    process = os.fork()
    if process == 0:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
        os._exit(main(["predict", *arguments]))
    return process


def wait(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_at_work(arguments: list[str], out: Path, kills: int, seconds: float) -> list[int]:
    """Kill processes: the first once some parts are there, the others within `seconds` of their
    start. Return how many parts there were."""
    moments = random.Random(out.name)
    parts: list[int] = []
    for number in range(kills):
        process = start(arguments)
        if number:
            time.sleep(moments.uniform(0, 0.6 * seconds))
        else:
            first, deadline = moments.randint(1, 10), time.monotonic() + 60
            while parts_of(out) < first and time.monotonic() < deadline:
                time.sleep(0.001)
        os.kill(process, signal.SIGKILL)
        if wait(process) == 0:
            break
        parts.append(parts_of(out))
    return parts


def parts_of(out: Path) -> int:
    return len(list(out.with_name(out.name + ".partial").glob("*.arrow")))


def run_all(run: str, bed: str, genome: str, kills: int, outs: list[Path]) -> None:
    spool._PART_BYTES = 100
    for out in outs:
        common = [run, bed, "--genome", genome, "--batch-size", "1", "--resume", "--out"]
        started = time.monotonic()
        whole = wait(start([*common, str(out.with_name("whole" + "".join(out.suffixes)))]))
        seconds = time.monotonic() - started
        if kills:
            parts = kill_at_work([*common, str(out)], out, kills, seconds)
            print(out.name, whole, *parts, flush=True)
        else:
            print(out.name, whole, wait(start([*common, str(out)], limit=True)), flush=True)
        if kills == 0 or not out.exists() or spool.is_interrupted(out):
            wait(start([*common, str(out)]))


if __name__ == "__main__":
    run_all(*sys.argv[1:4], int(sys.argv[4]), [Path(name) for name in sys.argv[5:]])
