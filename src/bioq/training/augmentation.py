"""How an epoch shows the training windows: in which order, on which strand, moved how far."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bioq import dna
from bioq.dna.tensors import reverse_complement_codes
from bioq.models.recipe import Recipe
from bioq.training.recipes import seed_of


@dataclass(frozen=True)
class Showing:
    """Windows in the order in which they are shown; tensors of one length."""

    rows: Tensor
    """Which window of the split; int64."""
    opposite: Tensor
    """Whether it is shown on the opposite strand; bool."""
    shift: Tensor | None
    """By how many bases it is then moved to the right; int64. None: as it is."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> "Showing":
        shift = None if self.shift is None else self.shift[part]
        return Showing(self.rows[part], self.opposite[part], shift)

    def to(self, device: torch.device) -> "Showing":
        """Return the same on a device."""
        shift = None if self.shift is None else self.shift.to(device)
        return Showing(self.rows.to(device), self.opposite.to(device), shift)

    def view(self, codes: Tensor) -> Tensor:
        """Return the codes uint8 `(n, window_bp)` of `rows` (see `dna.encode`) as they are shown,
        where they lie."""
        opposite = self.opposite.to(codes.device)[:, None]
        codes = torch.where(opposite, reverse_complement_codes(codes), codes)
        return codes if self.shift is None else shifted_codes(codes, self.shift.to(codes.device))


def draw_showing(windows: int, recipe: Recipe, seed: int, epoch: int) -> Showing:
    """Return an epoch (from 0) of a training, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    shown = windows * recipe.times_shown
    order = torch.randperm(shown, generator=generator)
    rows, opposite = order % windows, order >= windows
    if recipe.strands == "random":
        opposite = torch.rand(shown, generator=generator) < 0.5
    shift = None
    if recipe.shift:
        shift = torch.randint(-recipe.shift, recipe.shift + 1, (shown,), generator=generator)
    return Showing(rows, opposite, shift)


def shifted_codes(codes: Tensor, shift: Tensor) -> Tensor:
    """Return windows `(n, length)` of codes, each moved to the right by its `shift` `(n,)`, to the
    left where that is negative; what comes in is unknown, for a data set holds windows only."""
    length = codes.shape[1]
    source = torch.arange(length, device=codes.device) - shift[:, None]
    inside = (source >= 0) & (source < length)
    return torch.where(inside, codes.gather(1, source.clamp(0, length - 1)), dna.UNKNOWN)
