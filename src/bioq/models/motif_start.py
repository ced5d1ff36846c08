"""Start a model's filters from known motifs, as DanQ-JASPAR does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bioq.errors import UsageError
from bioq.files.streams import is_stream
from bioq.models.families import family_named, first_convolution
from bioq.models.source import names_source
from bioq.motifs import Motif, motifs_from

# DanQ-JASPAR starts 525 of its 1,024 filters from motifs (Quang & Xie 2016). BioQ starts at most
# the same share of the filters of every model.
MOTIF_FILTERS, OF_FILTERS = 525, 1024
MARGIN = 3
"""Free positions on each side of a motif, if the filter is wide enough."""


@dataclass(frozen=True)
class PlacedMotif:
    """A motif and its position in a filter."""

    motif: Motif
    """The part of the motif that was written: shorter if the motif is longer than the filter."""
    filter: int
    start: int
    """Position of its first base in the filter."""


def starting_motifs(name: str, motifs: str | None) -> list[Motif]:
    """Return the motifs that the filters of model `name` start from.

    `motifs` is an argument of `motifs_from`. None means the published motifs of the model, if it
    has any; "none" means random filters: an empty list.
    """
    if motifs is None:
        published = None if names_source(name) else family_named(name).motifs.get(name)
        return [] if published is None else published()
    if is_stream(Path(motifs)):
        raise UsageError(
            f"motifs {motifs}: is a pipe, and a training that continues reads its motifs again; "
            "write them to a file and give the file"
        )
    return [] if motifs == "none" else motifs_from(motifs)


def initialise_filters(
    model: nn.Module, motifs: Sequence[Motif], *, generator: torch.Generator
) -> list[PlacedMotif]:
    """Write motifs into the filters of a model's first convolution; return their positions.

    Filter i receives motif i: its probabilities minus 0.25 at a random offset that leaves three
    positions free on each side, and a bias drawn uniformly from [-1, 0). The remaining positions
    of the filter and the remaining filters keep their random weights. Source:
    DanQ-JASPAR_train.py of Quang & Xie 2016 (30-wide filters: offsets 3 .. 30 - length - 3).

    If a filter is too narrow for margins of three, both margins shrink equally. A motif longer than
    the filter is cut to the positions with the most information. At most 525 of 1,024 filters
    start from motifs; if there are more motifs, a random choice of them is used, in their order.

    `generator` must be on the CPU. The model may be on any device.

    Raises UsageError if `motifs` is empty.
    """
    if not motifs:
        raise UsageError("no motif to start filters from; give at least one motif, or omit motifs")
    convolution = first_convolution(model)
    filters, _, width = convolution.weight.shape
    most = max(1, filters * MOTIF_FILTERS // OF_FILTERS)
    if len(motifs) > most:
        chosen = torch.randperm(len(motifs), generator=generator)[:most]
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
    """Return a motif cut to its `width` adjacent positions with the most information."""
    if len(motif) <= width:
        return motif
    sums = np.convolve(motif.information_bits(), np.ones(width), mode="valid")
    start = int(sums.argmax())
    return Motif(motif.name, motif.matrix_id, motif.probabilities[start : start + width])
