"""DNA as PyTorch tensors: one-hot, the opposite strand, and packed rows unpacked on any device.

`bioq.dna` does the same in NumPy.
"""

import torch
from torch import Tensor

from bioq import dna


def one_hot(codes: Tensor) -> Tensor:
    """Return one-hot bool `(n, 4, window_bp)` of codes uint8 `(n, window_bp)`."""
    bases = torch.arange(4, dtype=torch.uint8, device=codes.device).view(1, 4, 1)
    return codes.unsqueeze(1) == bases


def reverse_complement(windows: Tensor) -> Tensor:
    """Return one-hot windows `(n, 4, length)` of the opposite strand: both axes flipped."""
    return windows.flip((1, 2))


def reverse_complement_codes(codes: Tensor) -> Tensor:
    """Return codes uint8 `(n, length)` of the opposite strand; unknown bases stay unknown."""
    flipped = codes.flip(1)
    return torch.where(flipped < dna.UNKNOWN, dna.UNKNOWN - 1 - flipped, flipped)


def decode_codes(sequence: Tensor, mask: Tensor | None, window_bp: int) -> Tensor:
    """Return codes uint8 `(n, window_bp)` (see `dna.encode`) of packed rows, on their device."""
    codes = unpack_bits(sequence, 2, window_bp)
    if mask is not None:
        codes = codes.masked_fill(unpack_bits(mask, 1, window_bp).bool(), dna.UNKNOWN)
    return codes


def unpack_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """Return uint8 `(n, count)`: fields of `bits` bits of uint8 `(n, bytes)`, lowest first."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed.device)
    fields: Tensor = (packed.unsqueeze(-1) >> shifts) & (2**bits - 1)
    return fields.flatten(1)[:, :count]
