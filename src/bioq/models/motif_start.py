"""Start a model's filters from known motifs, as DanQ-JASPAR does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bioq.errors import UsageError
from bioq.motifs import Motif, danq_jaspar_motifs, motifs_from

# DanQ-JASPAR gives 525 of its 1,024 filters a motif (Quang & Xie 2016); every model the same share.
MOTIF_FILTERS, OF_FILTERS = 525, 1024
MARGIN = 3
"""Positions left free on either side of a motif, where the filter is wide enough."""


@dataclass(frozen=True)
class PlacedMotif:
    """A motif and where it was written."""

    motif: Motif
    """As written: of a motif longer than the filter, the part that was kept."""
    filter: int
    start: int
    """Position of its first base in the filter."""


def starting_motifs(name: str, motifs: str | None) -> list[Motif]:
    """Return the motifs that model `name` starts from: the user's, or else the published ones.

    `motifs` is what `motifs_from` takes. None means the published ones, which only danq-jaspar
    has, and "none" means random filters: an empty list.
    """
    if motifs is None:
        return danq_jaspar_motifs() if name == "danq-jaspar" else []
    return [] if motifs == "none" else motifs_from(motifs)


def initialise_filters(
    model: nn.Module, motifs: Sequence[Motif], *, generator: torch.Generator
) -> list[PlacedMotif]:
    """Write motifs into the filters of a model's first convolution; returns what lies where.

    Filter i gets motif i: its probabilities minus 0.25 at a random offset that leaves three
    positions free on either side, and a bias drawn evenly from [-1, 0). The rest of the filter
    keeps its random weights, and so do the remaining filters. Source: DanQ-JASPAR_train.py of
    Quang & Xie 2016 (30-wide filters: offsets 3 .. 30 - length - 3).

    Where a filter is too narrow for margins of three, the margins shrink evenly; of a motif longer
    than the filter the stretch with the most information is used. At most 525 in 1,024 filters
    start from motifs; of more motifs than that, a random choice, in their order.

    `generator` must be on the CPU. The model may be on any device.

    Raises UsageError if there is no motif.
    """
    if not motifs:
        raise UsageError("no motif to start filters from; give at least one, or leave motifs out")
    convolution = next(layer for layer in model.modules() if isinstance(layer, nn.Conv1d))
    filters, _, width = convolution.weight.shape
    places = max(1, filters * MOTIF_FILTERS // OF_FILTERS)
    if len(motifs) > places:
        chosen = torch.randperm(len(motifs), generator=generator)[:places]
        motifs = [motifs[number] for number in sorted(chosen.tolist())]
    biases = torch.rand(len(motifs), generator=generator) - 1
    placed = []
    with torch.no_grad():
        for number, motif in enumerate(motifs):
            kept = most_informative(motif, width)
            margin = min(MARGIN, (width - len(kept)) // 2)
            low, high = margin, width - len(kept) - margin
            start = int(torch.randint(low, high + 1, (), generator=generator))
            weight = torch.from_numpy(kept.probabilities.T - 0.25)
            convolution.weight[number, :, start : start + len(kept)] = weight
            placed.append(PlacedMotif(kept, number, start))
        if convolution.bias is not None:
            convolution.bias[: len(motifs)] = biases
    return placed


def most_informative(motif: Motif, width: int) -> Motif:
    """Return the `width` neighbouring positions with the most information, or all if there are
    no more."""
    if len(motif) <= width:
        return motif
    sums = np.convolve(motif.information_bits(), np.ones(width), mode="valid")
    start = int(sums.argmax())
    return Motif(motif.name, motif.matrix_id, motif.probabilities[start : start + width])
