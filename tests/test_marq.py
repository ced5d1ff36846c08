"""Marq agrees with a forward pass written here in NumPy, and its parts are what they say."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from test_composition import counted
from test_models import (
    logits_of,
    numpy_convolution,
    numpy_lstm,
    numpy_pool,
    random_windows,
)
from torch import nn
from variant_cases import make_run

import bioq
from bioq.dna.tensors import one_hot
from bioq.errors import BioqError, UsageError
from bioq.fast import prepare, prepare_edits
from bioq.fast.kmers import LETTERS
from bioq.fast.training import training_forward
from bioq.forward import predict_codes, predict_edits
from bioq.interpretation import mutate_window
from bioq.models import ModelSizes, build_from_architecture, build_model
from bioq.models.marq import Marq, TargetMean, WindowHead
from bioq.models.summary import summarise

SMALL = ModelSizes(filters=6, filter_width=5, pool_width=3, lstm_units=4, dense_units=7)
Floats = npt.NDArray[np.float64]
Weights = dict[str, Floats]


def small_model(targets: int = 3, window_bp: int = 100) -> Marq:
    """A small model with weights large enough for every part to matter."""
    torch.manual_seed(0)
    model = build_model("marq", targets=targets, window_bp=window_bp, sizes=SMALL).eval()
    assert isinstance(model, Marq)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
        assert model.composition is not None
        model.composition.weight.uniform_(-0.1, 0.1)
        model.composition.bias.uniform_(-0.7, 0.7)
    return model


def weights_of(model: nn.Module) -> Weights:
    return {name: value.numpy().astype(float) for name, value in model.state_dict().items()}


def dense(rows: Floats, weights: Weights, name: str) -> Floats:
    return rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(rows: Floats, weights: Weights, name: str) -> Floats:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def softmax(values: Floats, axis: int) -> Floats:
    exponents = np.exp(values - values.max(axis=axis, keepdims=True))
    return exponents / exponents.sum(axis=axis, keepdims=True)


def gelu(values: Floats) -> Floats:
    return torch.nn.functional.gelu(torch.from_numpy(values)).numpy()


def numpy_logits(model: Marq, windows: npt.NDArray[np.float32]) -> Floats:
    weights, sizes = weights_of(model), model.architecture["sizes"]
    result = numpy_convolution(windows.astype(float), weights["conv.weight"], weights["conv.bias"])
    pooled = numpy_pool(result, sizes["pool_width"]).transpose(0, 2, 1)
    normed = norm(pooled, weights, "norm")
    ways = [("l0", False), ("l0_reverse", True)]
    read_ways = [numpy_lstm(normed, weights, name, backwards=turned) for name, turned in ways]
    logits = []
    for read in np.concatenate(read_ways, axis=2):
        keys = dense(read, weights, "mean.keys")
        shares = softmax(keys @ weights["mean.queries"].T + weights["mean.place"], axis=0)
        means = (shares * dense(read, weights, "output")).sum(axis=0)
        squeezed = dense(read, weights, "window.squeeze").reshape(-1)
        whole = gelu(dense(squeezed, weights, "window.dense"))
        logits.append(means + weights["window.output.weight"] @ whole)
    return 0.7 * np.stack(logits) + 0.3 * numpy_composition(weights, windows)


def numpy_composition(weights: Weights, windows: npt.NDArray[np.float32]) -> Floats:
    """Counts of strings, and a linear layer."""
    letters = np.where(windows.any(axis=1), windows.argmax(axis=1), 4)
    counts = np.stack([counted("".join("ACGTN"[base] for base in row)) for row in letters])
    read = 2 * np.sqrt(counts + 0.375)
    return read @ weights["composition.weight"].T + weights["composition.bias"]


def test_small_model_equals_the_numpy_forward_pass() -> None:
    model, windows = small_model(), random_windows(4, 100)
    expected = numpy_logits(model, windows)
    assert np.ptp(expected, axis=0).min() > 0.01, "windows differ"
    assert np.ptp(expected, axis=1).min() > 0.01, "targets differ"
    np.testing.assert_allclose(logits_of(model, windows), expected, atol=1e-5)


def test_full_size_model_equals_the_numpy_forward_pass() -> None:
    torch.manual_seed(1)
    model, windows = build_model("marq", targets=5).eval(), random_windows(1, 1000)
    assert isinstance(model, Marq)
    np.testing.assert_allclose(logits_of(model, windows), numpy_logits(model, windows), atol=1e-5)


def test_what_the_whole_window_says_starts_at_nothing() -> None:
    torch.manual_seed(0)
    head, read = WindowHead(9, 8, 7, 5, 0.0), torch.randn(4, 9, 8)
    assert not head(read).any()
    with torch.no_grad():
        head.output.weight.normal_()
        assert head(read).std(dim=0).min() > 0
        moved = head(read.roll(1, dims=1))
    assert not torch.allclose(moved, head(read)), "it knows places"


def test_a_targets_logit_lies_between_its_scores_and_an_even_mean_is_one() -> None:
    torch.manual_seed(0)
    mean, read, scores = TargetMean(9, 8, 5), torch.randn(4, 9, 8), torch.randn(4, 9, 5)
    with torch.no_grad():
        result = mean(read, scores)
        assert (result <= scores.amax(dim=1)).all()
        assert (result >= scores.amin(dim=1)).all()
        mean.queries.zero_()
        torch.testing.assert_close(mean(read, scores), scores.mean(dim=1))
        mean.place[3] = 50.0
        torch.testing.assert_close(mean(read, scores), scores[:, 3])


def test_a_targets_bias_moves_its_logit_by_itself() -> None:
    model, windows = small_model(), random_windows(3, 100)
    before = logits_of(model, windows)
    with torch.no_grad():
        model.output.bias.add_(torch.tensor([1.0, 0, -3]))
    np.testing.assert_allclose(
        logits_of(model, windows), before + 0.7 * np.array([1, 0, -3]), atol=1e-5
    )


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_fast_path_gives_the_same_logits(precision: str, layers: int) -> None:
    torch.manual_seed(0)
    model = build_model("marq", targets=4, sizes=ModelSizes(lstm_layers=layers)).eval()
    codes = torch.randint(0, LETTERS, (70, 1000), dtype=torch.uint8)
    engine = prepare(model, precision)  # type: ignore[arg-type]
    if engine is None:
        pytest.skip("no bf16 on this processor")
    with torch.no_grad():
        plain = model(one_hot(codes).float())
        result = engine(codes)
    assert result.dtype == torch.float32
    difference = (torch.sigmoid(result) - torch.sigmoid(plain)).abs().max().item()
    assert difference < (1e-6 if precision == "32" else 0.01)


def test_the_fast_path_of_a_model_in_training_has_no_dropout() -> None:
    model, codes = small_model(), torch.randint(0, LETTERS, (3, 100), dtype=torch.uint8)
    with torch.no_grad():
        expected = model(one_hot(codes).float())
        engine = prepare(model.train(), "32")
        assert engine is not None
        torch.testing.assert_close(engine(codes), expected)


def test_the_fast_paths_follow_the_weights() -> None:
    model, codes = small_model(), torch.randint(0, LETTERS, (3, 100), dtype=torch.uint8)
    edited, of = codes.numpy().copy(), np.arange(3)
    edited[:, 50] = (edited[:, 50] + 1) % LETTERS
    with torch.no_grad():
        prepare_edits(model, "32")(codes.numpy(), edited, of)  # type: ignore[misc]
        before = prepare(model, "32")(codes)  # type: ignore[misc]
        model.lstm.weight_hh_l0.add_(1)
        after = prepare(model, "32")(codes)  # type: ignore[misc]
        torch.testing.assert_close(after, model(one_hot(codes).float()))
        edits = prepare_edits(model, "32")(codes.numpy(), edited, of)  # type: ignore[misc]
        expected = model(one_hot(torch.from_numpy(edited)).float())
        torch.testing.assert_close(edits[1], expected)
    assert not torch.allclose(before, after)


def test_edits_share_nothing_with_two_lstm_layers() -> None:
    model = build_model("marq", targets=4, sizes=ModelSizes(lstm_layers=2)).eval()
    assert prepare_edits(model, "32") is None


def test_training_has_the_gradients_of_the_network_alone() -> None:
    model, codes = small_model(), torch.randint(0, LETTERS, (5, 100), dtype=torch.uint8)
    alone = build_from_architecture(
        {**model.architecture, "sizes": {**model.architecture["sizes"], "composition_share": 0.0}}
    ).eval()
    assert [name for name, _ in alone.named_children()][-1] == "window", "no composition"
    alone.load_state_dict(
        {name: value for name, value in model.state_dict().items() if "composition" not in name}
    )
    torch.testing.assert_close(training_forward(model, "32")(codes), alone(one_hot(codes).float()))
    torch.testing.assert_close(
        training_forward(model, "bf16")(codes), alone(one_hot(codes).float())
    )
    gradients = []
    for forward in (training_forward(model, "32"), lambda c: model.network(one_hot(c).float())):
        model.zero_grad()
        forward(codes).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})  # type: ignore[union-attr]
    for name, gradient in gradients[1].items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-4, atol=1e-5)


def test_the_layers_are_those_of_the_summary() -> None:
    summary = summarise(build_model("marq", targets=399))
    assert [(layer.layer, layer.output, layer.parameters) for layer in summary.layers] == [
        ("windows", (4, 1000), 0),
        ("conv", (64, 981), 64 * 81),
        ("pool", (64, 49), 0),
        ("norm", (49, 64), 2 * 64),
        ("drop_conv", (49, 64), 0),
        ("lstm", (49, 64), 2 * 4 * 32 * (64 + 32 + 2)),
        ("drop_head", (49, 64), 0),
        ("output", (49, 399), 65 * 399),
        ("mean", (399,), 65 * 16 + 399 * 16 + 49),
        ("window", (399,), 65 * 8 + (49 * 8 + 1) * 128 + 128 * 399),
        ("composition", (399,), 1025 * 399),
        ("logits", (399,), 0),
    ]
    assert summary.layers[1].kind == "convolution 64 x 20, ReLU"
    assert summary.layers[1].flops == 2 * (64 * 80 * 981)
    assert summary.layers[3].axes == ("position", "filter")
    assert summary.layers[5].flops == 2 * 49 * 2 * 4 * 32 * (64 + 32)
    assert summary.layers[-3].flops == 2 * (49 * 64 * 8 + 49 * 8 * 128 + 128 * 399)
    assert summary.layers[-2].flops == 2 * (1024 * 996 + 1024 * 399)


def test_architecture_survives_json_and_builds_the_same_network() -> None:
    model, windows = small_model(), random_windows(2, 100)
    again = build_from_architecture(json.loads(json.dumps(model.architecture)))
    assert again.architecture == model.architecture
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(logits_of(again.eval(), windows), logits_of(model, windows))


def test_a_run_that_is_read_again_predicts_as_its_network_does(tmp_path: Path) -> None:
    model = bioq.load(make_run(tmp_path / "run", model_name="marq", sizes=SMALL))
    codes = np.random.default_rng(0).integers(0, 4, (3, 200), np.uint8)
    edited = codes[:1].copy()
    edited[0, 100] = (edited[0, 100] + 1) % 4

    def expected(windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            logits: torch.Tensor = model(one_hot(torch.from_numpy(windows.copy())).float())
        result: npt.NDArray[np.float32] = torch.sigmoid(logits).numpy()
        return result

    def of_both(windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        mean: npt.NDArray[np.float32] = (expected(windows) + expected(3 - windows[:, ::-1])) / 2
        return mean

    near = {"atol": 2e-5}  # the weights are large, so that effects are
    np.testing.assert_allclose(predict_codes(model, codes), of_both(codes), **near)
    reference, effects = mutate_window(model, codes[0], start=100, end=101)
    mutant = reference + effects[edited[0, 100], 0]
    np.testing.assert_allclose(mutant, of_both(edited)[0], **near)
    _, of_edits = predict_edits(model, codes, edited, np.array([0]))
    np.testing.assert_allclose(of_edits, expected(edited), **near)
    assert np.abs(mutant - reference).max() > 1e-3


def test_sizes_that_do_not_go_together_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"^--lstm-units 0, expected 1 to 16,384$"):
        build_model("marq", targets=1, sizes=ModelSizes(lstm_units=0))
    with pytest.raises(UsageError, match=r"model marq has no attention_heads .found 4.*deepatt"):
        build_model("marq", targets=1, sizes=ModelSizes(attention_heads=4))
    with pytest.raises(BioqError, match=r"window of 38 bp is too short.*at least 39 bp"):
        build_model("marq", targets=1, window_bp=38)
    with pytest.raises(UsageError, match=r"^--composition-share 1, expected 0 or more, below 1$"):
        build_model("marq", targets=1, sizes=ModelSizes(composition_share=1))
    build_model("marq", targets=1, window_bp=39)
