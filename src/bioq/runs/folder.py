"""The run folder: what training leaves and every other command takes.

RUN/model.safetensors (best by validation), last.safetensors, config.json, targets.tsv, history.csv,
calibration.json (once calibrated), resume/state.safetensors. Weights are never pickled.
"""

import json
import platform
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bioq import __version__
from bioq.dataset import Dataset, open_dataset
from bioq.dataset.targets import read_target_table, write_target_table
from bioq.errors import BioqError
from bioq.files import new_file, new_folder, read_json, sha256
from bioq.models import build_from_architecture
from bioq.progress import say
from bioq.runs.calibration import CALIBRATION, read_calibration

FORMAT = "bioq-run"
FORMAT_VERSION = 1
CONFIG = "config.json"
TARGETS = "targets.tsv"
BEST = "model.safetensors"
LAST = "last.safetensors"
HISTORY = "history.csv"
STATE = "resume/state.safetensors"
_CHECKSUM = "crc32"


@dataclass(frozen=True)
class RunConfig:
    """What `config.json` says."""

    model: Mapping[str, Any]
    """The architecture, as `build_model` takes it."""
    training: Mapping[str, Any]
    """The recipe in full, and how it was run."""
    data: Mapping[str, Any]
    """The data set: where it lay, its fingerprint, windows, bin and label rule."""
    versions: Mapping[str, str]


def create_run(
    run: Path, *, model: Mapping[str, Any], training: Mapping[str, Any], data: Dataset
) -> None:
    """Make a run folder with `config.json` and `targets.tsv`. Raises BioqError if it exists."""
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": dict(model),
        "training": dict(training),
        "data": {
            "name": data.path.resolve().name,
            "path": str(data.path.resolve()),
            "fingerprint": data.fingerprint,
            "window_bp": data.description.window_bp,
            "bin_bp": data.description.bin_bp,
            "label_rule": data.description.label_rule,
            "windows": {name: len(split) for name, split in data.items()},
        },
        "versions": {
            "bioq": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    with new_folder(run) as folder:
        write_target_table(data.targets, folder / TARGETS)
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read_config(run: str | Path) -> RunConfig:
    """Read a run's `config.json`. Raises BioqError if this is no run or a newer format."""
    file = Path(run) / CONFIG
    if not file.is_file():
        raise BioqError(f"{run}: holds no {CONFIG}; expected a run folder made by 'bioq train'")
    config = read_json(
        file,
        what="a run's configuration",
        kind=FORMAT,
        version=FORMAT_VERSION,
        remedy="train again or restore the file",
    )
    try:
        return RunConfig(**{field.name: config[field.name] for field in fields(RunConfig)})
    except KeyError as error:
        raise BioqError(f"{file}: says nothing of {error}; train again") from error


def training_data(run: str | Path) -> Dataset:
    """Open the data set that a run was trained on: where it lay then, else beside the run.

    Raises BioqError if it is in neither place, or has another fingerprint.
    """
    data = read_config(run).data
    places = [Path(run).resolve().parent / str(data["name"])]
    if "path" in data:  # runs of before 2026-11-23 hold the name alone
        places.insert(0, Path(data["path"]))
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise BioqError(
            f"{run}: its data set is not in {' or '.join(map(str, dict.fromkeys(places)))}; name "
            "the folder of the data set behind the run"
        )
    opened = open_dataset(found)
    if opened.fingerprint != data["fingerprint"]:
        raise BioqError(
            f"{found}: has fingerprint {opened.fingerprint[:12]}, {run} was trained on "
            f"{data['fingerprint'][:12]}; name the data set to read behind the run"
        )
    return opened


def load(
    run: str | Path, *, device: str = "cpu", weights: str = "best", calibrated: bool = True
) -> nn.Module:
    """Return a run's model in eval mode: `(batch, 4, window_bp)` -> logits `(batch, targets)`.

    `model.targets` is the target table, `model.config` the run's RunConfig, `model.calibration`
    what `predict` and all else that gives probabilities does to them: None where the run is not
    calibrated, or for other weights, which is said on stderr. `weights` is "best" (by validation)
    or "last", which has no calibration. Raises BioqError if the folder is no run or the weights are
    damaged or belong to another architecture.
    """
    config = read_config(run)
    with torch.device("meta"):  # no random weights: those of the file take their place
        model: nn.Module = build_from_architecture(config.model)
    load_weights(model, Path(run) / {"best": BEST, "last": LAST}[weights])
    targets = read_target_table(Path(run) / TARGETS)
    if len(targets) != config.model["targets"]:
        raise BioqError(
            f"{Path(run) / TARGETS}: has {len(targets)} targets, "
            f"{CONFIG} says {config.model['targets']}; the run is damaged"
        )
    model.targets = targets  # type: ignore[assignment]
    model.config = config  # type: ignore[assignment]
    model.calibration = None  # type: ignore[assignment]
    if calibrated and weights == "best":
        found = read_calibration(Path(run))
        if found is not None and found.weights != weights_checksum(model):
            say(
                f"note: {Path(run) / CALIBRATION}: was fitted for other weights than this run has "
                "now and is left aside; calibrate again ('bioq calibrate'), or remove it"
            )
            found = None
        model.calibration = found  # type: ignore[assignment]
    return model.to(device).eval()


def weights_checksum(model: nn.Module) -> str:
    """Return the checksum of a model's weights by which a calibration knows them."""
    return _checksum({name: part.detach().cpu() for name, part in model.state_dict().items()}, {})


def identity(run: Path) -> str:
    """Return what tells a run's probabilities from another's: the checksum of its weights' file
    and, where it is calibrated, of that file."""
    files = [run / BEST, run / CALIBRATION]
    return "+".join(sha256(file) for file in files if file.is_file())


def save_weights(model: nn.Module, file: Path) -> None:
    """Write a model's weights as safetensors, in one step."""
    save_tensors(model.state_dict(), file)


def load_weights(model: nn.Module, file: Path) -> None:
    """Put the weights of a file into a model of the same architecture."""
    tensors, _ = read_tensors(file)
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else "none"
        expected = tuple(own[name].shape) if name in own else "none"
        if found != expected:
            raise BioqError(
                f"{file}: weight {name} is {found}, the architecture in {CONFIG} has {expected}; "
                "the two do not belong together"
            )
    model.load_state_dict(tensors, assign=True)


def save_tensors(
    tensors: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors and text as one safetensors file with a checksum, in one step."""
    file.parent.mkdir(exist_ok=True)
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = dict(metadata or {})
    metadata[_CHECKSUM] = _checksum(ready, metadata)
    with new_file(file) as partial:
        try:
            save_file(ready, partial, metadata)
        except SafetensorError as error:  # how safetensors says that the disk is full
            raise BioqError(f"{file}: could not be written: {error}") from error


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what `save_tensors` wrote. Raises BioqError if the file is missing or damaged."""
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
    checksum = metadata.pop(_CHECKSUM, None)  # none: written before 2026-11-23
    if checksum is not None and checksum != _checksum(tensors, metadata):
        raise BioqError(
            f"{file}: its checksum does not match: it was damaged after it was written; "
            "restore it or train again"
        )
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the CRC-32 of names, types, shapes, bytes and text, whatever their order."""
    total = zlib.crc32(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total = zlib.crc32(repr((name, tensor.dtype, tuple(tensor.shape))).encode(), total)
        total = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def write_history(run: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write `history.csv`, one row an epoch."""
    with new_file(run / HISTORY) as partial:
        pd.DataFrame(list(history)).to_csv(partial, index=False, lineterminator="\n")


def read_history(run: str | Path) -> pd.DataFrame:
    """Return `history.csv`: one row an epoch, the first is epoch 1."""
    file = Path(run) / HISTORY
    try:
        return pd.read_csv(file)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BioqError(f"{file}: is not a training history ({reason})") from error
