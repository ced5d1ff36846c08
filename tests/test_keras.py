"""First weights and RMSprop of Keras 0.2, beside NumPy; recipe `danq`, and runs of before."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bioq
from bioq import ModelSizes, TrainConfig
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.models import build_model
from bioq.runs.folder import CONFIG, STATE
from bioq.training.keras import KerasRMSprop, start_as_keras
from bioq.training.plan import recorded_plan
from bioq.training.recipes import RECIPES, make_optimizer

SIZES = ModelSizes(filters=24, filter_width=8, pool_width=4, lstm_units=16, dense_units=20)


def started(name: str = "danq") -> dict[str, np.ndarray]:
    torch.manual_seed(3)
    network = build_model(name, targets=7, window_bp=60, sizes=SIZES)
    start_as_keras(network)
    return {key: weight.detach().numpy() for key, weight in network.named_parameters()}


def uniform_in(weight: np.ndarray, limit: float) -> None:
    """The largest of n uniform values is near the limit, their standard deviation limit / √3."""
    assert limit * (1 - 20 / weight.size) < np.abs(weight).max() <= limit
    assert weight.std() == pytest.approx(limit / math.sqrt(3), rel=0.12)


def test_each_layer_starts_as_in_keras() -> None:
    weights = started()
    uniform_in(weights["conv.weight"], 0.05)
    uniform_in(weights["dense.weight"], math.sqrt(6 / (13 * 32 + 20)))
    uniform_in(weights["output.weight"], math.sqrt(6 / (20 + 7)))
    for ending in ("", "_reverse"):
        for gate in np.split(weights[f"lstm.weight_ih_l0{ending}"], 4):
            uniform_in(gate, math.sqrt(6 / (24 + 16)))
        for gate in np.split(weights[f"lstm.weight_hh_l0{ending}"], 4):
            np.testing.assert_allclose(gate @ gate.T, 1.1**2 * np.eye(16), atol=1e-5)
    for name in ("conv.bias", "dense.bias", "output.bias", "lstm.bias_hh_l0"):
        assert not weights[name].any(), name
    of_gates = np.split(weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"], 4)
    assert [float(gate.mean()) for gate in of_gates] == [0, 1, 0, 0]  # input, forget, cell, output
    assert all(gate.std() == 0 for gate in of_gates)


def test_layers_that_keras_did_not_have_keep_their_start() -> None:
    torch.manual_seed(3)
    network = build_model("marq", targets=7, window_bp=200)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    start_as_keras(network)
    changed = {
        name for name, weight in network.state_dict().items() if (weight != before[name]).any()
    }
    kinds = (nn.Conv1d, nn.Linear, nn.LSTM)
    of_keras = {name for name, layer in network.named_modules() if isinstance(layer, kinds)}
    assert {name.rpartition(".")[0] for name in changed} <= of_keras
    assert {"conv.weight", "lstm.weight_hh_l0"} <= changed


def test_rmsprop_takes_the_steps_of_keras() -> None:
    generator = np.random.default_rng(0)
    weight = nn.Parameter(torch.tensor(generator.normal(size=50), dtype=torch.float64))
    expected, mean = weight.detach().numpy().copy(), np.zeros(50)
    optimizer = KerasRMSprop([{"params": [weight]}], lr=0.01)
    for _step in range(5):
        gradient = generator.normal(size=50) * 10.0 ** generator.integers(-6, 1, 50)
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        mean = 0.9 * mean + 0.1 * gradient**2
        expected -= 0.01 * gradient / np.sqrt(mean + 1e-6)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12, atol=1e-15)
    small = KerasRMSprop([{"params": [tiny := nn.Parameter(torch.zeros(1))]}], lr=1e-3)
    tiny.grad = torch.full((1,), 1e-7)
    small.step()
    assert tiny.item() == pytest.approx(-1e-7, rel=1e-3)  # as plain descent at a rate of 1


def test_rmsprop_adds_weight_decay_to_the_gradient() -> None:
    weight = nn.Parameter(torch.full((2, 2), 2.0))
    weight.grad = torch.full((2, 2), 1.0)
    recipe = dataclasses.replace(RECIPES["danq"], weight_decay=0.5)
    model = nn.ParameterDict({"weight": weight})
    make_optimizer(recipe, model).step()
    assert weight.detach().unique().item() == pytest.approx(2 - 1e-3 * 2 / math.sqrt(0.4 + 1e-6))


def test_only_the_recipe_of_danq_starts_as_keras() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.start == "keras"] == ["danq"]


OPTIONS = ["--recipe", "danq", "--batch-size", "8", "--device", "cpu", "--model", "danq"]
SMALL_SIZES = ["--filters", "8", "--filter-width", "6", "--pool-width", "10", "--lstm-units", "4"]


def trained(data: Dataset, run: Path, *more: str) -> dict[str, torch.Tensor]:
    command = ["train", str(data.path), "--out", str(run), *OPTIONS, *SMALL_SIZES, *more]
    assert main(command) == 0
    return bioq.load(run).network.state_dict()


def test_a_training_by_the_command_starts_as_keras_and_resumes_bit_for_bit(
    masked_data: Dataset, tmp_path: Path
) -> None:
    whole = trained(masked_data, tmp_path / "whole", "--epochs", "3")
    half = tmp_path / "half"
    trained(masked_data, half, "--epochs", "1")
    config = json.loads((half / CONFIG).read_text())
    config["training"]["epochs"] = config["training"]["resolved"]["epochs"] = 3
    (half / CONFIG).write_text(json.dumps(config))
    assert main(["train", str(masked_data.path), "--out", str(half), "--resume"]) == 0
    resumed = bioq.load(half).network.state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    other = trained(masked_data, tmp_path / "other", "--epochs", "1", "--start", "pytorch")
    assert other["lstm.bias_ih_l0"].chunk(4)[1].mean() < 0.7  # near 1 from Keras's start
    assert resumed["lstm.bias_ih_l0"].chunk(4)[1].mean() > 0.9


def test_a_run_of_before_continues_as_it_was_started(masked_data: Dataset, tmp_path: Path) -> None:
    """Its recipe `danq` was PyTorch's RMSprop from PyTorch's first weights."""
    run = tmp_path / "run"
    as_before = TrainConfig(
        recipe="danq", start="pytorch", optimizer="rmsprop", epochs=2, batch_size=8, device="cpu"
    )
    sizes = ModelSizes(filters=8, filter_width=6, pool_width=10, lstm_units=4, dense_units=8)
    bioq.train(masked_data, run, model="danq", sizes=sizes, config=as_before)
    expected = bioq.load(run).network.state_dict()
    config = json.loads((run / CONFIG).read_text())
    config["training"]["optimizer"] = None
    del config["training"]["start"], config["training"]["resolved"]["start"]
    (run / CONFIG).write_text(json.dumps(config))
    plan = recorded_plan(run)
    assert (plan.recipe.start, plan.recipe.optimizer) == ("pytorch", "rmsprop")
    for file in (run / STATE, run / "model.safetensors", run / "last.safetensors"):
        file.unlink()  # it was stopped before its first checkpoint
    (run / "history.csv").unlink()
    resumed = bioq.train(masked_data, run, resume=True).network.state_dict()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_motifs_are_placed_over_the_start_of_keras(masked_data: Dataset, tmp_path: Path) -> None:
    """As in DanQ-JASPAR_train.py, whose other filters keep their uniform weights."""
    file = tmp_path / "motifs.meme"
    file.write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF one\nletter-probability matrix: w= 4\n"
        + " 1 0 0 0\n" * 4
    )
    config = TrainConfig(recipe="danq", epochs=1, lr=1e-12, batch_size=8, device="cpu")
    model = bioq.train(
        masked_data, tmp_path / "run", model="danq", sizes=SIZES, motifs=str(file), config=config
    )
    filters = model.network.conv.weight.detach().numpy()
    largest = np.abs(filters).max(axis=(1, 2))
    assert (largest > 0.5).any()
    assert largest[-1] <= 0.05 + 1e-6
