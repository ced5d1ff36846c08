"""Reads the tensors of a PyTorch checkpoint (.pth), and nothing else of it."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from bioq.errors import BioqError, reason_of, shown
from bioq.files.typed import name_text

ZIP = b"PK\x03\x04"
PICKLE = b"\x80\x02"
"""The first bytes of a checkpoint of PyTorch 1.6 and later, and of an older one."""
_SAFE_READER = "2.10"
"""The first PyTorch in which no fault of `weights_only=True` is known: CVE-2025-32434 is of those
before 2.6, CVE-2026-24747 of those before 2.10."""
_DAMAGED = "it is cut short or damaged, take another copy"
_STATES = ("state_dict", "model_state_dict", "model")
"""Names under which a training script may save a network among other things."""


def read_torch(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a network's `state_dict`, by name.

    PyTorch's reader of weights is used (`weights_only=True`), which makes tensors and containers
    and runs no code of the file. Raises BioqError for a file that it does not read, that is cut
    short or compressed, or that has no such tensors.
    """
    _require_safe_reader(file)
    _require_stored(file)
    try:
        with warnings.catch_warnings(action="ignore"):  # about old storages
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BioqError(
            f"{file}: is damaged, or has other objects than tensors, which BioQ does not make, "
            "because a pickle can run programs; save the network's state_dict() alone, with "
            "torch.save"
        ) from error
    except Exception as error:
        raise BioqError(
            f"{file}: cannot be read as a PyTorch checkpoint ({reason_of(error)[:200]}); {_DAMAGED}"
        ) from error
    return _checked(file, _state_in(content))


def _require_safe_reader(file: Path) -> None:
    """Raise BioqError for a PyTorch in whose reader of weights a file can run programs."""
    if TorchVersion(torch.__version__) < _SAFE_READER:
        raise BioqError(
            f"{file}: is a PyTorch checkpoint, which PyTorch {torch.__version__} does not read "
            f"safely (CVE-2026-24747); install PyTorch {_SAFE_READER} or later"
        )


def _require_stored(file: Path) -> None:
    """Raise BioqError if a checkpoint, which is a zip archive, takes more memory than its size."""
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise BioqError(
            f"{file}: cannot be read as a zip archive ({reason_of(error)[:200]}); {_DAMAGED}"
        ) from error
    is_packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if is_packed or sum(part.file_size for part in parts) > os.path.getsize(file):
        raise BioqError(
            f"{file}: is a zip archive with compressed files, expected a PyTorch checkpoint, which "
            "has none; unpack it and give the checkpoint in it"
        )


def _state_in(content: Any) -> Any:
    """Return the dict of tensors in what a script saved."""
    if isinstance(content, Mapping):
        for name in _STATES:
            inside = content.get(name)
            if isinstance(inside, Mapping) and not isinstance(inside, Tensor):
                return inside
    return content


def _checked(file: Path, state: Any) -> dict[str, Tensor]:
    """Return tensors that take no more memory than the file has for them."""
    if not isinstance(state, Mapping) or not state:
        raise BioqError(
            f"{file}: is {shown(state) if not isinstance(state, Mapping) else 'an empty dict'}, "
            "expected the state_dict of a network: a dict of tensors"
        )
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise BioqError(
                f"{file}: {name_text(str(name))} is of type {type(tensor).__name__}, expected the "
                "state_dict of a network: a dict of tensors"
            )
        is_plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
        if not is_plain or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise BioqError(
                f"{file}: {name_text(name)} is sparse, quantized, one number repeated or only a "
                "shape, expected an ordinary tensor"
            )
        tensors[name] = tensor.detach()
    return tensors
