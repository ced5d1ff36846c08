"""The model of `bioq.load` is a module like any other, and has its targets and calibration."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from calibrated_run import floor, give_calibration
from torch import nn

import bioq
from bioq.dataset import Dataset
from bioq.forward import predict_codes, predict_edits
from bioq.interpretation import mutate_window
from bioq.runs.trained_model import load
from bioq.runs.weights import read_tensors, save_weights


@pytest.fixture
def calibrated(run: Path) -> Path:
    return give_calibration(run, floor(0.25))


@pytest.fixture
def windows(masked_data: Dataset) -> torch.Tensor:
    return torch.from_numpy(masked_data["test"].read(slice(None)).windows).float()


def codes(windows: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4, (windows, 200)).astype(np.uint8)


def test_it_is_a_module_that_returns_the_logits_of_its_network(
    calibrated: Path, windows: torch.Tensor
) -> None:
    model = load(calibrated)
    assert isinstance(model, nn.Module)
    with torch.no_grad():
        assert torch.equal(model(windows), model.network(windows))
        logits = model(windows)
    forward = bioq.predict(model, windows, strands="forward")
    np.testing.assert_allclose(forward, 0.25 + 0.75 * torch.sigmoid(logits), atol=1e-6)
    plain = bioq.predict(model.network, windows, strands="forward")
    np.testing.assert_allclose(plain, torch.sigmoid(logits), atol=1e-6)


def test_it_trains_moves_copies_and_pickles_as_modules_do(
    calibrated: Path, windows: torch.Tensor
) -> None:
    model = load(calibrated)
    assert not model.training
    assert not model.network.training
    assert model.train().network.training
    assert model.eval().to("cpu") is model
    assert len(list(model.parameters())) == len(list(model.network.parameters()))
    expected = bioq.predict(model, windows)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.network is not model.network
        assert other.calibration == model.calibration
        assert list(other.targets["name"]) == ["first", "second"]
        np.testing.assert_array_equal(bioq.predict(other, windows), expected)


def test_the_file_of_weights_has_the_names_of_the_network(run: Path, tmp_path: Path) -> None:
    model = load(run)
    save_weights(model.network, tmp_path / "again.safetensors")
    names = read_tensors(tmp_path / "again.safetensors")[0].keys()
    assert names == read_tensors(run / "model.safetensors")[0].keys()
    assert (tmp_path / "again.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_other_weights_than_the_two_of_a_run_are_refused(run: Path) -> None:
    with pytest.raises(bioq.UsageError) as error:
        load(run, weights="first")
    assert str(error.value) == "weights 'first'; expected best or last"


def test_window_and_bin_are_those_of_the_data_set(run: Path) -> None:
    model = load(run)
    assert (model.window_bp, model.bin_bp) == (200, 40)


@pytest.mark.parametrize("where", ["model", "network", "layer"])
@pytest.mark.parametrize("kind", ["before", "after"])
def test_hooks_run_wherever_they_are(run: Path, where: str, kind: str) -> None:
    model = load(run)
    calls: list[int] = []
    hooked = {"model": model, "network": model.network, "layer": model.network.conv}[where]
    assert isinstance(hooked, nn.Module)
    if kind == "after":
        hooked.register_forward_hook(lambda *_: calls.append(1))
    else:
        hooked.register_forward_pre_hook(lambda *_: calls.append(1))
    three = codes(3)
    predict_codes(model, three)
    assert calls
    calls.clear()
    edited = three.copy()
    edited[:, 100] = (edited[:, 100] + 1) % 4
    predict_edits(model, three, edited, np.arange(3))
    assert calls
    calls.clear()
    mutate_window(model, three[0], start=0, end=60)
    assert len(calls) > 1
