"""Sends shards to workers and writes the parts that they return.

Ray can restart workers and repeat calls, but a call to a worker whose machine has vanished would
wait for ever. So this module replaces a worker that dies, and sends its shards to other workers.
"""

import contextlib
import hashlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bioq.cluster.connection import Cluster, connected
from bioq.cluster.options import ClusterOptions
from bioq.cluster.parts import Part, Parts, part_name
from bioq.cluster.workers import Computed, Task, Worker, software
from bioq.errors import BioqError, UsageError
from bioq.models.source import executed_modules
from bioq.progress import Advance, progress, say

_AHEAD = 2
"""Shards sent to a worker at a time: it computes one while the other waits."""
_MOST_DEATHS = 4
"""Workers that may die while they compute the same shard, before the command stops."""
_MOST_FAILURES = 3
"""Times that a shard may fail for a reason other than bad input, such as too little memory."""
_WAIT_S, _REPORT_EVERY_S = 5.0, 60.0


@dataclass(eq=False)
class Shard:
    """Consecutive windows or alleles of the input, which become one part."""

    number: int
    units: int
    """Number of windows or alleles."""
    digest: str
    """SHA-256 of the input of the part."""
    payload: Any
    deaths: int = 0
    failures: int = 0


def digest_of(*pieces: bytes) -> str:
    """Return the SHA-256 of all pieces, each preceded by its length."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


def compute_parts(
    task: Task,
    shards: Iterator[Shard],
    parts: Parts,
    *,
    total: int,
    unit: str,
    device: str | None,
    options: ClusterOptions,
) -> list[Part]:
    """Compute the parts that are missing; return the parts of all shards, in order.

    `shards` is read only as fast as workers compute, so memory does not grow with the input.
    `total` is the number of units in all shards. Raises BioqError if a shard fails repeatedly.
    """
    count = max(-(-total // options.ray_shard), 1)
    with progress("compute", total, unit) as advance:
        needed = _needed(shards, parts, advance)
        first = next(needed, None)
        if first is not None:
            with connected(options) as cluster:
                device = _device(cluster, device)
                size = options.ray_workers or (cluster.gpus if device == "cuda" else cluster.cpus)
                pool = _Pool(cluster, task, device, max(min(size, count), 1))
                waiting = deque([first])
                for shard, computed in pool.results(waiting, needed):
                    parts.begin()
                    parts.write(_part(shard, computed), computed.content)
                    advance(shard.units)
    return parts.finish(count)


def _needed(shards: Iterator[Shard], parts: Parts, advance: Advance) -> Iterator[Shard]:
    for shard in shards:
        if parts.holds(shard.number, shard.digest):
            advance(shard.units)
        else:
            yield shard


def _part(shard: Shard, computed: Computed) -> Part:
    if hashlib.sha256(computed.content).hexdigest() != computed.sha256:
        raise BioqError(f"shard {shard.number}: its part arrived damaged; run again with --resume")
    return Part(
        part_name(shard.number), computed.rows, computed.sha256, shard.digest, computed.notes
    )


def _device(cluster: Cluster, name: str | None) -> str:
    if name not in (None, "cpu", "cuda"):
        raise UsageError(f"--device {name}: on a cluster expected cpu or cuda")
    if name == "cuda" and not cluster.gpus:
        raise UsageError("--device cuda: the cluster has no GPU; use cpu")
    return name or ("cuda" if cluster.gpus else "cpu")


@dataclass(eq=False)
class _Slot:
    """A worker and the calls that wait for its results, oldest first."""

    actor: Any
    opening: Any
    """The call that prepares the worker; None after it has returned."""
    calls: deque[tuple[Any, Shard]] = field(default_factory=deque)


class _Pool:
    def __init__(self, cluster: Cluster, task: Task, device: str, size: int):
        self._ray = cluster.ray
        self._device = device
        self._class = cluster.ray.remote(
            num_cpus=1, num_gpus=int(device == "cuda"), max_restarts=0, max_task_retries=0
        )(Worker)
        for module in executed_modules():  # of a user's network: workers do not have its file
            cluster.ray.cloudpickle.register_pickle_by_value(module)
        self._task = cluster.ray.put(task)
        self._slots = [self._start() for _ in range(size)]
        self._deaths_unopened = 0
        self._reported_at = time.monotonic()

    def results(
        self, waiting: deque[Shard], more: Iterator[Shard]
    ) -> Iterator[tuple[Shard, Computed]]:
        """Yield the shards with their parts, in the order of completion.

        Shards in `waiting` are sent first; the shards of a worker that dies are added to it.
        """
        while True:
            self._feed(waiting, more)
            if not waiting and not any(slot.calls for slot in self._slots):
                return  # some workers may not have started yet
            for slot, call in self._completed():
                try:
                    value = self._ray.get(call)
                except self._ray.exceptions.RayTaskError as error:
                    self._failed(slot, error, waiting)
                except self._ray.exceptions.RayError as error:
                    self._died(slot, error, waiting)
                else:
                    if slot.opening is not None:
                        slot.opening, self._deaths_unopened = None, 0
                    else:
                        yield slot.calls.popleft()[1], value

    def _start(self) -> _Slot:
        actor = self._class.remote()
        return _Slot(actor, actor.open.remote(self._task, self._device, software()))

    def _feed(self, waiting: deque[Shard], more: Iterator[Shard]) -> None:
        """Send one shard to every worker that is ready, then a second shard to every worker.

        A shard that a worker died with is sent alone: its next death is its own.
        """
        for sent in range(_AHEAD):
            for slot in self._slots:
                if slot.opening is None and len(slot.calls) == sent:
                    if sent and (slot.calls[0][1].deaths or (waiting and waiting[0].deaths)):
                        continue
                    shard = waiting.popleft() if waiting else next(more, None)
                    if shard is None:
                        return
                    slot.calls.append((slot.actor.compute.remote(shard.payload), shard))

    def _completed(self) -> list[tuple[_Slot, Any]]:
        """Wait; return the workers whose oldest call has returned, and that call."""
        oldest = {
            slot.calls[0][0] if slot.opening is None else slot.opening: slot
            for slot in self._slots
            if slot.calls or slot.opening is not None
        }
        ready, _ = self._ray.wait(list(oldest), timeout=_WAIT_S)
        now = time.monotonic()
        if any(slot.opening is None for slot in self._slots) or ready:
            self._reported_at = now
        elif now - self._reported_at > _REPORT_EVERY_S:
            self._reported_at = now
            say("no worker has started yet: is the cluster busy?")
        return [(oldest[call], call) for call in ready]

    def _failed(self, slot: _Slot, error: Any, waiting: deque[Shard]) -> None:
        """Raise what the user must correct; retry the shard after any other error."""
        cause = error.cause
        if isinstance(cause, BioqError):
            raise cause
        reason = f"{type(cause).__name__}: {cause}".split("\n")[0]
        if slot.opening is not None:
            raise BioqError(f"a worker could not start: {reason}") from error
        _, shard = slot.calls.popleft()
        shard.failures += 1
        if shard.failures == _MOST_FAILURES:
            raise BioqError(
                f"shard {shard.number} failed {_MOST_FAILURES} times, the last time with {reason}; "
                "--resume continues after the finished parts"
            ) from error
        waiting.append(shard)

    def _died(self, slot: _Slot, error: Any, waiting: deque[Shard]) -> None:
        """Replace a worker; its shards are sent next.

        Each of them may be the cause: the result of the oldest can be lost on its way when the
        next one kills the worker.
        """
        with contextlib.suppress(Exception):
            self._ray.kill(slot.actor)
        if slot.opening is not None:
            self._deaths_unopened += 1
            if self._deaths_unopened > _MOST_DEATHS * len(self._slots):
                reason = str(error).strip().splitlines()[-1][:200]
                raise BioqError(f"workers die while they start: {reason}") from error
        else:
            for _, shard in slot.calls:
                shard.deaths += 1
                if shard.deaths == _MOST_DEATHS:
                    raise BioqError(
                        f"shard {shard.number}: {_MOST_DEATHS} workers died while they computed "
                        "it; is their memory too small? try a smaller --batch-size. --resume "
                        "continues after the finished parts"
                    ) from error
            shards = " and ".join(f"shard {shard.number}" for _, shard in slot.calls)
            say(f"a worker died; {shards} {'is' if len(slot.calls) == 1 else 'are'} computed again")
        waiting.extendleft(shard for _, shard in reversed(slot.calls))
        self._slots[self._slots.index(slot)] = self._start()
