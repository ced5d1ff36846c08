"""Which network has which fast paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bioq.fast.cuda import CudaDanQ
from bioq.fast.edits_convolutions import EditedConvolutions
from bioq.fast.edits_danq import EditedDanQ
from bioq.fast.edits_marq import EditedMarq
from bioq.fast.mutants_convolutions import SharedConvolutions
from bioq.fast.mutants_danq import SharedDanQ
from bioq.fast.mutants_marq import SharedMarq
from bioq.fast.networks import FastConvolutions, FastDanQ, FastDeepATT, FastMarq
from bioq.fast.onednn import has_bf16
from bioq.fast.reach import Codes, Cost, Numbers, Reach
from bioq.fast.switch import is_replaceable
from bioq.models.beluga import Beluga
from bioq.models.danq import DanQ
from bioq.models.deepatt import DeepATT
from bioq.models.deepsea import DeepSEA
from bioq.models.hard_lstm import HardLSTM
from bioq.models.marq import Marq

Engine = Callable[[Tensor], Tensor]
"""Codes uint8 `(n, window_bp)` (see `dna`) -> logits float32 `(n, targets)`, on the model's
device."""


class EditedNetwork(Protocol):
    """A network that computes windows and edits of them together; see `edits`."""

    reach: Reach

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        """Return logits `(n + m, targets)` of windows `(n, window_bp)`, then of their edits
        `(m, window_bp)`. Edit i is of window `of[i]`; the pooled positions [low, high) differ."""
        ...


class Reference(Protocol):
    """A window whose single substitutions are computed by their difference from it."""

    logits: Tensor
    """Logits of the window `(1, targets)`."""

    def mutate(self, position: Numbers, base: Numbers) -> Tensor:
        """Return logits `(n, targets)` of the substitutions by `base` (a code below 4) at
        `position`, which ascends."""
        ...


class SharedNetwork(Protocol):
    """A network that computes single substitutions of a window; see `mutants`."""

    used: int
    """Bases at the start of a window that the network reads."""
    cost: Cost

    def reference(self, codes: Codes) -> Reference:
        """Compute a window of codes `(length,)`."""
        ...


@dataclass(frozen=True)
class FastPaths:
    """The fast paths of a network; None where it has no such path. All take the network."""

    windows: Callable[[Any, torch.dtype], Engine] | None = None
    """Windows on a CPU, in a dtype."""
    edits: Callable[[Any, torch.dtype], EditedNetwork] | None = None
    """Windows and edits of them on a CPU, in a dtype."""
    has_edits: Callable[[Any], bool] = lambda _: True
    """Whether `edits` can compute this network."""
    mutants: Callable[[Any], SharedNetwork] | None = None
    """Single substitutions on a CPU, in float32."""
    cuda: Callable[[Any], Engine] | None = None
    """Windows on an NVIDIA card, in bf16."""


_CONVOLUTIONS = FastPaths(
    windows=FastConvolutions, edits=EditedConvolutions, mutants=SharedConvolutions
)
PATHS: Mapping[type[nn.Module], FastPaths] = {
    DanQ: FastPaths(
        windows=FastDanQ,
        edits=EditedDanQ,
        has_edits=EditedDanQ.can_compute,
        mutants=SharedDanQ,
        cuda=CudaDanQ,
    ),
    DeepSEA: _CONVOLUTIONS,
    Beluga: _CONVOLUTIONS,
    DeepATT: FastPaths(windows=FastDeepATT),
    Marq: FastPaths(
        windows=FastMarq,
        edits=EditedMarq,
        has_edits=EditedMarq.can_compute,
        mutants=SharedMarq,
    ),
}
"""Networks without an entry are computed by plain PyTorch."""


def paths_of(model: nn.Module) -> FastPaths | None:
    """Return the fast paths that may compute instead of a model: those of its class (not of the
    classes that it inherits from). None if it has none, if `switch.is_replaceable` is False, and
    for a DanQ that reads twice forward, whose paths would take the second half as backward."""
    paths = PATHS.get(type(model))
    lstm = getattr(model, "lstm", None)
    reads_forward = isinstance(lstm, HardLSTM) and lstm.second == "forward"
    return paths if paths is not None and is_replaceable(model) and not reads_forward else None


def cpu_dtype(model: nn.Module, precision: str) -> torch.dtype | None:
    """Return the dtype in which a fast path computes on a CPU; None if the model is on another
    device or the processor does not have that precision."""
    if next(model.parameters()).device.type != "cpu":
        return None
    if precision == "bf16":
        return torch.bfloat16 if has_bf16() else None
    return torch.float32 if precision == "32" else None
