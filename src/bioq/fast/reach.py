"""Which positions a change of bases changes, layer by layer.

A substitution at base 5 (x), a convolution of width 3 and pooling of width 2:

    bases             0  1  2  3  4  x  6  7  8  9 10 11 12    base 5 changes
    convolution       .  .  .  #  #  #  .  .  .  .  .          outputs 3 to 5 read base 5
    pooling          [.  .][.  #][#  #][.  .][.  .]            positions 1 and 2 contain them
                       0     1     2     3     4
    LSTM forward       .     #     #     #     #               from the first change to the end
    LSTM backward      #     #     #     .     .               from the last change to the start

The values at "." are those of the window without the change, and are computed once. `Reach` counts
the "#" after a convolution and its pooling. The LSTM of the figure is the first layer; a second
layer reads changes everywhere. In DeepSEA a second and a third convolution follow: the two changed
positions are the changed inputs of the next convolution (`before` = 2), and so on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Codes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Positions = TypeVar("Positions", int, Numbers)
Change = Sequence[tuple[slice, Tensor]]
"""By position: the mutants that differ from the reference there, and the differences
`(n, width)`."""
SAME = (slice(0, 0), torch.empty(0, 0))
"""A position at which no mutant differs."""


@dataclass(frozen=True)
class Reach:
    """The positions after a convolution and max pooling that a change of the inputs reaches.

    If every mutant changes the same number of adjacent input positions, the output changes in at
    most `changed` adjacent positions.
    """

    width: int
    """Width of a filter."""
    pool_width: int
    positions: int
    """Positions after pooling."""
    before: int = 1
    """Adjacent input positions that change."""

    @property
    def changed(self) -> int:
        """Number of positions after pooling that are computed again for every mutant."""
        reached = self.before + self.width - 2
        return min(-(-reached // self.pool_width) + 1, self.positions)

    @property
    def spares_half(self) -> bool:
        """Whether at least half of the positions do not change: otherwise sharing saves too
        little."""
        return 2 * self.changed <= self.positions

    @property
    def used(self) -> int:
        """Number of input positions that reach a position after pooling."""
        return self.positions * self.pool_width + self.width - 1

    def first(self, position: Numbers) -> Numbers:
        """Return the first of the `changed` positions, for changes that start at the input
        `position`, `(n,)`."""
        first = -((self.pool_width + self.width - 2 - position) // self.pool_width)
        return np.clip(first, 0, self.positions - self.changed)

    def span(self, low: Positions, high: Positions) -> tuple[Positions, Positions]:
        """Return the half-open interval of the positions after pooling that change if the inputs
        from `low` to `high`, inclusive, change. It has at least one position."""
        first = -((self.pool_width + self.width - 2 - low) // self.pool_width)
        first = np.clip(first, 0, self.positions - 1)
        return first, np.clip(high // self.pool_width + 1, first + 1, self.positions)


@dataclass(frozen=True)
class Cost:
    """The cost of sharing computation between mutants."""

    mutant_bytes: int
    """Memory of each mutant that is computed at a time, about."""
    least_mutants: int
    """With fewer mutants, a forward pass of each is faster."""
    gains: bool
    """Whether mutants of this model share enough."""


def mutated(codes: Codes, position: Numbers, base: Numbers) -> Codes:
    """Return mutants `(n, length)` of a window of codes: each with `base` at `position`."""
    mutants = np.repeat(codes[None], len(position), axis=0)
    mutants[np.arange(len(position)), position] = base
    return mutants


def cut_mutants(
    codes: Codes, reach: Reach, position: Numbers, base: Numbers
) -> tuple[Numbers, Codes]:
    """Return (first, pieces): for each mutant, the bases that its changed positions read.

    A mutant has `base` at `position`. `first` is `reach.first(position)`; `pieces` is
    `(n, changed * pool_width + width - 1)`.
    """
    first = reach.first(position)
    starts = first * reach.pool_width
    length = reach.changed * reach.pool_width + reach.width - 1
    pieces = np.lib.stride_tricks.sliding_window_view(codes, length)[starts]
    pieces[np.arange(len(position)), position - starts] = base
    return first, pieces


def by_position(first: Numbers, change: Tensor, positions: int) -> Change:
    """Return a change `(n, changed, width)` by position. The change of each mutant starts at its
    `first`, which ascends."""
    changed = change.shape[1]
    every = np.arange(positions)
    lows = np.searchsorted(first, every - changed, side="right").tolist()
    highs = np.searchsorted(first, every, side="right").tolist()
    changes = []
    for position, low, high in zip(every, lows, highs, strict=True):
        numbers = torch.from_numpy(position - first[low:high])
        changes.append((slice(low, high), change[low:high][torch.arange(high - low), numbers]))
    return changes
