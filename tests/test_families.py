"""A model is one record: what is built, trained and shown follows from it."""

from dataclasses import dataclass, fields
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq import UsageError
from bioq.cli import main
from bioq.dna.tensors import one_hot
from bioq.fast import prepare, prepare_edits
from bioq.fast.training import training_forward
from bioq.models import ModelSizes, build_from_architecture, build_model, families
from bioq.models.danq import DanQ, DanQSizes
from bioq.models.families import FAMILIES, PUBLISHED, first_convolution
from bioq.models.family import Architecture, Family
from bioq.models.sizes import pooled_positions
from bioq.models.summary import summarise
from bioq.training.recipes import RECIPES, RecipeName, TrainConfig


def gradients(model: nn.Module, logits: Tensor) -> list[Tensor]:
    model.zero_grad()
    (logits * torch.linspace(-1, 2, logits.numel()).view(logits.shape)).sum().backward()
    return [logits.detach(), *(weight.grad for weight in model.parameters())]  # type: ignore[misc]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_size_of_a_model_is_an_option_in_the_order_of_config_json(name: str) -> None:
    options = [field.name for field in fields(ModelSizes)]
    sizes = [field.name for field in fields(PUBLISHED[name])]
    assert sizes == [option for option in options if option in sizes]


def test_no_two_families_share_a_name() -> None:
    assert len(PUBLISHED) == sum(len(family.published) for family in FAMILIES)
    assert len({"small", "large", *RECIPES}) == 2 + sum(len(family.recipes) for family in FAMILIES)


def test_every_family_names_recipes_and_models_that_exist() -> None:
    for family in FAMILIES:
        assert family.small_recipe in RECIPES
        assert set(family.motifs) <= set(family.published)
    assert set(get_args(RecipeName)) == {"auto", *RECIPES}


@pytest.mark.parametrize("command", ["train", "summary"])
def test_the_help_names_every_model(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out.replace("│", " ").split()
    words = {word.strip("().,;") for word in shown}
    assert set(PUBLISHED) <= words


def test_a_network_built_without_build_model_has_its_architecture() -> None:
    sizes = DanQSizes(4, 8, 5, 3, 1, 6, 0.2, 0.5)
    model = DanQ(Architecture("danq", 2, 100, sizes))
    again = build_from_architecture(model.architecture)
    assert again.architecture == model.architecture
    assert {name: weight.shape for name, weight in again.state_dict().items()} == {
        name: weight.shape for name, weight in model.state_dict().items()
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bioq", [("drop_conv", (4, 21)), ("drop_head", (21, 6))]),
        ("deepsea", [("drop_conv", (4, 73)), ("drop_conv", (6, 16)), ("drop_head", (12, 9))]),
        ("deepatt", [("drop_conv", (4, 18)), ("drop_head", (2, 400))]),
        ("marq", [("drop_conv", (14, 4)), ("drop_head", (14, 6)), ("window.drop", (5,))]),
    ],
)
def test_every_dropout_runs_in_its_position(
    name: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    sizes = ModelSizes(filters=4, dense_units=5, lstm_units=None if name == "deepsea" else 3)
    model = build_model(name, targets=2, window_bp=300, sizes=sizes)
    seen = []
    for part, layer in model.named_modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(
                lambda _, inputs, __, part=part: seen.append((part, tuple(inputs[0].shape[1:])))
            )
    model(torch.zeros(1, 4, 300))
    assert seen == expected


@dataclass(frozen=True)
class TinySizes:
    filters: int
    filter_width: int
    pool_width: int


class Tiny(nn.Module):
    """A network as a contributor would write it."""

    def __init__(self, architecture: Architecture[TinySizes]):
        super().__init__()
        sizes = architecture.sizes
        self.architecture = architecture.as_json()
        positions = pooled_positions(architecture.window_bp, sizes.filter_width, sizes.pool_width)
        self.first = nn.Conv1d(4, sizes.filters, sizes.filter_width)
        self.pool = nn.MaxPool1d(sizes.pool_width)
        self.output = nn.Linear(sizes.filters * positions, architecture.targets)

    def forward(self, windows: Tensor) -> Tensor:
        return self.after_pooling(self.pool(functional.relu(self.first(windows))))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.output(pooled.flatten(1))
        return logits


TINY = Family(Tiny, published={"tiny": TinySizes(6, 5, 4)}, first_layer="first")


@pytest.fixture
def with_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "FAMILIES", (*FAMILIES, TINY))
    monkeypatch.setattr(families, "PUBLISHED", {**PUBLISHED, **TINY.published})


def test_a_new_model_is_its_file_and_one_record(with_tiny: None) -> None:
    model = build_model("tiny", targets=2, window_bp=100, sizes=ModelSizes(filters=3))
    assert model.architecture == {
        "name": "tiny",
        "targets": 2,
        "window_bp": 100,
        "sizes": {"filters": 3, "filter_width": 5, "pool_width": 4},
    }
    assert [(layer.layer, layer.output) for layer in summarise(model).layers] == [
        ("windows", (4, 100)),
        ("first", (3, 96)),
        ("pool", (3, 24)),
        ("output", (2,)),
    ]
    assert TrainConfig().resolve(1000, "tiny") == RECIPES["small"]
    assert prepare(model, "32") is None
    assert prepare_edits(model, "32") is None


def test_a_new_model_trains_with_the_fast_first_layer(
    with_tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = build_model("tiny", targets=2, window_bp=100)
    codes = torch.from_numpy(np.random.default_rng(1).integers(0, 5, (7, 100)).astype(np.uint8))
    plain = gradients(model, model(one_hot(codes).float()))

    def refuse(*_: object) -> None:
        raise AssertionError("the convolution of PyTorch ran")

    monkeypatch.setattr(functional, "conv1d", refuse)
    fast = gradients(model, training_forward(model, "32")(codes))
    for mine, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)


class Poolless(nn.Module):
    """A network without an attribute `pool`, whose first `nn.Conv1d` is not its first layer."""

    def __init__(self, architecture: Architecture[TinySizes]):
        super().__init__()
        self.architecture = architecture.as_json()
        self.unused = nn.Conv1d(4, 1, 1)
        self.first = nn.Conv1d(4, architecture.sizes.filters, architecture.sizes.filter_width)
        self.output = nn.Linear(architecture.sizes.filters, architecture.targets)

    def forward(self, windows: Tensor) -> Tensor:
        return self.after_pooling(functional.relu(self.first(windows)).amax(dim=2))

    def after_pooling(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.output(pooled)
        return logits


def test_a_network_without_pool_trains_with_the_first_layer_of_pytorch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poolless = Family(Poolless, published={}, first_layer="first")
    monkeypatch.setattr(families, "FAMILIES", (*FAMILIES, poolless))
    model = Poolless(Architecture("poolless", 2, 100, TinySizes(3, 5, 4)))
    codes = torch.from_numpy(np.random.default_rng(1).integers(0, 5, (7, 100)).astype(np.uint8))
    assert torch.equal(training_forward(model, "32")(codes), model(one_hot(codes).float()))
    assert first_convolution(model) is model.first


def test_the_first_convolution_of_any_other_network_is_its_first_conv1d() -> None:
    layers = nn.Sequential(nn.Dropout(), nn.Conv1d(4, 2, 3), nn.Conv1d(2, 2, 3))
    assert first_convolution(layers) is layers[1]
    with pytest.raises(UsageError, match=r"^Sequential has no nn\.Conv1d"):
        first_convolution(nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.filterwarnings("ignore:The tensor attributes self.lstm._flat_weights")  # of nn.LSTM
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_model_is_exported_with_the_same_logits(name: str) -> None:
    """`torch.export` is what the ONNX exporter of PyTorch starts from."""
    torch.manual_seed(0)
    given = {"filters": 8, "lstm_units": 4, "dense_units": 8}
    own = [field.name for field in fields(PUBLISHED[name])]
    sizes = ModelSizes(**{size: value for size, value in given.items() if size in own})
    network = build_model(name, targets=3, window_bp=1000, sizes=sizes).eval()
    windows = torch.from_numpy(one_hot_windows(2, 1000))
    with torch.no_grad():
        expected = network(windows)
        exported = torch.export.export(network, (windows,)).module()
        torch.testing.assert_close(exported(windows), expected)


def one_hot_windows(windows: int, length: int) -> np.ndarray:
    bases = np.random.default_rng(7).integers(0, 4, (windows, length))
    return np.eye(4, dtype=np.float32)[bases].transpose(0, 2, 1).copy()
