"""Single substitutions of one window: what mutants share with it is computed once."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna
from bioq.fast.engines import keep
from bioq.fast.mutants_danq import SharedDanQ
from bioq.fast.mutants_deepsea import SharedDeepSEA
from bioq.fast.reach import Codes, Cost, Numbers, Reach
from bioq.fast.switch import may_stand_in
from bioq.fast.threads import Threads
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA

_LEAST_ROWS = 32
"""Mutants that are worth a thread of their own."""
_LEAST_MUTANTS = 16
"""With fewer, the reference and reading the weights take longer than what is saved."""
_BYTES = 64 << 20
"""Of memory that a thread's mutants take at a time."""


class _Window(Protocol):
    logits: Tensor

    def mutate(self, place: Numbers, base: Numbers) -> Tensor: ...


class _Shared(Protocol):
    reach: Reach
    cost: Cost

    def open(self, codes: Codes) -> _Window: ...


_FAMILIES: dict[type[nn.Module], Callable[..., _Shared]] = {
    DanQ: SharedDanQ,
    DeepSEA: SharedDeepSEA,
}


class Mutants:
    """The probabilities of a window and of its mutants.

    Every part has one thread: PyTorch's, which share each small product, wait more than they work.
    """

    def __init__(self, shared: _Shared, codes: Codes, *, both_strands: bool):
        self._used, self._length = shared.reach.used, len(codes)
        strands = [np.ascontiguousarray(codes)]
        if both_strands:
            strands.append(np.ascontiguousarray(dna.reverse_complement(codes)))
        self._threads = Threads()
        workers = min(torch.get_num_threads(), len(strands))
        self._strands = self._threads.map(shared.open, strands, workers, inner=1)
        self.at_once = max(_LEAST_ROWS, _BYTES // shared.cost.mutant_bytes)
        """Mutants that a thread computes at a time."""
        probabilities = [torch.sigmoid(strand.logits) for strand in self._strands]
        self.reference: npt.NDArray[np.float32] = _mean(probabilities)[0]
        """Of the window itself `(targets,)`."""

    def probabilities(self, place: Numbers, base: Numbers) -> npt.NDArray[np.float32]:
        """Return float32 `(n, targets)` of the mutants with `base` (a code below 4) at `place`.

        Both are `(n,)`, by ascending place.
        """
        strands = len(self._strands)
        parts_worth = max(strands, strands * len(place) // _LEAST_ROWS)
        workers = min(torch.get_num_threads(), parts_worth)
        pieces = max(-(-len(place) // self.at_once), -(-workers // strands), 1)
        parts = [
            (strand, rows)
            for strand in range(strands)
            for rows in np.array_split(np.arange(len(place)), pieces)
        ]

        def compute(part: tuple[int, Numbers]) -> Tensor:
            strand, rows = part
            return self._of_strand(strand, place[rows], base[rows])

        found = self._threads.map(compute, parts, workers, inner=1)
        return _mean([torch.cat(found[i : i + pieces]) for i in range(0, len(found), pieces)])

    def _of_strand(self, strand: int, place: Numbers, base: Numbers) -> Tensor:
        window = self._strands[strand]
        if strand == 1:
            place, base = self._length - 1 - place[::-1], 3 - base[::-1]
        used = int(np.searchsorted(place, self._used))  # no filter reads those after
        parts = [window.logits.expand(len(place) - used, -1)]
        if used:
            parts.insert(0, window.mutate(place[:used], base[:used]))
        found = torch.sigmoid(torch.cat(parts))
        return found.flip(0) if strand == 1 else found


def open_mutants(
    model: nn.Module,
    codes: Codes,
    mutants: int,
    *,
    strands: Literal["both", "forward"],
    precision: Literal["32", "tf32", "bf16"],
) -> Mutants | None:
    """Compute a window of codes `(length,)` and keep what that many mutants share with it.

    None where the model must compute every mutant by itself: on a card, where `may_stand_in`
    says no, with few mutants, and in windows so short that mutants have little in
    common. With precision bf16 it is float32 all the same, which is about as fast here.
    """
    if precision not in ("32", "bf16") or mutants < _LEAST_MUTANTS or not may_stand_in(model):
        return None
    if len(codes) != _window_bp(model):
        return None
    if next(model.parameters()).device.type != "cpu":
        return None
    family = _FAMILIES[type(model)]
    shared = keep(model, "mutants", lambda: family(model))
    if not shared.cost.gains or mutants < shared.cost.least_mutants:
        return None
    return Mutants(shared, codes, both_strands=strands == "both")


def _window_bp(model: nn.Module) -> object:
    architecture: Any = model.architecture
    return architecture.get("window_bp")


def _mean(strands: list[Tensor]) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = (sum(strands[1:], strands[0]) / len(strands)).numpy()
    return found
