"""The filters of a model's first convolution: their motifs and their effects on the targets.

A filter's sites are all positions, on both strands of every window read, that activate it above
half of its maximum over these windows; the share of each base at the sites is its motif. This is
the rule of Basset (Kelley, Snoek & Rinn 2016; basset_motifs.py takes the half above the mean and
reads one strand). The rule of DanQ (Quang & Xie 2016; the authors' answer in issue 9 of
uci-cbcl/DanQ) takes the best position of each sequence if it is above 0. `docs/how-to/motifs.md`
compares the two rules.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq.dataset import Split
from bioq.dataset.batches import Batches
from bioq.dna.tensors import reverse_complement
from bioq.errors import BioqError, UsageError
from bioq.forward import BATCH_SIZE
from bioq.models.device import choose_device, on_device
from bioq.models.eval_mode import eval_mode
from bioq.models.families import first_convolution
from bioq.motifs import Motif
from bioq.options import AtLeastOne, AtLeastZero, check_types
from bioq.progress import progress
from bioq.runs.trained_model import network_of, require_module

Floats = npt.NDArray[np.float64]

ACTIVE_SHARE = 0.5
"""A site has more than this share of the filter's maximum: Kelley et al. 2016."""
_PASS_VALUES = 1 << 21  # activations in memory at a time; with more it is no faster


@dataclass(frozen=True)
class MotifOptions:
    """The windows to read, and the motifs to compare with."""

    split: str = "test"
    """train, valid or test."""
    windows: AtLeastOne | None = None
    """Number of windows to read, evenly spaced in the split; by default all."""
    effect_windows: AtLeastZero = 256
    """Number of windows, evenly spaced, over which a filter's effect on each target is averaged;
    0: no effects."""
    min_sites: AtLeastZero = 30
    """Filters with fewer sites are listed but not matched: their matches would be random."""
    against: str | None = None
    """Motifs to match with: a JASPAR release, such as JASPAR2024:fungi, or a MEME file; by default
    JASPAR2024 of the group of the genome build of the training data, vertebrates if it is not
    known."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows per forward pass."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class FilterMotif:
    """A filter with at least one site."""

    filter: int
    motif: Motif
    sites: int
    """Number of positions above half the maximum, on both strands."""
    maximum: float
    """The filter's largest activation."""

    def information_bits(self) -> float:
        """Return the motif's information, corrected for the number of sites.

        The correction is 3 / (2 ln 2 sites) per position (Schneider & Stephens 1990).
        """
        chance = 3 / (2 * np.log(2) * self.sites)
        return float(np.maximum(self.motif.information_bits() - chance, 0).sum())


def find_filter_motifs(model: nn.Module, split: Split, options: MotifOptions) -> list[FilterMotif]:
    """Return the motif of every filter with a site, in the order of the filters.

    Reads the windows twice, in batches: first for each filter's maximum, then for its sites. Sites
    with an unknown base are not counted. Raises BioqError if no filter has a site.
    """
    counts, maximum = _count_sites(model, split, options)
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


def _count_sites(model: nn.Module, split: Split, options: MotifOptions) -> tuple[Tensor, Tensor]:
    """Return the count of each base at each position of the sites `(filter, 4, width)`, and each
    filter's maximum `(filter,)`. The model is not changed."""
    rows = spaced_rows(len(split), options.windows)
    with (
        on_device(require_module(model), choose_device(options.device)) as device,
        torch.inference_mode(),
        progress("motifs", 2 * len(rows), "windows") as advance,
    ):
        batches = Batches(split, device, data_in="disk")
        convolution = first_convolution(network_of(model))
        filters, _, width = convolution.weight.shape
        maximum = torch.zeros(filters, device=device)
        counts = torch.zeros((filters, 4, width), dtype=torch.float64, device=device)
        size = min(options.batch_size, max(_PASS_VALUES // (2 * filters * split.window_bp), 1))
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
    return counts, maximum


def _both_strands(batches: Batches, rows: Tensor) -> Tensor:
    """Return windows and their reverse complements: `(2 n, 4, window_bp)`."""
    windows = batches.read(rows)[0]
    return torch.cat([windows, reverse_complement(windows)])


def _count_bases(windows: Tensor, sites: Tensor, width: int) -> Tensor:
    """Return the count of each base at each position of the sites: `(filter, 4, width)`.

    `windows` `(n, 4, length)`; `sites` bool `(n, filter, length - width + 1)`, where sites start.
    """
    starts = sites.float()
    counts = [
        torch.einsum("nfp,nbp->fb", starts, windows[:, :, offset : offset + starts.shape[2]])
        for offset in range(width)
    ]
    return torch.stack(counts, dim=2)


def filter_effects(
    model: nn.Module, split: Split, filters: list[int], options: MotifOptions
) -> npt.NDArray[np.float32]:
    """Return how much each filter raises each target's logit: float32 `(len(filters), targets)`.

    The mean over windows of the logit minus the logit with the filter's output set to zero.
    """
    rows = spaced_rows(len(split), options.effect_windows)
    effects: Tensor | float = 0.0
    silent: list[int] = []

    def silence(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return output.index_fill(1, torch.tensor(silent, dtype=torch.long, device=device), 0.0)

    with (
        on_device(require_module(model), choose_device(options.device)) as device,
        _hooked(first_convolution(network_of(model)), silence),
        torch.inference_mode(),
        eval_mode(model),
        progress("effects", len(rows) * len(filters), "passes") as advance,
    ):
        batches = Batches(split, device, data_in="disk")
        for batch in torch.split(rows, options.batch_size):
            windows = batches.read(batch)[0]
            silent[:] = []
            logits = model(windows)
            change = []
            for number in filters:
                silent[:] = [number]
                change.append((logits - model(windows)).sum(dim=0))
                advance(len(batch))
            effects = effects + torch.stack(change)
    mean: npt.NDArray[np.float32] = (torch.as_tensor(effects) / len(rows)).cpu().numpy()
    return mean


@contextlib.contextmanager
def _hooked(layer: nn.Module, hook: Callable[[nn.Module, Any, Tensor], Tensor]) -> Iterator[None]:
    """Change the output of a layer until the block ends."""
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def spaced_rows(windows: int, wanted: int | None) -> Tensor:
    """Return `wanted` row numbers, int64, evenly spaced in a split; all rows if it is None."""
    if wanted is None or wanted >= windows:
        return torch.arange(windows)
    if wanted < 1:
        raise UsageError(f"windows {wanted}; expected at least 1")
    return torch.from_numpy(np.linspace(0, windows - 1, wanted).round().astype(np.int64))
