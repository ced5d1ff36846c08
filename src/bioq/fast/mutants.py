"""Single substitutions of one window: the layers compute once what mutants share with the window.

`reach` has a picture.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna
from bioq.errors import UsageError
from bioq.fast.cache import cached
from bioq.fast.engines import Precision
from bioq.fast.paths import SharedNetwork, cpu_dtype, paths_of
from bioq.fast.reach import Codes, Numbers
from bioq.fast.threads import Threads
from bioq.options import found, of_type, one_of, whole_number

_LEAST_ROWS = 32
"""Fewest mutants for which another thread saves time."""
_LEAST_MUTANTS = 16
"""With fewer, computing the window and reading the weights take longer than sharing saves."""
_BYTES = 64 << 20
"""Memory that the mutants of a thread take at a time."""


class Mutants:
    """The probabilities of a window and of its mutants.

    Every part is computed by one thread. PyTorch's threads, which divide each small product, would
    wait for most of the time.
    """

    def __init__(self, shared: SharedNetwork, codes: Codes, *, both_strands: bool):
        self._used, self._length = shared.used, len(codes)
        strands = [np.ascontiguousarray(codes)]
        if both_strands:
            strands.append(np.ascontiguousarray(dna.reverse_complement(codes)))
        self._threads = Threads()
        workers = min(torch.get_num_threads(), len(strands))
        self._strands = self._threads.map(shared.reference, strands, workers, inner=1)
        self.at_once = max(_LEAST_ROWS, _BYTES // shared.cost.mutant_bytes)
        """Mutants that a thread computes at a time."""
        probabilities = [torch.sigmoid(strand.logits) for strand in self._strands]
        self.reference: npt.NDArray[np.float32] = _mean(probabilities)[0]
        """Probabilities of the window `(targets,)`."""

    def probabilities(self, position: Numbers, base: Numbers) -> npt.NDArray[np.float32]:
        """Return float32 `(n, targets)` of the mutants with `base` (a code below 4) at `position`.

        Both are `(n,)`, by ascending position. Raises UsageError for others.
        """
        _check_mutants(position, base, self._length)
        strands = len(self._strands)
        parts_worth = max(strands, strands * len(position) // _LEAST_ROWS)
        workers = min(torch.get_num_threads(), parts_worth)
        pieces = max(-(-len(position) // self.at_once), -(-workers // strands), 1)
        parts = [
            (strand, rows)
            for strand in range(strands)
            for rows in np.array_split(np.arange(len(position)), pieces)
        ]

        def compute(part: tuple[int, Numbers]) -> Tensor:
            strand, rows = part
            return self._of_strand(strand, position[rows], base[rows])

        results = self._threads.map(compute, parts, workers, inner=1)
        return _mean([torch.cat(results[i : i + pieces]) for i in range(0, len(results), pieces)])

    def _of_strand(self, strand: int, position: Numbers, base: Numbers) -> Tensor:
        reference = self._strands[strand]
        if strand == 1:
            position, base = self._length - 1 - position[::-1], 3 - base[::-1]
        used = int(np.searchsorted(position, self._used))  # no filter reads the later positions
        parts = [reference.logits.expand(len(position) - used, -1)]
        if used:
            parts.insert(0, reference.mutate(position[:used], base[:used]))
        probabilities = torch.sigmoid(torch.cat(parts))
        return probabilities.flip(0) if strand == 1 else probabilities


def open_mutants(
    model: nn.Module,
    codes: Codes,
    mutants: int,
    *,
    strands: Literal["both", "forward"],
    precision: Precision,
) -> Mutants | None:
    """Compute a window of codes `(length,)` once for that many mutants of it.

    Returns None if every mutant needs a forward pass: no fast path (see `prepare`), on
    a card, with few mutants, or in windows so short that one substitution changes most positions.
    Precision bf16 is computed in float32, which is about as fast here. Raises UsageError for other
    strands or another precision, BioqError for other codes.
    """
    one_of("strands", strands, ("both", "forward"))
    one_of("precision", precision, get_args(Precision))
    codes = np.require(dna.checked_codes(codes, axes=1), requirements=["C", "W"])
    mutants = whole_number("mutants", mutants, least=0)
    of_type("model", model, nn.Module, "a PyTorch module")
    paths = paths_of(model)
    if paths is None or paths.mutants is None:
        return None
    network = paths.mutants
    if precision == "tf32" or cpu_dtype(model, "32") is None:
        return None
    if mutants < _LEAST_MUTANTS or len(codes) != _window_bp(model):
        return None
    shared = cached(model, "mutants", lambda: network(model))
    if not shared.cost.gains or mutants < shared.cost.least_mutants:
        return None
    return Mutants(shared, codes, both_strands=strands == "both")


def _check_mutants(position: Numbers, base: Numbers, length: int) -> None:
    """Raise UsageError for mutants that are not in the window or not in order."""
    for name, numbers, end in (("position", position, length), ("base", base, dna.UNKNOWN)):
        is_list = isinstance(numbers, np.ndarray) and numbers.ndim == 1
        if not is_list or numbers.dtype.kind not in "iu" or len(numbers) != len(position):
            raise UsageError(f"{name} {found(numbers)}; expected whole numbers (n,) of both")
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < end:
            raise UsageError(f"{name} has numbers outside 0 to {end - 1}")
    if (np.diff(position) < 0).any():
        raise UsageError("position does not ascend; sort the mutants by their position")


def _window_bp(model: nn.Module) -> int:
    architecture: Any = model.architecture
    window_bp: int = architecture["window_bp"]
    return window_bp


def _mean(strands: list[Tensor]) -> npt.NDArray[np.float32]:
    mean: npt.NDArray[np.float32] = (sum(strands[1:], strands[0]) / len(strands)).numpy()
    return mean
