"""The composition of a window: a linear layer over the counts of its 5-mers."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.errors import BioqError
from bioq.models.family import LayerKind, Shape

KMER = 5
"""Bases. Odd, so that no k-mer equals its reverse complement, and its middle base distinguishes the
two. docs/log/experiments.md: 4 is worse, 6 is no better for four times the weights."""
KMERS = 4**KMER // 2
"""Counts: a k-mer and its reverse complement have one count together."""
FEATURES = 2 * KMERS
"""Counts in the whole window, then in its middle fifth, which is the bin."""
_SHORTEST_BP = 5 * KMER


class Composition(nn.Module):
    """Logits from the counts of 5-mers, by a linear layer that is not trained.

    Weights and bias are buffers, which no gradient changes. `training.composition` fits them in
    closed form before the first step; they are zero until then. The counts are those of the
    spectrum kernel (Leslie et al. 2002), with one count for a k-mer and its reverse complement.
    They enter as 2 * sqrt(count + 3/8), whose variance is about one for every mean of a Poisson
    count (Anscombe 1948).
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
        # bf16 cannot represent counts above 256 exactly. The meta device has no autocast.
        exact = nullcontext() if device == "meta" else torch.autocast(device, enabled=False)
        with exact:
            return self.of_counts(*kmer_counts(windows.to(self.weight.dtype)))

    def of_counts(self, window: Tensor, middle: Tensor) -> Tensor:
        """Return logits `(batch, targets)` of the counts in windows and in their middle fifths,
        each `(batch, KMERS)`."""
        return functional.linear(features(window, middle), self.weight, self.bias)


def features(window: Tensor, middle: Tensor) -> Tensor:
    """Return the inputs of the linear layer `(batch, FEATURES)` from the result of
    `kmer_counts`."""
    return 2 * torch.sqrt(torch.cat([window, middle], dim=1) + 3 / 8)


def middle_fifth(window_bp: int) -> tuple[int, int]:
    """Return the interval of the middle fifth, 0-based half-open; the same on both strands."""
    start = 2 * window_bp // 5
    return start, window_bp - start


def kmer_counts(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Count each k-mer and its reverse complement in windows `(batch, 4, length)`.

    Returns the counts in the windows and those in their middle fifths, both `(batch, KMERS)`, in
    the order of the k-mers whose middle base is A or C. A k-mer with an unknown base is not
    counted. In windows that are not one-hot the counts are sums of products, so they have
    gradients.
    """
    length = windows.shape[2]
    pairs = (windows[:, :, None, :-1] * windows[:, None, :, 1:]).flatten(1, 2)
    triples = (pairs[:, :, None, :-1] * windows[:, None, :, 2:]).flatten(1, 2)
    start, end = middle_fifth(length)

    def starting_at(first: int, last: int) -> Tensor:
        """Count the k-mers that start in [first, last), each a pair and a triple of bases."""
        ends = triples[:, :, first + 2 : last + 2].transpose(1, 2)
        counts = torch.bmm(pairs[:, :, first:last], ends).view(-1, *[4] * KMER)
        bases = tuple(range(1, KMER + 1))
        opposite = counts.permute(0, *bases[::-1]).flip(bases)  # A, C, G, T reversed: T, G, C, A
        return (counts + opposite)[:, :, :, :2].flatten(1)

    middle = starting_at(start, end - KMER + 1)
    before, after = starting_at(0, start), starting_at(end - KMER + 1, length - KMER + 1)
    return before + middle + after, middle


def _flops(layer: Composition, _given: Shape, _output: Shape) -> int:
    products: int = 4**KMER * (layer.window_bp - KMER + 1)  # of pairs and triples of bases
    return 2 * (products + layer.weight.numel())


COMPOSITION_KIND = LayerKind(
    lambda _: f"{KMER}-mers of the window, dense, fitted", ("target",), _flops
)
"""How `bioq summary` describes a Composition."""
