"""Recipes: the papers' are as published, and every choice is checked."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bioq import ModelSizes, TrainConfig, UsageError
from bioq.dataset import Dataset, new_dataset, open_dataset
from bioq.training.plan import TrainingRequest, make_plan, request_from_options
from bioq.training.recipes import (
    MOST_EPOCHS,
    RECIPES,
    Recipe,
    learning_rate_at,
    make_optimizer,
    running_mean,
)


def test_bioq_recipe_is_as_published() -> None:
    recipe = TrainConfig(recipe="bioq").resolve(1000)
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == ("rmsprop", 1e-5, 100)
    assert (recipe.epochs, recipe.clip_norm, recipe.patience) == (55, 1.0, 0)
    optimizer = make_optimizer(recipe, nn.Linear(2, 2))
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert all(group["alpha"] == 0.9 for group in optimizer.param_groups)


def test_danq_recipe_is_as_published() -> None:
    recipe = TrainConfig(recipe="danq").resolve(1000)
    assert (recipe.start, recipe.optimizer) == ("keras", "rmsprop-keras")  # see test_keras.py
    assert (recipe.learning_rate, recipe.batch_size) == (1e-3, 100)
    assert (recipe.epochs, recipe.patience, recipe.select_by) == (60, 5, "valid_loss")


def test_auto_takes_the_recipe_of_the_model_and_of_the_size() -> None:
    def chosen(windows: int, model: str) -> Recipe:
        return TrainConfig().resolve(windows, model)

    assert chosen(1000, "bioq") == chosen(1000, "deepsea") == RECIPES["small"]
    assert chosen(1000, "marq") == RECIPES["marq"]
    assert chosen(1000, "deepatt") == RECIPES["deepatt"]
    for model in ("bioq", "deepatt", "marq"):
        assert chosen(200_000, model) == RECIPES["large"]


def test_a_small_training_set_gets_epochs_for_5400_steps(masked_data: Dataset) -> None:
    def epochs(windows: int, model: str = "marq", **options: Any) -> int:
        config = TrainConfig(**options)
        recipe = config.resolve(windows, model)
        return config.with_enough_steps(recipe, windows, model).epochs

    assert [epochs(windows) for windows in (10, 1000, 2860, 8640, 100_000)] == [
        200,
        169,
        60,
        20,
        20,
    ]
    assert epochs(1000, batch_size=8) == 44
    assert epochs(1000, epochs=7) == 7
    assert epochs(1000, recipe="large") == 10
    assert epochs(1000, recipe="bioq") == 55
    assert epochs(300_000) == 10
    assert epochs(1000, strands="both") == 86


def test_more_epochs_need_a_validation_that_chooses(masked_data: Dataset, tmp_path: Path) -> None:
    request = TrainingRequest(model="marq")
    assert make_plan(request, masked_data).recipe.epochs == MOST_EPOCHS
    table = masked_data.targets
    with new_dataset(tmp_path / "alone", masked_data.description, table) as writer:
        with writer.split("train") as split:
            split.append(np.zeros((40, 200), np.uint8), np.zeros((40, 1), np.uint8))
    alone = make_plan(request, open_dataset(tmp_path / "alone"))
    assert alone.recipe.epochs == RECIPES["marq"].epochs


def test_outputs_of_deepatt_never_start_at_the_positive_rates() -> None:
    # Its ReLU units all die then: docs/log/experiments.md.
    assert not any(TrainConfig().resolve(size, "deepatt").output_bias for size in (1000, 1 << 20))


def test_marq_recipe_reaches_optimizer_and_mean() -> None:
    recipe = TrainConfig(recipe="marq").resolve(1000)
    assert (recipe.learning_rate, recipe.average) == (4e-3, 0.995)
    optimizer = make_optimizer(recipe, nn.Linear(2, 2))
    assert all(group["betas"] == (0.9, 0.99) for group in optimizer.param_groups)


def test_the_running_mean_weighs_the_past_by_powers() -> None:
    model = nn.Linear(2, 2)
    mean, seen = running_mean(model, 0.9), []
    for _ in range(5):
        nn.init.normal_(model.weight)
        mean.update_parameters(model)
        seen.append(model.weight.detach().clone())
    expected = 0.9**4 * seen[0] + sum(0.1 * 0.9 ** (4 - n) * seen[n] for n in range(1, 5))
    torch.testing.assert_close(mean.module.weight.detach(), expected)


def test_a_choice_wins_over_the_recipe() -> None:
    recipe = TrainConfig(recipe="bioq", lr=0.5, epochs=2, output_bias=True).resolve(1000)
    assert (recipe.learning_rate, recipe.epochs, recipe.output_bias) == (0.5, 2, True)
    assert recipe.optimizer == RECIPES["bioq"].optimizer


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"lr": 0.0}, "--lr 0.0, expected more than 0"),
        ({"batch_size": 0}, "--batch-size 0, expected 1 or more"),
        ({"epochs": -1}, "--epochs -1, expected 1 or more"),
        ({"patience": -1}, "--patience -1, expected 0 or more"),
        ({"clip_norm": -0.5}, "--clip-norm -0.5, expected 0 or more"),
        ({"optimizer": "sgd"}, "--optimizer 'sgd', expected rmsprop, rmsprop-keras, adam or adamw"),
        ({"start": "tf"}, "--start 'tf', expected pytorch or keras"),
        ({"lr": math.nan}, "--lr nan"),
        ({"select_by": "macro"}, "--select-by 'macro', expected valid_loss, valid_macro_average"),
        (
            {"data_in": "disc"},
            "--data-in 'disc', did you mean disk? expected auto, disk, memory or device",
        ),
        ({"strands": "reverse"}, "--strands 'reverse', expected random, both or forward"),
        ({"schedule": "linear"}, "--schedule 'linear', expected constant or cosine"),
        ({"average": 1.0}, "--average 1.0, expected 0 or more, below 1"),
        (
            {"recipe": "best"},
            "--recipe 'best', expected auto, small, large, bioq, danq, deepatt or marq",
        ),
    ],
)
def test_a_choice_out_of_range_is_named(choice: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(**choice)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_cosine_schedule_agrees_with_pytorchs_own() -> None:
    recipe = TrainConfig(lr=1.0, epochs=4, warmup_epochs=0.0, schedule="cosine").resolve(1000)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.01)
    for step in range(40):
        expected = optimizer.param_groups[0]["lr"]
        assert learning_rate_at(recipe, step, 10) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        reference.step()


def test_warm_up_rises_to_the_full_rate() -> None:
    recipe = TrainConfig(lr=2.0, warmup_epochs=0.5, schedule="constant").resolve(1000)
    assert [learning_rate_at(recipe, step, 8) for step in range(6)] == [0.5, 1, 1.5, 2, 2, 2]


def test_weight_decay_spares_the_biases() -> None:
    recipe = TrainConfig(weight_decay=0.1, optimizer="adamw").resolve(1000)
    model = nn.Linear(3, 2)
    decays = {
        id(parameter): group["weight_decay"]
        for group in make_optimizer(recipe, model).param_groups
        for parameter in group["params"]
    }
    assert decays == {id(model.weight): 0.1, id(model.bias): 0.0}


def test_the_recipe_follows_the_size_of_the_data() -> None:
    assert TrainConfig().resolve(199_999) == RECIPES["small"]
    assert TrainConfig().resolve(200_000) == RECIPES["large"]
    assert TrainConfig(recipe="large").resolve(10) == RECIPES["large"]


@pytest.mark.parametrize(
    "request_",
    [
        TrainingRequest("danq", ModelSizes(filters=8), "none", config=TrainConfig(lr=1e-2, seed=3)),
        TrainingRequest(from_run=Path("run").resolve(), freeze=True),
    ],
)
def test_a_request_is_made_again_from_its_options(request_: TrainingRequest) -> None:
    options = json.loads(json.dumps(request_.options()))  # as the ranks of a training get them
    assert request_from_options(options) == request_
