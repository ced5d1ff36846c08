"""Run the application until it is interrupted."""

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from bioq.errors import UsageError
from bioq.forward import BATCH_SIZE
from bioq.web.app import LOCAL, create_app
from bioq.web.connections import new_server
from bioq.web.limits import Limits
from bioq.web.service import open_service
from bioq.web.temporary import temporary_folder

_SWITCH_SECONDS = 0.001


def serve(
    run: Path,
    genome: Path | None = None,
    *,
    background: Path | None = None,
    motifs: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 frozen
    batch_size: int = BATCH_SIZE,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve a run's model until SIGINT or SIGTERM; `ready` is called with the address.

    Port 0 chooses a free port. All temporary files are in one folder, which is removed at the end.
    Raises UsageError for an address that is not available.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_terminated())
        listening = stack.enter_context(_listen(host, port))
        folder = stack.enter_context(temporary_folder())
        stack.enter_context(_threads_in_turns())
        _leave_a_core()
        service = stack.enter_context(
            open_service(
                run,
                genome,
                background=background,
                motifs=motifs,
                device=device,
                limits=limits,
                batch_size=batch_size,
            )
        )
        names = LOCAL if _shown(host) in LOCAL else ("*",)
        service.motif_names.prepare()
        ready(f"http://{_shown(host)}:{listening.getsockname()[1]}")
        app = create_app(service, hosts=names, prepare=folder.renew)
        stack.enter_context(_start_kept_from_collections())
        new_server(app, limits, stop=service.queue.stop).run(sockets=[listening])


@contextlib.contextmanager
def _threads_in_turns() -> Iterator[None]:
    """Let Python change between threads every ms instead of every 5 ms.

    A page needs several changes. While uploads were checked, pages took at most 123 ms instead of
    332 on a busy machine, and the checks a third of the time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextlib.contextmanager
def _start_kept_from_collections() -> Iterator[None]:
    """Keep what the start has made (300,000 objects) out of the garbage collections.

    Each full collection looks at all objects, and no page is answered meanwhile: 160 to 230 ms.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _leave_a_core() -> None:
    """Make PyTorch use one thread fewer than there are cores, unless OMP_NUM_THREADS is set.

    PyTorch's threads wait for one another: if they use every core, each check of a connection stops
    them all, and one visitor of a small model waits 59 ms instead of 9
    (docs/log/performance.md, Serving).
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(torch.get_num_threads() - 1, 1))


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Raise SystemExit(0) on SIGTERM, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol given, asyncio turns Nagle's algorithm off; else responses take 40 ms more.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()  # only after this call is a second server on the port refused
        except (OSError, OverflowError, TypeError, ValueError) as error:  # of the address, too
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"{host}:{port} cannot be served ({reason}); give another --port, or 0 for any"
            ) from error
        yield listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
