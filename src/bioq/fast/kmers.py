"""The first convolution by table: over one-hot windows it is a sum of rows of tables.

A filter of width w over one-hot bases adds w numbers, one per base. The sums over 3 bases are a
table of 5 ** 3 rows (A, C, G, T and unknown), so a filter of width 26 costs 9 additions per
position instead of 104 multiplications, most of them by zero. A few windows at a time are
computed and pooled while their map is in the processor's cache.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.layers import lift_
from bioq.models.composition import KMER, KMERS, middle_fifth

LETTERS = 5
"""A, C, G, T and unknown: the codes of `dna`."""
_BASES_AT_ONCE = 3
_MAP_BYTES = 4 << 20
"""Size of a map before pooling that stays in cache. Measured: equally fast from 1 to 5 MB, 20 MB
take three times as long."""


class KmerConvolution:
    """Convolution, ReLU and max pooling of codes; equal to `functional`'s of one-hot windows."""

    def __init__(
        self,
        convolution: nn.Conv1d,
        pool_width: int,
        dtype: torch.dtype,
        *,
        floor: float = 0.0,
    ):
        """Compute the tables of a convolution over the four bases, stride 1, no padding. `floor`
        takes the place of sums that are not above 0."""
        self.floor = floor
        weight = convolution.weight.detach().permute(2, 1, 0)  # (width, base, filter)
        self.width, _, self.filters = weight.shape
        self.pool_width = pool_width
        unknown = weight.new_zeros((self.width, 1, self.filters))
        of_base = torch.cat([weight, unknown], dim=1)  # (width, letter, filter)
        tables = []
        for start in range(0, self.width, _BASES_AT_ONCE):
            rows, *following = of_base[start : start + _BASES_AT_ONCE]
            for letters in following:
                rows = (rows[:, None] + letters).flatten(0, 1)
            tables.append(rows)
        if convolution.bias is not None:
            tables[0] = tables[0] + convolution.bias.detach()
        self._first_row = [0]
        for rows in tables[:-1]:
            self._first_row.append(self._first_row[-1] + len(rows))
        self._table = torch.cat(tables).to(dtype).contiguous()

    def __call__(self, codes: Tensor) -> Tensor:
        """Return `(n, position, filter)` of codes uint8 `(n, length)`."""
        pooled = self._table.new_empty((len(codes), self.positions(codes), self.filters))
        for rows in self.pieces(codes):
            self._convolve(codes[rows], pooled[rows])
        return pooled.relu_()

    def positions(self, codes: Tensor) -> int:
        """Return the number of positions after pooling of codes `(n, length)`."""
        return (codes.shape[1] - self.width + 1) // self.pool_width

    def pieces(self, codes: Tensor) -> list[slice]:
        """Return slices of the windows whose maps stay in cache."""
        steps = self.positions(codes) * self.pool_width
        at_once = max(1, _MAP_BYTES // (steps * self.filters * self._table.element_size()))
        return [slice(start, start + at_once) for start in range(0, len(codes), at_once)]

    def map(self, codes: Tensor) -> Tensor:
        """Return the convolution before ReLU and pooling, at every position that pooling reads:
        `(n, position * pool_width, filter)`."""
        length = self.positions(codes) * self.pool_width
        letters = codes.int()
        kmers = []
        for number, start in enumerate(range(0, self.width, _BASES_AT_ONCE)):
            kmer = letters[:, start : start + length]
            for base in range(start + 1, min(start + _BASES_AT_ONCE, self.width)):
                kmer = kmer * LETTERS + letters[:, base : base + length]
            kmers.append(kmer + self._first_row[number])
        rows = torch.stack(kmers, dim=-1).flatten(0, 1)  # (window * length, k-mers of a filter)
        sums = functional.embedding_bag(rows, self._table, mode="sum")
        return sums.view(len(codes), length, self.filters)

    def _convolve(self, codes: Tensor, out: Tensor) -> None:
        windows, positions, filters = out.shape  # frees the memory of the map for the next slice
        sums = lift_(self.map(codes), self.floor)
        sums = sums.view(windows, positions, self.pool_width, filters)
        torch.amax(sums, dim=2, out=out)


def count_kmers(
    codes: Tensor, *, at: int = 0, window_bp: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the counts of `models.composition.kmer_counts`, float32, of codes uint8
    `(n, length)`, which are the bases from `at` on of windows of `window_bp`, by default all."""
    windows, length = codes.shape
    starts = length - KMER + 1
    letters, row = codes.long(), _rows_of_kmers(codes.device)
    kmer = letters[:, :starts]
    for base in range(1, KMER):
        kmer = kmer * LETTERS + letters[:, base : base + starts]
    start, end = middle_fifth(length if window_bp is None else window_bp)
    first = at + torch.arange(starts, device=codes.device)
    is_inside = (first >= start) & (first < end - KMER + 1)
    of_window = 2 * torch.arange(windows, device=codes.device)[:, None] + is_inside
    counts = torch.bincount(
        (of_window * (KMERS + 1) + row[kmer]).flatten(), minlength=windows * 2 * (KMERS + 1)
    )
    outside, inside = counts.view(windows, 2, KMERS + 1)[:, :, :KMERS].float().unbind(1)
    return outside + inside, inside


@cache
def _rows_of_kmers(device: torch.device) -> Tensor:
    """Return the row that each of the LETTERS ** KMER k-mers is counted in. A k-mer and its reverse
    complement share the row of the k-mer whose middle base is A or C; KMERS is the row of those
    with an unknown base."""
    kmers = torch.arange(LETTERS**KMER, device=device)
    bases = torch.stack([kmers // LETTERS**power % LETTERS for power in reversed(range(KMER))])
    is_turned = (bases[KMER // 2] == 2) | (bases[KMER // 2] == 3)
    bases = torch.where(is_turned, 3 - bases.flip(0), bases)
    row = torch.zeros_like(kmers)
    for position, base in enumerate(bases):
        row = row * (2 if position == KMER // 2 else 4) + base
    is_known = (bases >= 0).all(0) & (bases < 4).all(0)
    return torch.where(is_known, row, KMERS)
