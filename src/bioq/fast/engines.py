"""Which fast path a model has, prepared once and used until its weights change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bioq.fast.cuda import CudaDanQ, can_run_on
from bioq.fast.layers import FastDanQ, FastDeepSEA, FastMarq
from bioq.fast.switch import may_stand_in
from bioq.fast.threads import Threads
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq

Engine = Callable[[Tensor], Tensor]
"""Codes uint8 `(n, window_bp)` (see `dna`) -> logits float32 `(n, targets)`, where the model is."""
Arranged = TypeVar("Arranged")

_FAMILIES: dict[type[nn.Module], Callable[..., Engine]] = {
    DanQ: FastDanQ,
    DeepSEA: FastDeepSEA,
    Marq: FastMarq,
}
_LEAST_ROWS = 16
"""Windows that are worth a thread of their own."""
_MOST_ROWS = 64
"""Windows that a thread computes at a time: more only take more memory."""
_SAMPLED = 1024


def prepare(model: nn.Module, precision: Literal["32", "tf32", "bf16"]) -> Engine | None:
    """Return what computes a model's logits from codes, faster; None where the model must itself.

    That is: another class than BioQ's own, hooks on a layer, weights that are not float32, bf16
    that the processor does not have, BIOQ_PLAIN, and on a card all but a DanQ in bf16. In float32
    the logits differ as float32 sums in another order do (tests: 1e-5); bf16 rounds as autocast
    does, and the first layer's products too. Weights that change are noticed by their version
    counters and by samples of their values.
    """
    make = _maker(model, precision)
    return None if make is None else keep(model, precision, make)


def keep(model: nn.Module, name: str, make: Callable[[], Arranged]) -> Arranged:
    """Return what `make` makes of a model's weights; the same again until they change."""
    state = _state(model)
    known = _kept.setdefault(model, {})
    if name not in known or known[name].state != state:
        with torch.no_grad():
            known[name] = _Kept(make(), state)
    found: Arranged = known[name].arranged
    return found


def _maker(model: nn.Module, precision: str) -> Callable[[], Engine] | None:
    """Return what makes a model's engine; None where it has none."""
    if not may_stand_in(model, tuple(_FAMILIES)):
        return None
    device = next(model.parameters()).device
    if device.type == "cuda":
        if isinstance(model, DanQ) and precision == "bf16" and can_run_on(device):
            return lambda: CudaDanQ(model)
        return None
    dtype = cpu_dtype(model, precision, tuple(_FAMILIES))
    if dtype is None:
        return None
    family = _FAMILIES[type(model)]
    return lambda: _Threaded(family(model, dtype))


def cpu_dtype(
    model: nn.Module, precision: str, families: tuple[type[nn.Module], ...] = (DanQ, DeepSEA)
) -> torch.dtype | None:
    """Return what the fast path of these classes computes in on this CPU; None where there is
    none."""
    if not may_stand_in(model, families) or next(model.parameters()).device.type != "cpu":
        return None
    if precision == "bf16":
        return torch.bfloat16 if _has_bf16() else None
    return torch.float32 if precision == "32" else None


@dataclass(frozen=True)
class _Kept:
    arranged: Any
    state: tuple[object, ...]


_kept: WeakKeyDictionary[nn.Module, dict[str, _Kept]] = WeakKeyDictionary()


class _Threaded:
    """An engine that gives every thread windows of its own."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._threads = Threads()

    def __call__(self, codes: Tensor) -> Tensor:
        workers = min(torch.get_num_threads(), len(codes) // _LEAST_ROWS)
        if workers < 2:
            parts = torch.split(codes, _MOST_ROWS)
        else:
            parts = codes.tensor_split(workers * -(-len(codes) // (workers * _MOST_ROWS)))
        return torch.cat(self._threads.map(self._engine, parts, workers))


def _has_bf16() -> bool:
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def _state(model: nn.Module) -> tuple[object, ...]:
    """Return what changes when a weight does: place, version, and the sum of some values."""
    state: list[object] = []
    sums = []
    for weight in (*model.parameters(), *model.buffers()):
        flat = weight.detach().flatten()
        sums.append(flat[:: max(1, len(flat) // _SAMPLED)].sum(dtype=torch.float64))
        state += [weight.data_ptr(), weight._version]
    return (*state, *torch.stack(sums).tolist())  # all in one transfer from a card
