"""What a window is made of, without order: how often each 5-mer occurs, and a linear layer."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.errors import BioqError

KMER = 5
"""Bases. Odd, so that no k-mer is its own reverse complement and the base in the middle tells the
two apart. docs/experiments.md: 4 is worse, 6 no better for four times the weights."""
KMERS = 4**KMER // 2
"""A k-mer and its reverse complement count as one."""
FEATURES = 2 * KMERS
"""Of the whole window, then of its middle fifth: where the bin lies."""
_SHORTEST_BP = 5 * KMER


class Composition(nn.Module):
    """Logits from the counts of 5-mers, by a linear layer that is not trained.

    Weights and bias are fitted in closed form before the first step (`training.composition`) and
    are buffers: no gradient moves them. They are zero until then. The counts are those of the
    spectrum kernel (Leslie et al. 2002), a k-mer and its reverse complement as one, after
    2 * sqrt(count + 3/8), which has a variance of one whatever the mean of a Poisson count is
    (Anscombe 1948).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, window_bp: int, targets: int):
        super().__init__()
        if window_bp < _SHORTEST_BP:
            raise BioqError(
                f"window of {window_bp} bp is too short to count {KMER}-mers in its middle fifth; "
                f"expected at least {_SHORTEST_BP} bp: take longer windows, or composition_share 0"
            )
        self.window_bp = window_bp
        self.register_buffer("weight", torch.zeros(targets, FEATURES))
        self.register_buffer("bias", torch.zeros(targets))

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of one-hot windows `(batch, 4, window_bp)`."""
        device = windows.device.type
        # bf16 knows no 257; a device without numbers knows no autocast.
        exact = nullcontext() if device == "meta" else torch.autocast(device, enabled=False)
        with exact:
            return self.of_counts(*kmer_counts(windows.to(self.weight.dtype)))

    def of_counts(self, window: Tensor, middle: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of the counts in windows and in their middle fifths,
        each `(batch, KMERS)`."""
        return functional.linear(features(window, middle), self.weight, self.bias)


def features(window: Tensor, middle: Tensor) -> Tensor:
    """Return what the linear layer reads, `(batch, FEATURES)`, of counts as `kmer_counts` gives."""
    return 2 * torch.sqrt(torch.cat([window, middle], dim=1) + 3 / 8)


def middle_fifth(window_bp: int) -> tuple[int, int]:
    """Return the first base of the middle fifth and the first after it; the same on both
    strands."""
    start = 2 * window_bp // 5
    return start, window_bp - start


def kmer_counts(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Return how often each k-mer or its reverse complement occurs in windows `(batch, 4, length)`
    and in their middle fifths, both `(batch, KMERS)`, those whose middle base is A or C, in order.

    A k-mer with an unknown base counts nowhere. Of windows that are not one-hot the counts are sums
    of products, so they have gradients.
    """
    length = windows.shape[2]
    pairs = (windows[:, :, None, :-1] * windows[:, None, :, 1:]).flatten(1, 2)
    triples = (pairs[:, :, None, :-1] * windows[:, None, :, 2:]).flatten(1, 2)
    start, end = middle_fifth(length)

    def starting_at(first: int, last: int) -> Tensor:
        """Count the k-mers that start in a stretch: those of one pair and one triple."""
        ends = triples[:, :, first + 2 : last + 2].transpose(1, 2)
        counts = torch.bmm(pairs[:, :, first:last], ends).view(-1, *[4] * KMER)
        bases = tuple(range(1, KMER + 1))
        opposite = counts.permute(0, *bases[::-1]).flip(bases)  # A, C, G, T reversed: T, G, C, A
        return (counts + opposite)[:, :, :, :2].flatten(1)

    middle = starting_at(start, end - KMER + 1)
    before, after = starting_at(0, start), starting_at(end - KMER + 1, length - KMER + 1)
    return before + middle + after, middle
