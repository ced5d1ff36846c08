"""What the filters of a model's first convolution look for: motifs, their matches, their effects.

A filter's sites: of every window the position that activates it most, forward strand as the data
set has it, if that is above half of the filter's maximum over all windows read. Counting the
bases of those sites gives its motif. Source: Quang & Xie 2016 (DanQ), half the maximum; one site a
window keeps repeats within one window from making a motif of their own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from bioq.batches import Batches
from bioq.dataset import Split
from bioq.errors import BioqError, UsageError
from bioq.inference import BATCH_SIZE, choose_device
from bioq.motifs import Motif
from bioq.progress import progress

Floats = npt.NDArray[np.float64]

ACTIVE_SHARE = 0.5
"""Of a filter's maximum, what a site must exceed: Quang & Xie 2016."""


@dataclass(frozen=True)
class MotifOptions:
    """Which windows are read, and what the motifs are compared with."""

    split: str = "test"
    """train, valid or test."""
    windows: int | None = None
    """Read so many windows, evenly spaced in the split; by default all."""
    effect_windows: int = 256
    """Windows, evenly spaced, over which a filter's effect on each target is averaged; 0: none."""
    against: str = "JASPAR2024"
    """A JASPAR release, JASPAR2024:fungi say, or the path of a MEME file, to match against."""
    batch_size: int = BATCH_SIZE
    """Windows a forward pass."""
    device: str | None = None
    """cpu, cuda, mps; by default the first CUDA card, else the CPU."""


@dataclass(frozen=True)
class FilterMotif:
    """A filter that some window activates."""

    filter: int
    motif: Motif
    sites: int
    """Windows whose best position is above half the maximum."""
    maximum: float
    """The filter's largest activation."""


def find_filter_motifs(model: nn.Module, split: Split, options: MotifOptions) -> list[FilterMotif]:
    """Return the motif of every filter with a site; a filter that nothing activates is left out.

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
    sites = torch.zeros(filters, dtype=torch.int64, device=device)
    with torch.inference_mode(), progress("motifs", 2 * len(rows), "windows") as advance:
        for batch in torch.split(rows, options.batch_size):
            activation = convolution(batches.read(batch)[0])
            maximum = torch.maximum(maximum, activation.amax(dim=(0, 2)))
            advance(len(batch))
        for batch in torch.split(rows, options.batch_size):
            windows = batches.read(batch)[0]
            best, at = convolution(windows).max(dim=2)  # (batch, filter)
            window, number = torch.nonzero(
                (best > ACTIVE_SHARE * maximum) & (best > 0), as_tuple=True
            )
            start = at[window, number]
            found = windows.unfold(2, width, 1)[window, :, start]  # (site, 4, width)
            known = found.sum(dim=(1, 2)) == width
            counts.index_add_(0, number[known], found[known].double())
            sites += torch.bincount(number[known], minlength=filters)
            advance(len(batch))
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


def match_motifs(queries: list[Motif], against: list[Motif]) -> pd.DataFrame:
    """Return the best match of every query: match, matrix_id, p, q, strand.

    TOMTOM by memelite; p is the match's p-value, q Benjamini & Hochberg's over all comparisons.
    Raises UsageError if memelite is not installed.
    """
    try:
        from memelite import tomtom
    except ImportError as error:
        raise UsageError(
            "matching motifs needs the package memelite; pip install 'bioq[motifs]'"
        ) from error
    found = tomtom(
        [query.probabilities.T.copy() for query in queries],
        [other.probabilities.T.copy() for other in against],
    )
    p, strands = np.asarray(found[0]), np.asarray(found[4])
    best = p.argmin(axis=1)
    own = np.arange(len(queries))
    q = benjamini_hochberg(p.ravel()).reshape(p.shape)
    return pd.DataFrame(
        {
            "match": [against[number].name for number in best],
            "matrix_id": [against[number].matrix_id for number in best],
            "p": p[own, best],
            "q": q[own, best],
            "strand": np.where(strands[own, best] == 0, "+", "-"),
        }
    )


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
