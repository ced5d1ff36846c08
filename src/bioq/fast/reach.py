"""Which positions a substitution changes, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Codes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Places = TypeVar("Places", int, Numbers)
Change = Sequence[tuple[slice, Tensor]]
"""By position: the mutants that differ from the reference there, and by how much, `(n, width)`."""
SAME = (slice(0, 0), torch.empty(0, 0))
"""A position at which no mutant differs."""


@dataclass(frozen=True)
class Reach:
    """The positions after a convolution and max pooling that a change before them reaches.

    For a change of neighbouring positions that are as many for every mutant, the number of
    positions after it is the same for every mutant too: `changed`, which may take in some that do
    not change.
    """

    width: int
    """Of a filter."""
    pool_width: int
    positions: int
    """After pooling."""
    before: int = 1
    """Neighbouring positions that change before the convolution."""

    @property
    def changed(self) -> int:
        """How many positions after pooling are computed again."""
        reached = self.before + self.width - 2
        return min(-(-reached // self.pool_width) + 1, self.positions)

    @property
    def used(self) -> int:
        """Positions before the convolution that a filter reads and pooling keeps."""
        return self.positions * self.pool_width + self.width - 1

    def first(self, place: Numbers) -> Numbers:
        """Return the first of the changed positions of changes that start at `place`, `(n,)`."""
        first = -((self.pool_width + self.width - 2 - place) // self.pool_width)
        return np.clip(first, 0, self.positions - self.changed)

    def span(self, low: Places, high: Places) -> tuple[Places, Places]:
        """Return the first position after pooling that changes from place `low` to `high`, both
        included, reach, and the one after the last; never none."""
        first = -((self.pool_width + self.width - 2 - low) // self.pool_width)
        first = np.clip(first, 0, self.positions - 1)
        return first, np.clip(high // self.pool_width + 1, first + 1, self.positions)


@dataclass(frozen=True)
class Cost:
    """What sharing costs, to know when it gains."""

    mutant_bytes: int
    """Of memory for each mutant that is computed at a time, about."""
    least_mutants: int
    """With fewer, a forward pass of each is sooner done."""
    gains: bool
    """Whether mutants of this model have enough in common."""


def cut_mutants(codes: Codes, reach: Reach, place: Numbers, base: Numbers) -> tuple[Numbers, Codes]:
    """Return (first, pieces): of each mutant, the bases that its changed positions see.

    `first` is `reach.first(place)`; `pieces` is `(n, changed * pool_width + width - 1)`.
    """
    first = reach.first(place)
    starts = first * reach.pool_width
    length = reach.changed * reach.pool_width + reach.width - 1
    pieces = np.lib.stride_tricks.sliding_window_view(codes, length)[starts]
    pieces[np.arange(len(place)), place - starts] = base
    return first, pieces


def by_position(first: Numbers, change: Tensor, positions: int) -> Change:
    """Return a change `(n, changed, width)` that starts at the ascending `first`, by position."""
    changed = change.shape[1]
    times = np.arange(positions)
    lows = np.searchsorted(first, times - changed, side="right").tolist()
    highs = np.searchsorted(first, times, side="right").tolist()
    found = []
    for time, low, high in zip(times, lows, highs, strict=True):
        numbers = torch.from_numpy(time - first[low:high])
        found.append((slice(low, high), change[low:high][torch.arange(high - low), numbers]))
    return found
