"""Our models work with tangermeme unchanged, and its numbers are ours where they mean the same."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bioq
from bioq import ModelSizes
from bioq.interpretation import integrated_gradients, mutate_window
from bioq.models import build_model

pytest.importorskip("tangermeme", reason="tangermeme is not installed")

from tangermeme.marginalize import marginalize
from tangermeme.predict import predict
from tangermeme.saturation_mutagenesis import saturation_mutagenesis
from tangermeme.variant_effect import substitution_effect

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from deeplift import deeplift_gaps

TINY = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)


@pytest.fixture(params=["danq", "hard gates", "deepsea", "beluga", "loaded"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    if request.param == "loaded":  # `bioq.load` returns a network with its targets
        run: Path = request.getfixturevalue("run")
        return bioq.load(run)
    torch.manual_seed(0)
    convolutions = ModelSizes(filters=8, dense_units=8)
    name, sizes = {
        "danq": ("danq", TINY),
        "hard gates": ("danq", replace(TINY, gates="hard")),
        "deepsea": ("deepsea", convolutions),
        "beluga": ("beluga", replace(convolutions, filter_width=4, pool_width=3)),
    }[request.param]
    built = build_model(name, targets=2, window_bp=200, sizes=sizes).eval()
    with torch.no_grad():  # fresh weights hardly tell windows apart
        for parameter in built.parameters():
            parameter.mul_(3)
    return built


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4, (3, 200)).astype(np.uint8)


def one_hot(codes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(bioq.dna.one_hot(codes)).float()


def probability(logits: torch.Tensor) -> np.ndarray:
    return torch.sigmoid(logits).numpy()


def test_predict_gives_our_logits(model: nn.Module, codes: np.ndarray) -> None:
    theirs = predict(model, one_hot(codes), batch_size=2, device="cpu")
    ours = bioq.predict(model, one_hot(codes), strands="forward")
    np.testing.assert_allclose(probability(theirs), ours, atol=1e-6)


def test_saturation_mutagenesis_gives_our_effects(model: nn.Module, codes: np.ndarray) -> None:
    before, after = saturation_mutagenesis(
        model, one_hot(codes[:1]), start=80, end=90, raw_outputs=True, device="cpu"
    )
    reference, effects = mutate_window(model, codes[0], start=80, end=90, strands="forward")
    np.testing.assert_allclose(probability(before)[0], reference, atol=1e-6)
    theirs = probability(after)[0] - probability(before)[0]
    assert theirs.shape == effects.shape
    np.testing.assert_allclose(theirs, effects, atol=1e-6)
    assert np.abs(effects).max() > 1e-4


def test_substitution_effects_are_those_of_mutagenesis(model: nn.Module, codes: np.ndarray) -> None:
    alt = (codes[:, 100] + 1) % 4
    rows = torch.tensor([[number, 100, int(base)] for number, base in enumerate(alt)])
    before, after = substitution_effect(model, one_hot(codes), rows, device="cpu")
    for number, base in enumerate(alt):
        _, effects = mutate_window(model, codes[number], start=100, end=101, strands="forward")
        theirs = (probability(after) - probability(before))[number]
        np.testing.assert_allclose(theirs, effects[base, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("deepsea", {}), ("deepsea", {"filter_width": 12}), ("deepsea", {"floor": 1e-6}),
     ("beluga", {"filter_width": 6})],
)  # fmt: skip
def test_deeplift_of_convolutions_adds_up_to_their_logits(
    name: str, changes: dict[str, Any]
) -> None:
    """The sum of DeepLIFT's contributions is the difference of the logits (Shrikumar et al. 2017),
    which holds only if every nonlinear step is a module that tangermeme knows."""
    torch.manual_seed(0)
    sizes = ModelSizes(filters=8, dense_units=8, **changes)
    model = build_model(name, targets=2, window_bp=260, sizes=sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    windows = one_hot(np.random.default_rng(2).integers(0, 4, (3, 260)).astype(np.uint8))
    for target in range(2):
        gap, difference = deeplift_gaps(model, windows, target, shuffles=5)
        assert difference.mean() > 1e-2
        # The steps of a floor have no gradient.
        allowed = 1e-5 if "floor" not in changes else 1e-4
        assert gap.max() < allowed * difference.mean()


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["danq", "deepatt", "marq"])
def test_deeplift_of_a_model_with_an_lstm_does_not_add_up(name: str, codes: np.ndarray) -> None:
    """The documentation says so, and which method to use; tangermeme may learn it one day."""
    torch.manual_seed(0)
    sizes = TINY if name != "deepatt" else replace(TINY, attention_units=8, attention_heads=2)
    model = build_model(name, targets=2, window_bp=200, sizes=sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    gap, difference = deeplift_gaps(model, one_hot(codes), 0, shuffles=5)
    assert gap.mean() > 1e-3 * difference.mean()
    ours = integrated_gradients(model, one_hot(codes), target=0, steps=256)
    assert np.abs(ours.completeness_gap).max() < 0.02 * float(difference.mean())


def test_marginalize_is_a_prediction_with_the_motif_inside(
    model: nn.Module, codes: np.ndarray
) -> None:
    motif = "TGACTCA"
    before, after = marginalize(model, one_hot(codes), motif, start=90, device="cpu")
    planted = codes.copy()
    planted[:, 90:97] = bioq.dna.encode(motif)
    for theirs, mine in ((before, codes), (after, planted)):
        ours = bioq.predict(model, one_hot(mine), strands="forward")
        np.testing.assert_allclose(probability(theirs), ours, atol=1e-6)
