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
    load_weights,
    predictions_identity,
    read_tensors,
    save_half,
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


def test_weights_in_half_precision_are_read_as_numpy_reads_them(run: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32) / 10
    values[0, :3] = 0, 1e-7, -7e-8
    whole = nn.Linear(30, 20)
    with torch.no_grad():
        whole.weight.copy_(torch.from_numpy(values))
    save_tensors(whole.state_dict(), run / BEST)
    small = tmp_path / "small.safetensors"
    save_half(run, small)
    assert small.stat().st_size < 0.55 * (run / BEST).stat().st_size
    network = nn.Linear(30, 20)
    load_weights(network, small)
    assert network.weight.dtype == torch.float32
    np.testing.assert_array_equal(
        network.weight.detach().numpy(), values.astype(np.float16).astype(np.float32)
    )
    error = np.abs(network.weight.detach().numpy() - values)
    assert (error <= np.maximum(np.abs(values) * 2.0**-11, 2.0**-25)).all()


def test_a_weight_too_large_for_half_precision_is_refused(run: Path, tmp_path: Path) -> None:
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight[0, 0] = 70_000
    save_tensors(network.state_dict(), run / BEST)
    with pytest.raises(BioqError, match=r"1 of the 2 numbers in weight are NaN or infinite"):
        save_half(run, tmp_path / "small.safetensors")
    assert not (tmp_path / "small.safetensors").exists()


def test_a_type_that_is_neither_float32_nor_half_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "double.safetensors"
    save_tensors({name: each.double() for name, each in linear().state_dict().items()}, file)
    with pytest.raises(BioqError, match=r"bias is of type F64, expected F32"):
        load_weights(linear(), file)
