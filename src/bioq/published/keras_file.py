"""Reads the parameters of a network that Keras 0.2 saved as HDF5."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from bioq.errors import BioqError, reason_of
from bioq.files.typed import name_text
from bioq.models import MOST_WEIGHTS

HDF5 = b"\x89HDF\r\n\x1a\n"
_MOST_LAYERS, _MOST_PARAMETERS = 1000, 1000
_DAMAGED = "it is cut short or damaged, take another copy"


def read_keras(file: Path) -> dict[str, Tensor]:
    """Return the parameters by name, such as `layer_0/param_0`: dataset `param_0` of the group
    `layer_0`. Layers are counted by the attribute `nb_layers`, parameters by `nb_params`.

    Raises BioqError for a file that HDF5 does not read, that is not of this layout, or whose
    datasets are in another file or larger than a network.
    """
    try:
        with h5py.File(file, "r") as opened:
            return _parameters(file, opened)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise BioqError(
            f"{file}: is an HDF5 file that cannot be read ({reason_of(error)[:200]}); {_DAMAGED}"
        ) from error


def _parameters(file: Path, opened: h5py.File) -> dict[str, Tensor]:
    layers = _count(file, opened, "nb_layers", _MOST_LAYERS)
    datasets = {}
    for layer in (f"layer_{number}" for number in range(layers)):
        group = _inside(file, opened, layer, h5py.Group)
        for number in range(_count(file, group, "nb_params", _MOST_PARAMETERS)):
            name = f"param_{number}"
            datasets[f"{layer}/{name}"] = _inside(file, group, name, h5py.Dataset)
    if sum(dataset.size for dataset in datasets.values()) > MOST_WEIGHTS:
        raise BioqError(f"{file}: has more than {MOST_WEIGHTS:,} numbers; {_DAMAGED}")
    return {name: _tensor(file, name, dataset) for name, dataset in datasets.items()}


def _count(file: Path, node: Any, attribute: str, most: int) -> int:
    """Return an attribute that counts something."""
    value = node.attrs.get(attribute)
    if not isinstance(value, int | np.integer) or not 0 <= value <= most:
        found = "no" if value is None else "another"
        raise BioqError(
            f"{file}: {name_text(str(node.name))} has {found} attribute {attribute}, expected a "
            f"number up to {most:,}, as Keras 0.2 writes it; Keras 1 and later write other files"
        )
    return int(value)


def _inside(file: Path, node: Any, name: str, kind: type) -> Any:
    """Return a group or a dataset that is stored in this file itself."""
    link = node.get(name, getlink=True)
    found = node[name] if isinstance(link, h5py.HardLink) else None
    is_elsewhere = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
    if not isinstance(found, kind) or is_elsewhere:
        what = "group" if kind is h5py.Group else "dataset"
        raise BioqError(
            f"{file}: has no {what} {name} in {name_text(str(node.name))}; expected the file that "
            "save_weights of Keras 0.2 wrote"
        )
    return found


def _tensor(file: Path, name: str, dataset: h5py.Dataset) -> Tensor:
    if dataset.dtype.kind != "f":
        raise BioqError(f"{file}: {name} is of type {dataset.dtype}, expected float32")
    values = np.asarray(dataset[()])
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))
