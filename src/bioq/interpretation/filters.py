"""What the filters of a model's first convolution look for: motifs, their matches, their effects.

A filter's sites are all positions, of every window read and of both its strands, that activate it
above half of its maximum over them; the share of each base at the sites is its motif. Half the
maximum, and every position above it, is Basset's rule (Kelley, Snoek & Rinn 2016; basset_motifs.py
measures the half from the mean and reads one strand). DanQ's own (Quang & Xie 2016; their answer in
issue 9 of uci-cbcl/DanQ) is the best position of each sequence if it is above 0. `docs/motifs.md`
compares the two.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from bioq.dataset import Split
from bioq.dataset.batches import Batches
from bioq.dna.tensors import reverse_complement
from bioq.errors import BioqError, UsageError
from bioq.files import uninterrupted
from bioq.forward import BATCH_SIZE, choose_device
from bioq.motifs import Motif
from bioq.options import AtLeastOne, AtLeastZero, check_types
from bioq.progress import progress, say

Floats = npt.NDArray[np.float64]

ACTIVE_SHARE = 0.5
"""Of a filter's maximum, what a site must exceed: Kelley et al. 2016."""
MIN_SHARED_BITS = 6.0
"""Information that a filter and its match must share where they overlap: without it TOMTOM calls
two flat stretches alike, and a motif of random windows "matches" (measured in docs/motifs.md)."""
FEW_MOTIFS = 25
"""TOMTOM's p-values rest on the columns of all motifs given; memelite warns below this number."""
_MATCH_COLUMNS = ["match", "matrix_id", "p", "q", "strand", "offset", "shared_bits"]
_PASS_VALUES = 1 << 21  # activations that are held at once: more only costs memory


@dataclass(frozen=True)
class MotifOptions:
    """Which windows are read, and what the motifs are compared with."""

    split: str = "test"
    """train, valid or test."""
    windows: AtLeastOne | None = None
    """Read so many windows, evenly spaced in the split; by default all."""
    effect_windows: AtLeastZero = 256
    """Windows, evenly spaced, over which a filter's effect on each target is averaged; 0: none."""
    min_sites: AtLeastZero = 30
    """Filters with fewer sites are listed, but no match is sought: so few give a random one."""
    against: str = "JASPAR2024"
    """A JASPAR release, JASPAR2024:fungi say, or the path of a MEME file, to match against."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows a forward pass."""
    device: str | None = None
    """cpu, cuda, mps; by default the first CUDA card, else the CPU."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class FilterMotif:
    """A filter that some window activates."""

    filter: int
    motif: Motif
    sites: int
    """Positions above half the maximum, both strands."""
    maximum: float
    """The filter's largest activation."""

    def information_bits(self) -> float:
        """Return the motif's information, less what so few sites have by chance.

        The correction is 3 / (2 ln 2 sites) a position (Schneider & Stephens 1990).
        """
        chance = 3 / (2 * np.log(2) * self.sites)
        return float(np.maximum(self.motif.information_bits() - chance, 0).sum())


def find_filter_motifs(model: nn.Module, split: Split, options: MotifOptions) -> list[FilterMotif]:
    """Return the motif of every filter with a site, in the filters' order.

    Reads the windows twice, in batches: once for each filter's maximum, once for its sites. Sites
    with an unknown base are not counted. Raises BioqError if no filter has a site.
    """
    rows = spaced_rows(len(split), options.windows)
    device = choose_device(options.device)
    batches = Batches(split, device, data_in="disk")
    convolution = _convolution(model.to(device))
    filters, _, width = convolution.weight.shape
    maximum = torch.zeros(filters, device=device)
    counts = torch.zeros((filters, 4, width), dtype=torch.float64, device=device)
    size = min(options.batch_size, max(_PASS_VALUES // (2 * filters * split.window_bp), 1))
    with torch.inference_mode(), progress("motifs", 2 * len(rows), "windows") as advance:
        for batch in torch.split(rows, size):
            activation = convolution(_both_strands(batches, batch))
            maximum = torch.maximum(maximum, activation.amax(dim=(0, 2)))
            advance(len(batch))
        for batch in torch.split(rows, size):
            windows = _both_strands(batches, batch)
            above = convolution(windows) > (ACTIVE_SHARE * maximum).view(1, -1, 1)
            known = windows.sum(dim=1).unfold(1, width, 1).sum(dim=2) == width
            counts += _count_bases(windows, above & known.unsqueeze(1), width)
            advance(len(batch))
    sites = counts[:, :, 0].sum(dim=1).round().long()
    motifs = [
        FilterMotif(
            number,
            Motif(
                f"filter_{number}",
                f"filter_{number}",
                (counts[number] / sites[number]).T.cpu().numpy(),
            ),
            int(sites[number]),
            float(maximum[number]),
        )
        for number in torch.nonzero(sites).flatten().tolist()
    ]
    if not motifs:
        raise BioqError(
            f"split {split.name}: no window activates any filter; train the model, or read more "
            "windows"
        )
    return motifs


def _both_strands(batches: Batches, rows: Tensor) -> Tensor:
    """Return windows and their reverse complements: `(2 n, 4, window_bp)`."""
    windows = batches.read(rows)[0]
    return torch.cat([windows, reverse_complement(windows)])


def _count_bases(windows: Tensor, sites: Tensor, width: int) -> Tensor:
    """Return how often each base stands at each place of the sites: `(filter, 4, width)`.

    `windows` `(n, 4, length)`; `sites` bool `(n, filter, length - width + 1)`, where sites start.
    """
    at = sites.float()
    places = [
        torch.einsum("nfp,nbp->fb", at, windows[:, :, place : place + at.shape[2]])
        for place in range(width)
    ]
    return torch.stack(places, dim=2)


def filter_effects(
    model: nn.Module, split: Split, filters: list[int], options: MotifOptions
) -> npt.NDArray[np.float32]:
    """Return how much each filter raises each target's logit: float32 `(len(filters), targets)`.

    The mean over windows of the logit minus the logit with the filter's output held at zero.
    """
    device = choose_device(options.device)
    batches = Batches(split, device, data_in="disk")
    convolution = _convolution(model.to(device).eval())
    rows = spaced_rows(len(split), options.effect_windows)
    effects: Tensor | float = 0.0
    silent: list[int] = []

    def silence(layer: nn.Module, given: Any, output: Tensor) -> Tensor:
        return output.index_fill(1, torch.tensor(silent, dtype=torch.long, device=device), 0.0)

    total = len(rows) * len(filters)
    hook = convolution.register_forward_hook(silence)
    try:
        with torch.inference_mode(), progress("effects", total, "passes") as advance:
            for batch in torch.split(rows, options.batch_size):
                windows = batches.read(batch)[0]
                silent[:] = []
                whole = model(windows)
                change = []
                for number in filters:
                    silent[:] = [number]
                    change.append((whole - model(windows)).sum(dim=0))
                    advance(len(batch))
                effects = effects + torch.stack(change)
    finally:
        hook.remove()
    mean: npt.NDArray[np.float32] = (torch.as_tensor(effects) / len(rows)).cpu().numpy()
    return mean


def motif_table(
    model: nn.Module, found: Sequence[FilterMotif], against: Sequence[Motif], *, min_sites: int
) -> pd.DataFrame:
    """Return a row for every filter of the model: filter, sites, maximum, information_bits, match.

    The columns of the match are those of `match_motifs`; they are empty for a filter with fewer
    than `min_sites` sites, all but `sites` for one that nothing activates.
    """
    table = pd.DataFrame({"filter": range(_convolution(model).out_channels)})
    own = pd.DataFrame(
        {
            "filter": [each.filter for each in found],
            "sites": [each.sites for each in found],
            "maximum": [each.maximum for each in found],
            "information_bits": [each.information_bits() for each in found],
        }
    )
    enough = [each for each in found if each.sites >= min_sites]
    matched = match_motifs([each.motif for each in enough], against)
    matched.insert(0, "filter", [each.filter for each in enough])
    table = table.merge(own, on="filter", how="left").merge(matched, on="filter", how="left")
    table["sites"] = table["sites"].fillna(0).astype(int)
    return table


def match_motifs(queries: Sequence[Motif], against: Sequence[Motif]) -> pd.DataFrame:
    """Return the best match of every query: match, matrix_id, p, q, strand, offset, shared_bits.

    TOMTOM by memelite; p is the match's p-value, q Benjamini & Hochberg's over all comparisons.
    Only pairs that share `MIN_SHARED_BITS` where they overlap can match; the others count as p = 1
    among the comparisons. A query without such a pair has an empty row. `strand` is that of the
    match; `offset` the place in the match, on that strand, where the query's first column lies.

    Raises UsageError if memelite is not installed.
    """
    try:
        with uninterrupted():
            from memelite import tomtom
    except ImportError as error:
        raise UsageError(
            "matching motifs needs the package memelite; pip install 'bioq[motifs]'"
        ) from error
    if len(against) < FEW_MOTIFS:
        say(
            f"{len(against)} motifs to match against are few: with fewer than {FEW_MOTIFS} "
            "TOMTOM's p-values are unreliable"
        )
    if not queries:
        return pd.DataFrame(columns=_MATCH_COLUMNS)
    with warnings.catch_warnings(), uninterrupted():  # it compiles itself when first called
        warnings.filterwarnings("ignore", "tomtom was given", UserWarning)  # the line above says it
        found = tomtom(
            [query.probabilities.T.copy() for query in queries],
            [other.probabilities.T.copy() for other in against],
        )
    p, offsets, strands = np.asarray(found[0]), np.asarray(found[2]), np.asarray(found[4])
    shared = _shared_bits(queries, against, offsets.astype(int), strands == 1)
    p = np.where(shared < MIN_SHARED_BITS, 1.0, p)
    best = p.argmin(axis=1)
    own = np.arange(len(queries))
    q = benjamini_hochberg(p.ravel()).reshape(p.shape)
    table = pd.DataFrame(
        {
            "match": [against[number].name for number in best],
            "matrix_id": [against[number].matrix_id for number in best],
            "p": p[own, best],
            "q": q[own, best],
            "strand": np.where(strands[own, best] == 1, "-", "+"),
            "offset": offsets[own, best].astype(int),
            "shared_bits": shared[own, best],
        }
    )
    return table.where(pd.Series(shared[own, best] >= MIN_SHARED_BITS), other=np.nan)


def _shared_bits(
    queries: Sequence[Motif],
    against: Sequence[Motif],
    offsets: npt.NDArray[np.int64],
    reverse: npt.NDArray[np.bool_],
) -> Floats:
    """Return the sum, over the columns that overlap, of the smaller information of the two."""
    bits = [other.information_bits() for other in against]
    shared = np.zeros(offsets.shape)
    for row, query in enumerate(queries):
        own = query.information_bits()
        for column, forward in enumerate(bits):
            other = forward[::-1] if reverse[row, column] else forward
            offset = offsets[row, column]
            start, end = max(0, -offset), min(len(own), len(other) - offset)
            overlap = np.minimum(own[start:end], other[start + offset : end + offset])
            shared[row, column] = overlap.sum()
    return shared


def benjamini_hochberg(p: Floats) -> Floats:
    """Return q-values `(n,)` of p-values `(n,)`. Source: Benjamini & Hochberg 1995."""
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum.accumulate(np.minimum(p[order] * len(p) / ranks, 1.0))
    return q


def spaced_rows(windows: int, wanted: int | None) -> Tensor:
    """Return `wanted` row numbers, int64, evenly spaced in a split; all where it is None."""
    if wanted is None or wanted >= windows:
        return torch.arange(windows)
    if wanted < 1:
        raise UsageError(f"windows {wanted}; expected at least 1")
    return torch.from_numpy(np.linspace(0, windows - 1, wanted).round().astype(np.int64))


def _convolution(model: nn.Module) -> nn.Conv1d:
    return next(layer for layer in model.modules() if isinstance(layer, nn.Conv1d))
