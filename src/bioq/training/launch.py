"""Starts the ranks of a training on this machine, and ends all of them when one fails.

Every rank is a new Python process with the environment that torchrun would give it, so it works the
same from a shell, a script and a notebook. It reads its arguments from standard input, which closes
when the process that started it ends, however that ends; it reports its end as JSON.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from bioq.errors import BioqError, ReportedElsewhere, UsageError
from bioq.files import remove_partial
from bioq.progress import say
from bioq.training.distributed import TIMEOUT, LostError, device_kind, require_fabric

# Time for the other ranks, once a rank has failed, to report their errors, and then to end.
_GRACE_S = 2.0
_POLL_S = 0.05
_PARENT_POLL_S = 1.0
# Sent from outside: no other rank can report the reason. 9 is SIGKILL, which Windows does not name.
_KILLS = (9, signal.SIGTERM)
_PROGRAM = "from bioq.training.launch import run_rank; run_rank()"
_KINDS = {
    kind.__name__: kind
    for kind in (UsageError, LostError, ReportedElsewhere, BioqError, MemoryError)
}
"""What a rank reports: the first kind that its error is an instance of."""
_DONE, _UNEXPECTED = "done", "unexpected"
"""Two further reports: the rank has finished its work; it raised any other error."""


@dataclass(frozen=True)
class _Rank:
    """A rank that this process has started."""

    number: int
    process: subprocess.Popen[bytes]
    file: IO[bytes]
    """What the rank reports."""

    @property
    def name(self) -> str:
        return f"rank {self.number} (process {self.process.pid})"

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def report(self) -> dict[str, str]:
        """Return the report of a rank that has ended; {} if it wrote none."""
        self.file.seek(0)
        try:
            report: dict[str, str] = json.loads(self.file.read())
        except ValueError:  # empty or cut: the rank was killed, or ended without an error
            return {}
        return report

    def has_failed(self) -> bool:
        """Whether a rank that has ended did so before its work was finished."""
        return self.process.returncode != 0 or self.report().get("kind") != _DONE


def start_ranks(
    function: str,
    arguments: Mapping[str, Any],
    *,
    device: str | None,
    devices: int,
    nodes: int,
    folder: Path,
) -> None:
    """Call a function, named "module:function", with JSON arguments on `devices` ranks here.

    With several `nodes` the same command starts the ranks of each machine; NODE_RANK, MASTER_ADDR
    and MASTER_PORT in the environment connect them. Returns when all ranks have finished. If a rank
    fails, ends all ranks, removes the temporary files that they left in `folder`, which they write,
    and raises the error of that rank; LostError if it was killed.
    """
    require_fabric()
    device_kind(device, devices)
    environment = _environment(devices, nodes)
    first = int(environment["GROUP_RANK"]) * devices
    job = {"function": function, "arguments": dict(arguments), "parent": os.getpid()}
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(devices)]
        ranks: list[_Rank] = []
        stack.callback(_end, ranks, folder, was_new=not folder.exists())
        for local, file in enumerate(files):
            ranks.append(_start(environment, first + local, local, file))
        for rank in ranks:
            _send(rank, json.dumps(job) + "\n")
        failed = _wait(ranks)
        if failed:
            raise _reason(failed)


def run_rank() -> None:
    """Run as a rank: read the job from standard input, do it, report how it ended, and exit."""
    # Printed text is for people and goes to stderr; only the report goes to the first stdout.
    file = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    line = sys.stdin.readline()
    if not line:  # the parent has ended
        os._exit(128 + signal.SIGTERM)
    job = json.loads(line)
    signals: list[int] = []

    def leave(number: int, _: object) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    report: dict[str, str] | None = None
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, leave)
        threading.Thread(target=_end_with_parent, args=[job["parent"]], daemon=True).start()
        module, name = job["function"].split(":")
        getattr(import_module(module), name)(**job["arguments"])
        report = {"kind": _DONE}
    except (BioqError, MemoryError) as error:
        kind = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
        report = {"kind": kind, "message": str(error)}
    except BaseException as error:  # noqa: BLE001 the end of this process; the parent gets the error
        report = {
            "kind": _UNEXPECTED,
            "message": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
        }
    if signals:  # end by the signal, so that the parent can name it
        signal.signal(signals[0], signal.SIG_DFL)
        signal.raise_signal(signals[0])
    json.dump(report, file)
    for stream in (file, sys.stdout, sys.stderr):
        stream.flush()
    # Without any clean-up, which might wait for another rank.
    os._exit(0 if report == {"kind": _DONE} else 1)


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
        # PyTorch's warnings of a lost connection; BioQ's line names the rank that ended.
        "TORCH_CPP_LOG_LEVEL": environment.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(environment: Mapping[str, str], number: int, local: int, file: IO[bytes]) -> _Rank:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=file,
        env={**environment, "RANK": str(number), "LOCAL_RANK": str(local)},
        start_new_session=True,  # Ctrl-C reaches only the parent, which then ends its ranks
    )
    return _Rank(number, process, file)


def _send(rank: _Rank, job: str) -> None:
    assert rank.process.stdin is not None
    try:
        rank.process.stdin.write(job.encode())
        rank.process.stdin.flush()
    except BrokenPipeError:
        pass  # the rank has ended already; `_wait` handles that


def _wait(ranks: Sequence[_Rank]) -> list[_Rank]:
    """Wait until all ranks have finished, or one has failed and the others had time to report.

    Returns the ranks that have failed, the first first.
    """
    running, failed = list(ranks), list[_Rank]()
    until = float("inf")
    while running and time.monotonic() < until:
        ended = [rank for rank in running if not rank.is_running]
        running = [rank for rank in running if rank not in ended]
        # A killed rank makes others fail within milliseconds.
        ended.sort(key=lambda rank: rank.process.returncode >= 0)
        failed += [rank for rank in ended if rank.has_failed()]
        if failed and until == float("inf"):
            is_killed = -failed[0].process.returncode in _KILLS
            until = time.monotonic() + (0.0 if is_killed else _GRACE_S)
        for rank in running:
            _say_if_frozen(rank)
        if running:
            time.sleep(_POLL_S)
    return failed


def _say_if_frozen(rank: _Rank) -> None:
    """Print a line, once, about a rank that SIGSTOP has frozen."""
    if not hasattr(os, "waitid"):
        return
    try:
        stopped = os.waitid(os.P_PID, rank.process.pid, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:
        return
    if stopped is not None:
        say(
            f"{rank.name} is frozen by {signal.Signals(stopped.si_status).name}; the other ranks "
            f"wait for it, at most {TIMEOUT.seconds // 60} minutes; "
            f"'kill -CONT {rank.process.pid}' lets it continue"
        )


def _end(ranks: Sequence[_Rank], folder: Path, *, was_new: bool) -> None:
    """End the ranks that still run: first by SIGTERM, so that they finish their files, then by
    SIGKILL; remove the temporary files of the ranks that could not do so."""
    try:
        for rank in ranks:
            if rank.is_running:
                rank.process.terminate()
        until = time.monotonic() + _GRACE_S
        while any(rank.is_running for rank in ranks) and time.monotonic() < until:
            time.sleep(_POLL_S)
    finally:  # also at a second Ctrl-C
        for rank in ranks:
            rank.process.kill()
        for rank in ranks:
            rank.process.wait()
            if rank.process.stdin is not None:
                with suppress(BrokenPipeError):  # the rank has not read its job
                    rank.process.stdin.close()
            remove_partial(folder, rank.process.pid, was_new=was_new)


def _reason(failed: Sequence[_Rank]) -> Exception:
    """Return the error that explains the failure best: an error that a rank raised for the user,
    else the end of the first rank that ended for another reason than its lost connection."""
    reports = [(rank, rank.report()) for rank in failed]
    lost = {LostError.__name__, ReportedElsewhere.__name__}
    for _, report in reports:
        kind = report.get("kind", "")
        if kind in _KINDS and kind not in lost:
            return _KINDS[kind](report["message"])
    for rank, report in reports:
        if report.get("kind") not in lost:
            return _end_of(rank, report)
    messages = [report["message"] for _, report in reports if report["message"]]
    return LostError(messages[0]) if messages else ReportedElsewhere()


def _end_of(rank: _Rank, report: Mapping[str, str]) -> Exception:
    """Return the error for a rank that ended by a signal, an unexpected error, or too early."""
    status = rank.process.returncode
    if status < 0:
        return LostError(
            f"{rank.name} was ended by {signal.Signals(-status).name}, so all ranks were; if "
            "nobody did that, memory may have run out"
        )
    if report.get("kind") == _UNEXPECTED:
        error = RuntimeError(f"{rank.name}: {report['message']}")
        error.add_note(report["traceback"])
        return error
    return LostError(
        f"{rank.name} ended with status {status} before the training was finished, so all ranks "
        "were ended"
    )


def _end_with_parent(parent: int) -> None:
    """End this process when its parent has ended, for any reason.

    Standard input closes then, unless a process that the parent forked has kept it open.
    """
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], _PARENT_POLL_S)
        if ready and not os.read(0, 1):
            break
    os.kill(os.getpid(), signal.SIGTERM)  # the main thread removes its temporary files
    time.sleep(_GRACE_S / 2)
    os._exit(128 + signal.SIGTERM)
