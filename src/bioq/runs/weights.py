"""The weights of a network: their files, and the checksums that tell which weights a result used.

Four values are written into files, for four questions:

- `tensors_checksum` (CRC-32 of tensors): is a safetensors file undamaged (its metadata), and was a
  calibration fitted to these weights (`calibration.json`)?
- `weights_sha256` (SHA-256 of a file): has the run that a training started from changed
  (`config.json`)?
- `predictions_identity` (SHA-256 of files): may an interrupted output continue (`OUT.partial`)?
- `fingerprint` (SHA-256 of tensors and calibration): do a background and a table of scores belong
  to this model? It also covers a network that has no file.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bioq.errors import BioqError
from bioq.files import new_file, sha256
from bioq.runs.calibration import CALIBRATION_FILE, Calibration
from bioq.runs.folder import BEST, CONFIG

_CHECKSUM = "crc32"


def save_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights as safetensors, in one step."""
    save_tensors(network.state_dict(), file)


def load_weights(network: nn.Module, file: Path) -> None:
    """Replace the weights of a network by those of a file.

    Raises BioqError if the file is missing, damaged, or has the weights of another architecture.
    """
    tensors, _ = read_tensors(file)
    expected = network.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        in_file = tuple(tensors[name].shape) if name in tensors else "none"
        in_network = tuple(expected[name].shape) if name in expected else "none"
        if in_file != in_network:
            raise BioqError(
                f"{file}: weight {name} is {in_file}, the architecture in {CONFIG} has "
                f"{in_network}; the two do not belong together"
            )
    network.load_state_dict(tensors, assign=True)


def save_tensors(
    tensors: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors and text as one safetensors file with a checksum, in one step.

    Raises BioqError if the file cannot be written.
    """
    file.parent.mkdir(exist_ok=True)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = dict(metadata or {})
    metadata[_CHECKSUM] = tensors_checksum(on_cpu, metadata)
    with new_file(file) as partial:
        try:
            save_file(on_cpu, partial, metadata)
        except SafetensorError as error:  # safetensors raises it on a full disk
            raise BioqError(f"{file}: could not be written: {error}") from error


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the text that `save_tensors` wrote.

    Raises BioqError if the file is missing or damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}
    except FileNotFoundError as error:
        raise BioqError(
            f"{file}: no such file; the training has not finished its first epoch, "
            "or this is no run folder"
        ) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise BioqError(
            f"{file}: is not a readable safetensors file ({error}); restore it or train again"
        ) from error
    checksum = metadata.pop(_CHECKSUM, None)  # None: written before 2026-11-23
    if checksum is not None and checksum != tensors_checksum(tensors, metadata):
        raise BioqError(
            f"{file}: its checksum does not match: it was damaged after it was written; "
            "restore it or train again"
        )
    return tensors, metadata


def read_metadata(file: Path) -> dict[str, str]:
    """Return the text that `save_tensors` wrote, without the tensors and without a check of them.

    Raises BioqError if the file cannot be read.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise BioqError(f"{file}: is not a readable safetensors file ({error})") from error


def tensors_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the CRC-32 of names, types, shapes, bytes and text, in any order.

    The tensors are contiguous and on the CPU.
    """
    checksum = zlib.crc32(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        checksum = zlib.crc32(repr((name, tensor.dtype, tuple(tensor.shape))).encode(), checksum)
        checksum = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, checksum)
    return f"{checksum:08x}"


def weights_checksum(network: nn.Module) -> str:
    """Return the CRC-32 of a network's weights, by which a calibration refers to them."""
    return tensors_checksum(
        {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}, {}
    )


def weights_sha256(run: Path) -> str:
    """Return the SHA-256 of a run's file of best weights. Raises BioqError if it has none."""
    if not (run / BEST).is_file():
        raise BioqError(
            f"{run / BEST}: no such file; expected a run that has finished an epoch at least"
        )
    return sha256(run / BEST)


def predictions_identity(run: Path) -> str:
    """Return an identifier of a run's predictions: SHA-256 of its file of best weights and, if it
    is calibrated, of `calibration.json`."""
    calibration = run / CALIBRATION_FILE
    calibrated = [sha256(calibration)] if calibration.is_file() else []
    return "+".join([weights_sha256(run), *calibrated])


def fingerprint(network: nn.Module, calibration: Calibration | None) -> str:
    """Return the SHA-256 of a network's weights and of the calibration of its probabilities."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    if calibration is not None:
        digest.update(calibration.identity())
    return digest.hexdigest()
