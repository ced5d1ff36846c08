"""Every layout of a published file, and which one a file has."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from bioq.errors import BioqError, some
from bioq.files.formats import HEAD_BYTES, refuse_other_formats
from bioq.files.typed import name_text
from bioq.published import beluga, bioq_2024, danq, deepsea
from bioq.published.keras_file import HDF5, read_keras
from bioq.published.layout import Layout
from bioq.published.torch_file import PICKLE, ZIP, read_torch

LAYOUTS: tuple[Layout, ...] = (
    deepsea.LAYOUT,
    beluga.LAYOUT,
    *danq.LAYOUTS,
    bioq_2024.LAYOUT,
)
_READ = "the file of a published model: a PyTorch checkpoint (.pth) or Keras weights (.hdf5)"
_SELENE_DANQ = ("nnet.0.weight", "bdlstm.0.weight_ih_l0", "classifier.1.weight")


def open_published(file: Path) -> tuple[Layout, dict[str, Tensor]]:
    """Return the layout of a file, recognised by its content, and its tensors by the layout's
    names.

    Raises BioqError for a file of another format, of no layout that BioQ reads, and of a network
    that cannot be a run.
    """
    with open(file, "rb") as opened:
        head = opened.read(HEAD_BYTES)
    if head.startswith(HDF5):
        form, tensors = "keras", read_keras(file)
    elif head.startswith((ZIP, PICKLE)):
        form, tensors = "torch", read_torch(file)
    else:
        refuse_other_formats(head, str(file), _READ)
        raise BioqError(f"{file}: begins with {head[:8]!r}; expected {_READ}")
    _refuse_selene(file, tensors)
    layout, prefix = _layout_of(file, form, tensors)
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return layout, own


def _layout_of(file: Path, form: str, tensors: Mapping[str, Tensor]) -> tuple[Layout, str]:
    """Return the layout, and the prefix of its names, that has the largest share of its names in a
    file; at least half of them, so that a message can name what is missing."""
    best: tuple[float, Layout, str] | None = None
    for layout in LAYOUTS:
        if layout.form == form:
            for prefix in _prefixes(layout, tensors):
                found = sum(f"{prefix}{name}" in tensors for name in layout.shapes)
                share = found / max(len(layout.shapes), len(tensors))
                if best is None or share > best[0]:
                    best = (share, layout, prefix)
    if best is None or best[0] < 0.5:
        titles = ", ".join(layout.publication.title for layout in LAYOUTS)
        raise BioqError(
            f"{file}: has the tensors {some(map(name_text, tensors), 3)}, which are of no network "
            f"that BioQ reads; expected one of {titles}"
        )
    return best[1], best[2]


def _prefixes(layout: Layout, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what may be before the names of a layout: how the network was wrapped."""
    first = next(iter(layout.shapes))
    for name in tensors:
        if name == first or name.endswith(f".{first}"):
            yield name.removesuffix(first)


def _refuse_selene(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise BioqError for Selene's DanQ, whatever its prefix is."""
    if all(any(name.endswith(end) for name in tensors) for end in _SELENE_DANQ):
        raise BioqError(
            f"{file}: is Selene's DanQ, whose LSTM reads the windows of a batch as one sequence "
            "(batch_first on a tensor with the batch second): the same window has another "
            "prediction in another batch, so no run of BioQ can give its numbers; train 'danq' "
            "with BioQ instead"
        )
