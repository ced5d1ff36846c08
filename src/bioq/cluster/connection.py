"""The connection to a Ray cluster, or a new cluster on this machine, without Ray's messages."""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bioq.cluster.options import LOCAL, ClusterOptions
from bioq.errors import BioqError, UsageError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about CUDA_VISIBLE_DEVICES
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
_OBJECT_STORE_BYTES = 512 << 20
"""Memory of a local cluster's object store: enough for the weights and a few shards;
Ray writes the excess to disk."""
_CONNECT_S = 10.0
_SHORT_PATH = 30
"""Ray makes sockets in its folder, and the path of a socket has at most 107 characters."""


@dataclass(frozen=True)
class Cluster:
    """A connected cluster."""

    ray: Any
    """The module `ray`."""
    cpus: int
    gpus: int


def import_ray(options: ClusterOptions) -> Any:
    """Return the module `ray`. Raises UsageError if it is not installed."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if options.ray == LOCAL:
        # It listens on every network of the machine, and a client can run programs.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise UsageError("--ray needs the package ray; pip install 'bioq[ray]'") from error
    return ray


@contextlib.contextmanager
def connected(options: ClusterOptions) -> Iterator[Cluster]:
    """Connect to the cluster at an address, or start one; disconnect when the block ends.

    Raises BioqError if no cluster answers at the address.
    """
    ray = import_ray(options)
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "include_dashboard": None,
    }
    with contextlib.ExitStack() as stack:
        if options.ray == LOCAL:
            folder = _temporary_folder()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            settings |= {
                "address": LOCAL,
                "include_dashboard": False,
                "num_cpus": options.ray_workers,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "_temp_dir": folder,
                "_node_ip_address": "127.0.0.1",
            }
        else:
            _require_listener(str(options.ray))
            settings["address"] = options.ray
        # Ray prints to stdout, which is for results, when a worker dies; `shards` reports it.
        discard = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(discard))
        stack.callback(_disconnect, ray)
        try:
            with _sigterm_kept():
                ray.init(**settings)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise _no_cluster(options.ray, reason) from error
        resources = ray.cluster_resources()
        yield Cluster(ray, cpus=int(resources.get("CPU", 0)), gpus=int(resources.get("GPU", 0)))


def _require_listener(address: str) -> None:
    """Raise BioqError if no program listens at the address: Ray would try for many minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise UsageError(f"--ray {address}: expected HOST:PORT, auto or {LOCAL}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str | None, reason: str) -> BioqError:
    return BioqError(
        f"--ray {address}: could not be connected to ({reason}); give the address of a running "
        f"cluster, HOST:PORT, or {LOCAL}"
    )


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces when it connects or disconnects."""
    before = signal.getsignal(signal.SIGTERM)
    is_ours = before is not None and threading.current_thread() is threading.main_thread()
    try:
        yield
    except SystemExit:  # raised by Ray's handler of the signal
        if is_ours:
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, before)


def _disconnect(ray: Any) -> None:
    with _sigterm_kept():
        try:
            ray.shutdown()
        except SystemExit:
            ray.shutdown()
            raise


def _temporary_folder() -> str:
    usual = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="bioq-ray-", dir=usual if len(usual) < _SHORT_PATH else "/tmp")
