"""Ranks: the processes that train one model together, and how they exchange data and errors.

A rank is one process with one device. Ranks connect through Lightning Fabric: DDP averages the
gradients, over NCCL between CUDA cards and over gloo between CPUs; all other exchanges are small
and go over gloo. A training in a single process is rank 0 of 1 and does not load Fabric.
"""

import atexit
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn

from bioq.errors import BioqError, ReportedElsewhere, UsageError
from bioq.models.device import choose_device
from bioq.progress import say

# How long ranks wait for each other if no connection breaks, for example after a machine lost its
# power. It must be longer than the first rank's scoring, a checkpoint or a first read of the data.
TIMEOUT = timedelta(minutes=5)

Result = TypeVar("Result")


class LostError(BioqError):
    """The connection to the other ranks is lost; the rank that stopped first reports why."""


@dataclass(frozen=True)
class Ranks:
    """This process as a rank of a training."""

    device: torch.device
    rank: int = 0
    world: int = 1
    """Ranks in all."""
    local: int = 1
    """Ranks on this machine."""
    fabric: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this rank writes, prints and decides."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether no other rank takes part."""
        return self.world == 1

    def share(self, count: int, *, together: int = 1, rank: int | None = None) -> slice:
        """Return the contiguous slice of `count` rows that belongs to `rank` (default: this rank).

        The slices of all ranks cover every row exactly once, in whole groups of `together` rows;
        they differ by at most one group and may be empty."""
        rank = self.rank if rank is None else rank
        groups = -(-count // together)
        start, end = (number * groups // self.world * together for number in (rank, rank + 1))
        return slice(min(start, count), min(end, count))

    def wrap(
        self, model: nn.Module, compute: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """Return a function like `compute`, which computes from the weights of `model`, with
        gradients that are averaged over all ranks."""
        if self.is_alone:
            return compute
        wrapped: Callable[[Tensor], Tensor] = self.fabric.setup_module(_Computed(model, compute))
        return wrapped

    def total(self, values: Tensor) -> list[float]:
        """Return the sums over all ranks of float `(n,)`; added in double precision."""
        if self.is_alone:
            return values.tolist()
        sums = values.double().cpu()
        distributed.all_reduce(sums)
        return sums.tolist()

    def gather(
        self, part: npt.NDArray[np.float32], count: int, *, together: int
    ) -> npt.NDArray[np.float32]:
        """Return `(count, columns)` on the first rank, assembled from the `share` of every rank;
        on the other ranks `part`."""
        if self.is_alone:
            return part
        if not self.is_first:
            if len(part):
                distributed.send(torch.from_numpy(part), 0)
            return part
        gathered = np.empty((count, part.shape[1]), dtype=np.float32)
        gathered[self.share(count, together=together)] = part
        for rank in range(1, self.world):
            rows = gathered[self.share(count, together=together, rank=rank)]
            if len(rows):
                distributed.recv(torch.from_numpy(rows), rank)
        return gathered

    def share_buffers(self, network: nn.Module) -> None:
        """Copy the buffers of the first rank's network, such as the means of BatchNorm over its
        windows, into the network of every rank."""
        if self.is_alone:
            return
        for buffer in network.buffers():
            of_first = buffer.cpu()
            distributed.broadcast(of_first, 0)
            buffer.copy_(of_first)

    def first(self, function: Callable[[], Result]) -> Result:
        """Run a function on rank 0 and return its result on every rank. A BioqError that it raises
        is raised on every rank, see `agreed`."""
        if self.is_alone:
            return function()
        result: list[Any] = [None]
        with self.agreed():
            if self.is_first:
                result = [function()]
        distributed.broadcast_object_list(result, 0)
        return result[0]  # type: ignore[no-any-return]

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Continue after the block only if it raised no BioqError on any rank; all ranks enter it.

        The first rank with an error raises it, every other rank ReportedElsewhere: the user reads
        one message.
        """
        if self.is_alone:
            yield
            return
        failure: BioqError | None = None
        try:
            yield
        except BioqError as error:
            failure = error
        has_failed = [False] * self.world
        distributed.all_gather_object(has_failed, failure is not None)
        if not any(has_failed):
            return
        if failure is not None and has_failed.index(True) == self.rank:
            raise failure
        raise ReportedElsewhere

    def error(self, line: str) -> BioqError:
        """Return the error for a failure that all ranks detect at the same step: the message on the
        first rank, ReportedElsewhere on the others."""
        return BioqError(line) if self.is_first else ReportedElsewhere()


class _Computed(nn.Module):
    """A function of a model's weights as a module: DDP prepares the gradients in its call."""

    def __init__(self, model: nn.Module, compute: Callable[[Tensor], Tensor]):
        super().__init__()
        self.model = model
        self._compute = compute

    def forward(self, codes: Tensor) -> Tensor:
        return self._compute(codes)


@dataclass(frozen=True)
class _RankInfo:
    """The environment variables that describe this process as a rank."""

    rank: int
    world: int
    local: int
    manager: str
    """torchrun or srun: the program that started the ranks."""


def is_rank() -> bool:
    """Return whether torchrun, srun or BioQ has started this process as one of several ranks,
    by the environment variables."""
    return _rank_info(1) is not None


def rank_name() -> str:
    """Return the name of this process in messages: its rank and machine."""
    info = _rank_info(1)
    return f"rank {info.rank if info else 0} on {socket.gethostname()}"


@contextmanager
def joined(device: str | None, devices: int, nodes: int) -> Iterator[Ranks]:
    """Connect to the other ranks in the environment; later trainings use the same connection.

    `device` is a name for `choose_device`; `devices` (per machine) and `nodes` are the user's
    options, where 1 leaves the number to the environment. Raises UsageError if options and
    environment disagree, or this machine has fewer devices; LostError if the connection to the
    other ranks fails.
    """
    info = _rank_info(nodes)
    if info is None:
        yield Ranks(choose_device(device))
        return
    _check_counts(info, devices, nodes)
    kind = device_kind(device, info.local)
    try:
        fabric = _connect(info, kind)
        yield Ranks(fabric.device, info.rank, info.world, info.local, fabric)
    except (RuntimeError, ConnectionError) as error:
        if not _is_of_the_network(error):
            raise
        # A message of gloo begins with a position in its source and may end with advice.
        reason = str(error).split("\n")[0].split("] ", 1)[-1].split(". This is")[0]
        raise LostError(
            f"{rank_name()} lost the other ranks ({reason}); the rank that stopped first reports "
            "why"
        ) from error


def device_kind(device: str | None, devices: int) -> str:
    """Return the kind of the `devices` on this machine: cpu or cuda.

    Raises UsageError for the name of a single card, for mps, or if there are too few cards.
    """
    kind = choose_device(device).type if device in (None, "auto") else str(device)
    if kind not in ("cpu", "cuda"):
        raise UsageError(
            f"--device {device} with several devices; expected cpu, or cuda for the first cards"
        )
    if kind == "cuda" and torch.cuda.device_count() < devices:
        raise UsageError(
            f"--devices {devices}, but PyTorch sees {torch.cuda.device_count()} CUDA devices on "
            f"{socket.gethostname()}; ask for fewer, make more visible (CUDA_VISIBLE_DEVICES; with "
            "srun --gpus-per-node, not --gpus-per-task), or pass --device cpu"
        )
    return kind


def require_fabric() -> None:
    """Raise UsageError if Lightning Fabric is not installed."""
    if find_spec("lightning_fabric") is None:  # its import alone takes a second
        raise UsageError(
            "more than one device needs Lightning Fabric; pip install 'bioq[distributed]'"
        )


def _rank_info(nodes: int) -> _RankInfo | None:
    environment = os.environ
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= environment.keys():
        world = int(environment["WORLD_SIZE"])
        local = int(environment.get("LOCAL_WORLD_SIZE", world // nodes))
        return _RankInfo(int(environment["RANK"]), world, local, "torchrun") if world > 1 else None
    # srun sets these variables for every task; a batch script without srun is a single process.
    world = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if world == 1 or environment.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    if "SLURM_NTASKS_PER_NODE" not in environment:
        raise UsageError(
            f"srun started {world} tasks without --ntasks-per-node; add it, with one task per "
            "device"
        )
    local = int(environment["SLURM_NTASKS_PER_NODE"])
    return _RankInfo(int(environment["SLURM_PROCID"]), world, local, "srun")


def _check_counts(info: _RankInfo, devices: int, nodes: int) -> None:
    """Raise UsageError, on one rank per machine, if the options differ from the environment."""
    if devices in (1, info.local) and nodes in (1, info.world // info.local):
        return
    if info.rank % info.local:
        raise ReportedElsewhere
    raise UsageError(
        f"--devices {devices} --nodes {nodes}, but {info.manager} started {info.world} "
        f"processes, {info.local} on this machine; omit both options, or make them agree"
    )


def _connect(info: _RankInfo, kind: str) -> Any:
    """Return a Fabric that is connected to the other ranks."""
    fabric = _make_fabric(info, kind)
    if distributed.is_initialized():  # a second connection at the same address would be a race
        fabric.launch()
        return fabric
    if info.rank == 0:
        environment = fabric.strategy.cluster_environment
        say(
            f"connect {info.world} ranks on {kind}, {info.local} per machine, at "
            f"{environment.main_address}:{environment.main_port}"
        )
    with _signals_end_at_once():
        fabric.launch()
    # NCCL requires it; a thread of gloo that outlives the interpreter may abort the process.
    atexit.register(distributed.destroy_process_group)
    return fabric


@contextmanager
def _signals_end_at_once() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the process at once, for a block in which no file is written.

    While PyTorch waits for the other ranks, no handler written in Python would run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
    }
    try:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_fabric(info: _RankInfo, kind: str) -> Any:
    require_fabric()
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    is_slurm = info.manager == "srun"
    environment = SLURMEnvironment(auto_requeue=False) if is_slurm else TorchElasticEnvironment()
    strategy = DDPStrategy(
        cluster_environment=environment,
        process_group_backend="cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo",
        timeout=TIMEOUT,
        gradient_as_bucket_view=True,
    )
    return Fabric(
        accelerator=kind,
        devices=info.local,
        num_nodes=info.world // info.local,
        strategy=strategy,
    )


def _is_of_the_network(error: Exception) -> bool:
    """Return whether an error of PyTorch is about the connection to the other ranks. gloo raises
    RuntimeError, which only the names of its files in the text tell from other errors."""
    return isinstance(error, ConnectionError | distributed.DistError) or any(
        word in str(error) for word in ("gloo", "Connection closed", "NCCL", "Connection reset")
    )
