"""The checksums of weights: their values are in users' files and must not change."""

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bioq import BioqError
from bioq.runs.calibration import CALIBRATION_FILE, Calibration, CalibrationMap
from bioq.runs.folder import BEST
from bioq.runs.weights import (
    fingerprint,
    predictions_identity,
    read_tensors,
    save_tensors,
    weights_checksum,
    weights_sha256,
)

OLD_MAP = CalibrationMap(lowest=0.125, tail=0)
CALIBRATED = Calibration(name="floor", map=OLD_MAP, weights="", data={}, before={}, after={})
WEIGHT = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
BIAS = np.array([0.5, -0.5], dtype=np.float32)


def linear() -> nn.Module:
    network = nn.Linear(3, 2)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(WEIGHT))
        network.bias.copy_(torch.from_numpy(BIAS))
    return network


def test_the_checksum_of_a_calibration_is_the_crc32_of_names_types_shapes_and_bytes() -> None:
    parts = [
        b"{}",
        b"('bias', torch.float32, (2,))",
        BIAS.tobytes(),
        b"('weight', torch.float32, (2, 3))",
        WEIGHT.tobytes(),
    ]
    assert weights_checksum(linear()) == f"{zlib.crc32(b''.join(parts)):08x}"


def test_the_fingerprint_is_the_sha256_of_names_shapes_values_and_calibration() -> None:
    parts = [b"bias (2,)", BIAS.tobytes(), b"weight (2, 3)", WEIGHT.tobytes()]
    assert fingerprint(linear(), None) == hashlib.sha256(b"".join(parts)).hexdigest()
    parts.append(b"lowest 0.125")
    assert fingerprint(linear(), CALIBRATED) == hashlib.sha256(b"".join(parts)).hexdigest()
    others = [
        replace(CALIBRATED, map=replace(OLD_MAP, **change))
        for change in ({"tail": 0.01}, {"scale": 2.0}, {"shift": 1.0}, {"lowest": 0.25})
    ]
    assert len({fingerprint(linear(), other) for other in [CALIBRATED, *others]}) == 5


def test_a_run_is_identified_by_the_sha256_of_its_weights_and_calibration(run: Path) -> None:
    (run / BEST).unlink()
    with pytest.raises(BioqError, match=r"model.safetensors: no such file; expected a run that"):
        predictions_identity(run)
    (run / BEST).write_bytes(b"weights")
    weights = hashlib.sha256(b"weights").hexdigest()
    assert weights_sha256(run) == predictions_identity(run) == weights
    (run / CALIBRATION_FILE).write_bytes(b"calibration")
    calibration = hashlib.sha256(b"calibration").hexdigest()
    assert weights_sha256(run) == weights
    assert predictions_identity(run) == f"{weights}+{calibration}"


def test_changed_text_beside_the_tensors_is_found_by_the_checksum(tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    save_tensors({"weight": torch.ones(2)}, file, {"position": "epoch 5"})
    assert read_tensors(file)[1] == {"position": "epoch 5"}
    file.write_bytes(file.read_bytes().replace(b"epoch 5", b"epoch 6"))
    with pytest.raises(BioqError, match="its checksum does not match"):
        read_tensors(file)
