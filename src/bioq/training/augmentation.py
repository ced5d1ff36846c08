"""How an epoch shows the training windows: their order, strands and shifts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bioq import dna
from bioq.dna.tensors import reverse_complement_codes
from bioq.models.recipe import Recipe
from bioq.training.recipes import seed_of


@dataclass(frozen=True)
class EpochOrder:
    """The windows of an epoch, or of a batch, in the order in which they are shown."""

    rows: Tensor
    """Number of each window in its split; int64 `(n,)`."""
    opposite: Tensor
    """Whether the window is shown on the opposite strand; bool `(n,)`."""
    shift: Tensor | None
    """Bases by which the window is then moved to the right; int64 `(n,)`. None: not moved."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> "EpochOrder":
        shift = None if self.shift is None else self.shift[part]
        return EpochOrder(self.rows[part], self.opposite[part], shift)

    def to(self, device: torch.device) -> "EpochOrder":
        """Return the same order with its tensors on a device."""
        shift = None if self.shift is None else self.shift.to(device)
        return EpochOrder(self.rows.to(device), self.opposite.to(device), shift)

    def augment(self, codes: Tensor) -> Tensor:
        """Return the codes uint8 `(n, window_bp)` of the windows `rows` (see `dna.encode`) with
        their strands and shifts, on the device of `codes`."""
        opposite = self.opposite.to(codes.device)[:, None]
        codes = torch.where(opposite, reverse_complement_codes(codes), codes)
        return codes if self.shift is None else shifted_codes(codes, self.shift.to(codes.device))


def draw_epoch_order(windows: int, recipe: Recipe, seed: int, epoch: int) -> EpochOrder:
    """Return the order of an epoch (from 0); the same for the same seed."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    shown = windows * recipe.times_shown
    order = torch.randperm(shown, generator=generator)
    rows, opposite = order % windows, order >= windows
    if recipe.strands == "random":
        opposite = torch.rand(shown, generator=generator) < 0.5
    shift = None
    if recipe.shift:
        shift = torch.randint(-recipe.shift, recipe.shift + 1, (shown,), generator=generator)
    return EpochOrder(rows, opposite, shift)


def shifted_codes(codes: Tensor, shift: Tensor) -> Tensor:
    """Return windows `(n, length)` of codes, each moved to the right by its `shift` `(n,)`, to the
    left where that is negative. The bases that move in are unknown: a data set has no bases beyond
    its windows."""
    length = codes.shape[1]
    source = torch.arange(length, device=codes.device) - shift[:, None]
    inside = (source >= 0) & (source < length)
    return torch.where(inside, codes.gather(1, source.clamp(0, length - 1)), dna.UNKNOWN)
