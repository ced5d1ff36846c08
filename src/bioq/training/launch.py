"""Starts the ranks of a training on this machine, and ends all of them when one fails.

Every rank is a new Python process with the environment that torchrun would give it, so it works the
same from a shell, a script and a notebook. It reads its arguments from standard input, which closes
when the process that started it ends, however that ends; it reports an error as JSON.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import IO, Any

from bioq.errors import BioqError, ReportedElsewhere, UsageError
from bioq.training.distributed import LostError, device_kind, require_fabric

# Time for the other ranks, once a rank has failed, to report their errors, and then to end.
_GRACE_S = 2.0
_POLL_S = 0.1
_PROGRAM = "from bioq.training.launch import run_rank; run_rank()"
_KINDS = {kind.__name__: kind for kind in (UsageError, LostError, BioqError, MemoryError)}
"""What a rank reports: the first kind that its error is an instance of."""


def start_ranks(
    function: str, arguments: Mapping[str, Any], *, device: str | None, devices: int, nodes: int
) -> None:
    """Call a function, named "module:function", with JSON arguments on `devices` ranks here.

    With several `nodes` the same command starts the ranks of each machine; NODE_RANK, MASTER_ADDR
    and MASTER_PORT in the environment connect them. Returns when all ranks have finished; if a rank
    fails, ends all ranks and raises its error.
    """
    require_fabric()
    device_kind(device, devices)
    environment = _environment(devices, nodes)
    job = json.dumps({"function": function, "arguments": dict(arguments)}) + "\n"
    with ExitStack() as stack:
        reports = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(devices)]
        ranks: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, ranks)
        for local, file in enumerate(reports):
            ranks.append(_start(environment, local, file))
        for rank in ranks:
            _send(rank, job)
        _wait(ranks)
        if any(rank.returncode != 0 for rank in ranks):
            raise _reason(ranks, reports, int(environment["GROUP_RANK"]) * devices)


def run_rank() -> None:
    """Run as a rank: read the job from standard input, do it, report an error, and exit."""
    # Printed text is for people and goes to stderr; only the report goes to the first stdout.
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    status = 1
    try:
        module, name = job["function"].split(":")
        getattr(import_module(module), name)(**job["arguments"])
        status = 0
    except KeyboardInterrupt:
        status = 130
    except ReportedElsewhere:
        pass
    except (BioqError, MemoryError) as error:
        kind = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
        json.dump({"kind": kind, "message": str(error)}, report)
    except Exception as error:  # noqa: BLE001 the end of this process; the parent gets the error
        traceback.print_exc()
        json.dump({"kind": "", "message": f"{type(error).__name__}: {error}"}, report)
    for stream in (report, sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)  # without any clean-up, which might wait for another rank


def _environment(devices: int, nodes: int) -> dict[str, str]:
    environment = dict(os.environ)
    if nodes > 1:
        names = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
        missing = [name for name in names if name not in environment]
        if missing:
            raise UsageError(
                f"--nodes {nodes} without {', '.join(missing)} in the environment; start the same "
                "command on every machine with NODE_RANK (from 0) and the MASTER_ADDR "
                "and MASTER_PORT of the first machine, or use torchrun or srun"
            )
        node = int(environment["NODE_RANK"])
        if not 0 <= node < nodes:
            raise UsageError(f"NODE_RANK {node} with --nodes {nodes}; expected 0 to {nodes - 1}")
    else:
        node = 0
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    return environment | {
        "GROUP_RANK": str(node),
        "WORLD_SIZE": str(devices * nodes),
        "LOCAL_WORLD_SIZE": str(devices),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(
    environment: Mapping[str, str], local: int, report: IO[bytes]
) -> subprocess.Popen[bytes]:
    rank = int(environment["GROUP_RANK"]) * int(environment["LOCAL_WORLD_SIZE"]) + local
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=report,
        env={**environment, "RANK": str(rank), "LOCAL_RANK": str(local)},
        start_new_session=True,  # Ctrl-C reaches only the parent, which then ends its ranks
    )


def _send(rank: subprocess.Popen[bytes], job: str) -> None:
    assert rank.stdin is not None
    try:
        rank.stdin.write(job.encode())
        rank.stdin.flush()
    except BrokenPipeError:
        pass  # the rank has ended already; `_wait` handles that


def _wait(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until all ranks have finished, or one has failed and the others had time to report."""
    while any(rank.poll() is None for rank in ranks) and not any(rank.returncode for rank in ranks):
        time.sleep(_POLL_S)
    _wait_at_most(ranks, _GRACE_S)


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the ranks that still run: first by SIGINT, so that they finish their files, then by
    SIGKILL."""
    for rank in ranks:
        if rank.poll() is None:
            rank.send_signal(signal.SIGINT)
    _wait_at_most(ranks, _GRACE_S)
    for rank in ranks:
        if rank.poll() is None:
            rank.kill()
        rank.wait()
        if rank.stdin is not None:
            rank.stdin.close()


def _wait_at_most(ranks: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < until:
        time.sleep(_POLL_S)


def _reason(
    ranks: Sequence[subprocess.Popen[bytes]], files: Sequence[IO[bytes]], first: int
) -> Exception:
    """Return the error that explains the failure best: an error that a rank raised, else the signal
    that ended a rank, else the lost connection. `first` is the number of the first of these ranks.
    """
    reports = [report for report in map(_read_report, files) if report]
    for report in reports:
        if report["kind"] != LostError.__name__:
            return _KINDS.get(report["kind"], RuntimeError)(report["message"])
    for number, rank in enumerate(ranks, first):
        if rank.returncode is not None and rank.returncode < 0:
            return BioqError(
                f"rank {number} (process {rank.pid}) was ended by "
                f"{signal.Signals(-rank.returncode).name}, so all ranks were; if nobody did that, "
                "memory may have run out. --resume continues from the last checkpoint"
            )
    return LostError(reports[0]["message"]) if reports else BioqError("a rank ended; see above")


def _read_report(file: IO[bytes]) -> dict[str, str]:
    file.seek(0)
    try:
        report: dict[str, str] = json.loads(file.read())
    except ValueError:  # empty: another rank reports the error; cut: the rank was killed
        return {}
    return report


def _end_with_parent() -> None:
    """End this process when its parent has ended, for any reason."""
    sys.stdin.read()
    os._exit(143)
