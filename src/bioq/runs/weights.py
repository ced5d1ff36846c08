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

import contextlib
import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bioq.errors import BioqError, reason_of
from bioq.files import new_file, sha256
from bioq.files.inside import kept_file, require_kept
from bioq.files.typed import name_text
from bioq.models.source import KEPT_TYPES
from bioq.runs.calibration import CALIBRATION_FILE, Calibration
from bioq.runs.folder import BEST, CONFIG, read_config, read_members

_CHECKSUM = "crc32"
_REMEDY = "restore it or train again"
MOST_HEADER_BYTES = 1 << 24
"""Bytes of the names, shapes and text in a safetensors file: those of 100,000 tensors, or of the
history of 40,000 epochs."""
_HALF = "F16"

Header = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name of each tensor of a file -> its type, as safetensors calls it, and its shape."""


def save_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights as safetensors, in one step."""
    save_tensors(network.state_dict(), file)


def load_weights(network: nn.Module, file: Path) -> None:
    """Replace the weights of a network by those of a file.

    Numbers that a file has in half precision (`save_half`) become float32, which has each of them.
    Raises BioqError if the file is missing or damaged, has the weights of another architecture
    (found before memory is taken), or numbers that are NaN or infinite.
    """
    expected = network.state_dict()
    tensors, _ = read_tensors(file, lambda header: _require_same(file, header, expected))
    require_finite(file, tensors)
    exact = {
        name: tensor.to(expected[name].dtype)  # half precision; no copy of any other tensor
        for name, tensor in tensors.items()
    }
    network.load_state_dict(exact, assign=True)


def save_half(run: Path, out: Path) -> None:
    """Write a run's best weights into the file `out` with half the bytes: float32 as float16.

    The largest error of a weight is 2^-11 of it, and 2^-25 of a weight below 2^-14.
    Raises BioqError if the file of the run is damaged, or has a weight beyond 65,504.
    """
    tensors, _ = read_tensors(require_kept(run, BEST, _REMEDY))
    half = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor
        for name, tensor in tensors.items()
    }
    require_finite(out, half)
    save_tensors(half, out)


def _require_same(file: Path, header: Header, expected: Mapping[str, Tensor]) -> None:
    """Raise BioqError if a file has other weights than a network, or weights of another type."""
    for name in sorted(expected.keys() | header.keys()):
        in_file, shown = header.get(name, ("", "none")), name_text(name)
        in_network = described(expected[name]) if name in expected else ("", "none")
        if in_file[1] != in_network[1]:
            raise BioqError(
                f"{file}: weight {shown} is {in_file[1]}, the architecture in {CONFIG} has "
                f"{in_network[1]}; the two do not belong together"
            )
        is_half = (in_file[0], in_network[0]) == (_HALF, KEPT_TYPES[torch.float32])
        if in_file != in_network and not is_half:
            raise BioqError(
                f"{file}: weight {shown} is of type {in_file[0]}, expected {in_network[0]}; "
                f"{_REMEDY}"
            )


def require_finite(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise BioqError, which names the first, if tensors have numbers that are NaN or infinite."""
    for name, tensor in tensors.items():
        # A sum is fast (5 ms for the 49 million weights of bioq) and finite only if all terms are.
        if tensor.is_floating_point() and not math.isfinite(tensor.sum().item()):
            bad = int((~torch.isfinite(tensor)).sum())
            if bad:
                raise BioqError(
                    f"{file}: {bad:,} of the {tensor.numel():,} numbers in {name_text(name)} are "
                    f"NaN or infinite; {_REMEDY}"
                )


def save_tensors(
    tensors: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors and text as one safetensors file with a checksum, in one step.

    A tensor that shares its memory with another, as tied weights do, is written under each name.
    Raises BioqError if the file cannot be written.
    """
    file.parent.mkdir(exist_ok=True)
    on_cpu = _apart(tensors)
    metadata = dict(metadata or {})
    metadata[_CHECKSUM] = tensors_checksum(on_cpu, metadata)
    with new_file(file) as partial:
        try:
            save_file(on_cpu, partial, metadata)
        except SafetensorError as error:  # safetensors raises it on a full disk
            raise BioqError(f"{file}: could not be written: {error}") from error


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, contiguous, of which no two share their memory."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        on_cpu = tensor.detach().cpu().contiguous()
        address = on_cpu.untyped_storage().data_ptr()
        apart[name] = on_cpu.clone() if address in seen else on_cpu
        seen.add(address)
    return apart


def read_tensors(
    file: Path, check: Callable[[Header], None] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the text that `save_tensors` wrote.

    `check` receives the header of the file before memory is taken for the tensors; it raises an
    error if they are not those that the caller expects. Raises BioqError if the file is missing or
    damaged.
    """
    with _opened(file) as opened:
        if check is not None:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            check({name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()})
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        metadata = opened.metadata() or {}
    checksum = metadata.pop(_CHECKSUM, None)  # None: written before 2026-11-23
    if checksum is not None and checksum != tensors_checksum(tensors, metadata):
        raise BioqError(
            f"{file}: its checksum does not match: it was damaged after it was written; {_REMEDY}"
        )
    return tensors, metadata


def read_metadata(file: Path) -> dict[str, str]:
    """Return the text that `save_tensors` wrote, without the tensors and without a check of them.

    Raises BioqError if the file cannot be read.
    """
    with _opened(file) as opened:
        return opened.metadata() or {}


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Yield an open safetensors file, whose tensors are not read yet. Errors are BioqErrors."""
    missing = "the training has not finished its first epoch, or this is no run folder"
    require_kept(file.parent, file.name, missing)
    try:
        with open(file, "rb") as raw:
            header_bytes = int.from_bytes(raw.read(8), "little")
        if header_bytes > MOST_HEADER_BYTES:
            raise ValueError(f"its header has more than {MOST_HEADER_BYTES:,} bytes")
        with safe_open(file, framework="pt") as opened:
            yield opened
    except (SafetensorError, OSError, ValueError) as error:
        raise BioqError(
            f"{file}: is not a readable safetensors file ({reason_of(error)}); {_REMEDY}"
        ) from error


def described(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """Return the type and the shape of a tensor as the header of a file has them."""
    return KEPT_TYPES[tensor.dtype], tuple(tensor.shape)


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
    remedy = "expected a run that has finished an epoch at least"
    return sha256(require_kept(run, BEST, remedy))


def predictions_identity(run: Path) -> str:
    """Return an identifier of a run's predictions: SHA-256 of its file of best weights and, if it
    is calibrated, of `calibration.json`; of an ensemble those of its members and its calibration.
    """
    members = read_members(run, read_config(run))
    calibration = kept_file(run, CALIBRATION_FILE)
    calibrated = [] if calibration is None else [sha256(calibration)]
    if not members:
        return "+".join([weights_sha256(run), *calibrated])
    parts = [*(predictions_identity(folder) for folder, _ in members), *calibrated]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def fingerprint(network: nn.Module, calibration: Calibration | None) -> str:
    """Return the SHA-256 of a network's weights, of the file of a network that is not one of
    BioQ's, and of the calibration of its probabilities."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    for part in network.modules():  # a member of an ensemble may have a file
        architecture = getattr(part, "architecture", None)
        if isinstance(architecture, dict):
            digest.update(str(architecture.get("source_sha256", "")).encode())
    if calibration is not None:
        digest.update(calibration.identity())
    return digest.hexdigest()
