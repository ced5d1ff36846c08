"""The processes that train one model together: which of them this is, and what all must agree on.

A rank is one process with one device. Ranks meet through Lightning Fabric: gradients by DDP, over
NCCL between CUDA cards and gloo between CPUs; everything else is small and goes over gloo. A
process on its own is rank 0 of 1, and loads none of that.
"""

import atexit
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn

from bioq.errors import BioqError, UsageError
from bioq.forward import choose_device
from bioq.progress import say

# How long ranks wait for one another where no connection breaks: a machine that vanished. The first
# rank's scores and checkpoints, and a first read of the data, must fit in.
_TIMEOUT = timedelta(minutes=5)

Result = TypeVar("Result")


class LostError(BioqError):
    """The other ranks are gone; one of them knows why."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of one training, seen from one of them."""

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
        """Return a rank's part (this one's, if none is given) of `count` rows: contiguous, the
        parts of all ranks each row once. Rows travel in groups of `together`; sizes differ by one
        group at most, and may be 0."""
        rank = self.rank if rank is None else rank
        groups = -(-count // together)
        start, end = (place * groups // self.world * together for place in (rank, rank + 1))
        return slice(min(start, count), min(end, count))

    def wrap(
        self, model: nn.Module, compute: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """Return what computes as `compute` does from the weights of `model`, whose gradients are
        then the mean over all ranks."""
        if self.is_alone:
            return compute
        wrapped: Callable[[Tensor], Tensor] = self.fabric.setup_module(_Computed(model, compute))
        return wrapped

    def total(self, values: Tensor) -> list[float]:
        """Return the sums of float `(n,)` over all ranks; added in double precision."""
        if self.is_alone:
            return values.tolist()
        sums = values.double().cpu()
        distributed.all_reduce(sums)
        return sums.tolist()

    def gather(
        self, part: npt.NDArray[np.float32], count: int, *, together: int
    ) -> npt.NDArray[np.float32]:
        """Return `(count, columns)` of every rank's `share` of its rows on the first rank, `part`
        on the others."""
        if self.is_alone:
            return part
        if not self.is_first:
            if len(part):
                distributed.send(torch.from_numpy(part), 0)
            return part
        whole = np.empty((count, part.shape[1]), dtype=np.float32)
        whole[self.share(count, together=together)] = part
        for rank in range(1, self.world):
            rows = whole[self.share(count, together=together, rank=rank)]
            if len(rows):
                distributed.recv(torch.from_numpy(rows), rank)
        return whole

    def first(self, function: Callable[[], Result]) -> Result:
        """Call a function on the first rank and return its result on all; so with its BioqError."""
        if self.is_alone:
            return function()
        answer: list[Any] = [None]
        with self.agreed():
            if self.is_first:
                answer = [function()]
        distributed.broadcast_object_list(answer, 0)
        return answer[0]  # type: ignore[no-any-return]

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Go on after the block only if it raised no BioqError on any rank; all ranks enter it.

        The first rank with an error raises its own, the others an empty one of the same kind:
        people read it once.
        """
        if self.is_alone:
            yield
            return
        failure: BioqError | None = None
        try:
            yield
        except BioqError as error:
            failure = error
        failures: list[type[BioqError] | None] = [None] * self.world
        kinds = (LostError, UsageError, BioqError)  # made from one text alone
        kind = next((kind for kind in kinds if isinstance(failure, kind)), None)
        distributed.all_gather_object(failures, kind)
        loudest = next((rank for rank, kind in enumerate(failures) if kind), None)
        if loudest is None:
            return
        if loudest == self.rank and failure is not None:
            raise failure
        raise (failures[loudest] or BioqError)("")

    def error(self, line: str) -> BioqError:
        """Return the error that all ranks raise at the same place: empty but on the first."""
        return BioqError(line if self.is_first else "")


class _Computed(nn.Module):
    """A function of a model's weights as a module: DDP gets ready for gradients in its call."""

    def __init__(self, model: nn.Module, compute: Callable[[Tensor], Tensor]):
        super().__init__()
        self.model = model
        self._compute = compute

    def forward(self, codes: Tensor) -> Tensor:
        return self._compute(codes)


@dataclass(frozen=True)
class _Place:
    """What the environment says of this process."""

    rank: int
    world: int
    local: int
    manager: str
    """torchrun or SLURM, as messages name it."""


def is_rank() -> bool:
    """Return whether the environment says that this process is one of several: torchrun or srun
    has started it, or BioQ itself."""
    return _place(1) is not None


def rank_name() -> str:
    """Return what to call this process in a message: its rank and machine."""
    place = _place(1)
    return f"rank {place.rank if place else 0} on {socket.gethostname()}"


@contextmanager
def joined(device: str | None, devices: int, nodes: int) -> Iterator[Ranks]:
    """Meet the other ranks that the environment tells of; later trainings find them still there.

    `device` is a name as `choose_device` takes it; `devices` a machine and `nodes` are what the
    user asked for, 1 where the environment is to say. Raises UsageError where the two disagree,
    or this machine has fewer devices; LostError where the others do not come or go away.
    """
    place = _place(nodes)
    if place is None:
        yield Ranks(choose_device(device))
        return
    _check(place, devices, nodes)
    kind = device_kind(device, place.local)
    try:
        fabric = _launch(place, kind)
        yield Ranks(fabric.device, place.rank, place.world, place.local, fabric)
    except (RuntimeError, ConnectionError) as error:
        if not _is_of_the_network(error):
            raise
        # gloo's begin with a place in its source and may end with good wishes
        reason = str(error).split("\n")[0].split("] ", 1)[-1].split(". This is")[0]
        raise LostError(
            f"{rank_name()} lost the other ranks ({reason}); the one that stopped first says why. "
            "--resume goes on from the last checkpoint"
        ) from error


def device_kind(device: str | None, devices: int) -> str:
    """Return the kind of device, cpu or cuda, of several on this machine.

    Raises UsageError for one card's name, a kind that cannot work together, or too few cards.
    """
    kind = choose_device(device).type if device in (None, "auto") else str(device)
    if kind not in ("cpu", "cuda"):
        raise UsageError(
            f"--device {device} with several devices; expected cpu, or cuda for the first ones"
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
    try:
        import lightning_fabric  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "more than one device needs Lightning Fabric; pip install 'bioq[distributed]'"
        ) from error


def _place(nodes: int) -> _Place | None:
    environment = os.environ
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= environment.keys():
        world = int(environment["WORLD_SIZE"])
        local = int(environment.get("LOCAL_WORLD_SIZE", world // nodes))
        return _Place(int(environment["RANK"]), world, local, "torchrun") if world > 1 else None
    # srun sets these for every task; a batch script without srun is one process of its own.
    world = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if world == 1 or environment.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    if "SLURM_NTASKS_PER_NODE" not in environment:
        raise UsageError(
            f"srun started {world} tasks without --ntasks-per-node; give it, one task a device"
        )
    local = int(environment["SLURM_NTASKS_PER_NODE"])
    return _Place(int(environment["SLURM_PROCID"]), world, local, "srun")


def _check(place: _Place, devices: int, nodes: int) -> None:
    found = place.local, place.world // place.local
    if devices not in (1, found[0]) or nodes not in (1, found[1]):
        line = (
            f"--devices {devices} --nodes {nodes}, but {place.manager} started {place.world} "
            f"processes, {found[0]} on this machine; leave both options out, or make them agree"
        )
        raise UsageError(line if place.rank % place.local == 0 else "")  # once a machine


def _launch(place: _Place, kind: str) -> Any:
    fabric = _fabric(place, kind)
    if distributed.is_initialized():  # meeting twice at one address is a race
        fabric.launch()
        return fabric
    if place.rank == 0:
        environment = fabric.strategy.cluster_environment
        say(
            f"meet {place.world} ranks on {kind}, {place.local} a machine, at "
            f"{environment.main_address}:{environment.main_port}"
        )
    fabric.launch()
    # NCCL wants to be told; a thread of gloo that outlives the interpreter may abort the process.
    atexit.register(distributed.destroy_process_group)
    return fabric


def _fabric(place: _Place, kind: str) -> Any:
    require_fabric()
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    slurm = place.manager == "srun"
    environment = SLURMEnvironment(auto_requeue=False) if slurm else TorchElasticEnvironment()
    strategy = DDPStrategy(
        cluster_environment=environment,
        process_group_backend="cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo",
        timeout=_TIMEOUT,
        gradient_as_bucket_view=True,
    )
    return Fabric(
        accelerator=kind,
        devices=place.local,
        num_nodes=place.world // place.local,
        strategy=strategy,
    )


def _is_of_the_network(error: Exception) -> bool:
    """Return whether an error of PyTorch is about the other ranks: gloo's have no type of their
    own, only the name of its files in their text."""
    return isinstance(error, ConnectionError | distributed.DistError) or any(
        word in str(error) for word in ("gloo", "Connection closed", "NCCL", "Connection reset")
    )
