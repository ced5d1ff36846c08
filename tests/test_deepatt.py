"""DeepATT agrees with a forward pass written here in NumPy, and is the published one."""

import json

import numpy as np
import pytest
import torch
from test_models import logits_of, numpy_convolution, numpy_lstm, numpy_pool, random_windows
from torch import nn

from bioq.dataset import Dataset
from bioq.dna.tensors import one_hot
from bioq.errors import BioqError, UsageError
from bioq.fast import prepare, prepare_edits
from bioq.fast import training as fast_training
from bioq.fast.training import training_forward
from bioq.forward import predict, predict_codes
from bioq.models import ModelSizes, build_model
from bioq.models.deepatt import TargetAttention
from bioq.models.summary import summarise
from bioq.training.start import start_at_positive_rates

SMALL = ModelSizes(
    filters=6,
    filter_width=5,
    pool_width=3,
    lstm_units=4,
    dense_units=7,
    attention_units=6,
    attention_heads=2,
)


def small_model(targets: int = 3, window_bp: int = 100) -> nn.Module:
    """A small model with weights large enough for every part to matter."""
    torch.manual_seed(0)
    model = build_model("deepatt", targets=targets, window_bp=window_bp, sizes=SMALL).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model


def numpy_attention(read: np.ndarray, weights: dict[str, np.ndarray], heads: int) -> np.ndarray:
    """Return (batch, target, unit) of (batch, position, input): one target and one head at a
    time, the query of a target being what the layer makes of its row of the identity matrix."""

    def dense(name: str, rows: np.ndarray) -> np.ndarray:
        return rows @ weights[f"attention.{name}.weight"].T + weights[f"attention.{name}.bias"]

    targets = weights["attention.query.weight"].shape[1]
    key, value = dense("key", read), dense("value", read)
    units = key.shape[2] // heads
    got = np.zeros((len(read), targets, key.shape[2]))
    for target in range(targets):
        query = dense("query", np.eye(targets)[target])
        for head in range(heads):
            part = slice(head * units, (head + 1) * units)
            score = np.exp(key[:, :, part] @ query[part] / np.sqrt(units))
            share = score / score.sum(axis=1, keepdims=True)  # (batch, position)
            got[:, target, part] = (share[:, :, None] * value[:, :, part]).sum(axis=1)
    return dense("merge", got)


def numpy_logits(model: nn.Module, windows: np.ndarray) -> np.ndarray:
    weights = {name: value.numpy().astype(float) for name, value in model.state_dict().items()}
    sizes = model.architecture["sizes"]  # type: ignore[index]
    result = numpy_convolution(windows.astype(float), weights["conv.weight"], weights["conv.bias"])
    steps = numpy_pool(result, sizes["pool_width"]).transpose(0, 2, 1)
    read = np.concatenate(
        [
            numpy_lstm(steps, weights, "l0", backwards=False),
            numpy_lstm(steps, weights, "l0_reverse", backwards=True),
        ],
        axis=2,
    )
    got = numpy_attention(read, weights, sizes["attention_heads"])
    hidden = np.maximum(got @ weights["dense.weight"].T + weights["dense.bias"], 0)
    return (hidden * weights["output.weight"]).sum(axis=2) + weights["output.bias"]


def test_small_model_equals_the_numpy_forward_pass() -> None:
    model, windows = small_model(), random_windows(4, 100)
    expected = numpy_logits(model, windows)
    assert np.abs(expected).max() > 0.1
    assert np.ptp(expected, axis=1).min() > 0.01, "targets differ"
    np.testing.assert_allclose(logits_of(model, windows), expected, atol=1e-5)


def test_full_size_model_equals_the_numpy_forward_pass() -> None:
    torch.manual_seed(1)
    model, windows = build_model("deepatt", targets=5).eval(), random_windows(1, 1000)
    np.testing.assert_allclose(logits_of(model, windows), numpy_logits(model, windows), atol=1e-5)


def test_published_model_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        model = build_model("deepatt", targets=919)
    count = sum(parameter.numel() for parameter in model.parameters())
    second_biases = 2 * 4 * 512  # PyTorch's LSTM has two a gate, Keras's one
    assert count == 7_900_775 + second_biases  # DeepATT-Plus, README of the authors' code
    shared_output = 100 + 1
    assert count - 919 * 101 + shared_output == 7_808_057 + second_biases  # DeepATT


def test_published_model_has_the_layers_of_the_paper() -> None:
    summary = summarise(build_model("deepatt", targets=919))
    assert [(layer.layer, layer.output, layer.parameters) for layer in summary.layers] == [
        ("windows", (4, 1000), 0),
        ("conv", (1024, 971), 123_904),
        ("pool", (1024, 64), 0),
        ("drop_conv", (1024, 64), 0),
        ("lstm", (64, 1024), 6_299_648),
        ("attention", (919, 400), 368_000 + 2 * 410_000 + 160_400),
        ("drop_head", (919, 400), 0),
        ("dense", (919, 100), 40_100),
        ("output", (919,), 92_819),
    ]
    kinds = [layer.kind for layer in summary.layers]
    assert kinds[5] == "attention, a query per target, 4 heads of 100"


def test_attention_is_pytorchs_multihead_attention_of_the_identity_matrix() -> None:
    torch.manual_seed(0)
    ours = TargetAttention(targets=5, inputs=8, units=8, heads=4)
    theirs = nn.MultiheadAttention(8, 4, batch_first=True)
    read = torch.randn(3, 11, 8)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([torch.eye(8), ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([torch.zeros(8), ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.merge.state_dict())
        expected, _ = theirs(ours.query(torch.eye(5)).expand(3, -1, -1), read, read)
        torch.testing.assert_close(ours(read), expected)


def test_attention_starts_as_pytorchs_does() -> None:
    torch.manual_seed(0)
    layer = TargetAttention(targets=300, inputs=100, units=200, heads=4).key
    bound = (6 / (100 + 200)) ** 0.5  # Glorot & Bengio 2010
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert layer.weight.detach().numpy().std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not layer.bias.any()


def test_a_target_reads_its_own_query_and_row_and_no_other_target_does() -> None:
    model, windows = small_model(targets=4), random_windows(3, 100)
    before = logits_of(model, windows)
    for change in (model.attention.query.weight[:, 2], model.output.weight[2]):  # type: ignore
        with torch.no_grad():
            change += 0.5
        moved = np.abs(logits_of(model, windows) - before).max(axis=0) > 1e-6
        assert moved.tolist() == [False, False, True, False]


def test_a_window_has_the_logits_it_has_alone_and_in_any_order() -> None:
    model, windows = small_model(), random_windows(9, 100)
    together, order = logits_of(model, windows), np.random.default_rng(1).permutation(9)
    np.testing.assert_allclose(logits_of(model, windows[order]), together[order], atol=1e-6)
    alone = np.concatenate([logits_of(model, windows[row : row + 1]) for row in range(9)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_architecture_survives_json_and_builds_the_same_network() -> None:
    model, windows = small_model(), random_windows(2, 100)
    again = build_model(**json.loads(json.dumps(model.architecture)))
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(logits_of(again.eval(), windows), logits_of(model, windows))


def test_dropout_is_as_published_and_acts_in_training_only() -> None:
    model, windows = small_model(), random_windows(2, 100)
    assert (model.drop_conv.p, model.drop_head.p, model.lstm.dropout) == (0.2, 0.2, 0)  # type: ignore
    assert np.array_equal(logits_of(model, windows), logits_of(model, windows))
    model.train()
    assert not np.array_equal(logits_of(model, windows), logits_of(model, windows))


def test_outputs_start_at_the_positive_rates(masked_data: Dataset) -> None:
    model = small_model(targets=2, window_bp=200)
    start_at_positive_rates(model, masked_data["train"])
    rate = (masked_data["train"].labels().sum(axis=0) + 1) / (40 + 2)
    bias = model.output.bias.detach().numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), rate, rtol=1e-5)


def test_training_computes_the_first_layer_fast_with_the_plain_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = small_model(window_bp=250).train()
    codes = torch.from_numpy(np.random.default_rng(3).integers(0, 5, (20, 250)).astype(np.uint8))
    used = []
    pooled = fast_training._pooled
    monkeypatch.setattr(
        fast_training, "_pooled", lambda *given: used.append(given) or pooled(*given)
    )
    results = []
    for forward in (training_forward(model, "32"), lambda codes: model(one_hot(codes).float())):
        model.zero_grad()
        torch.manual_seed(1)  # dropout
        logits = forward(codes)
        (logits * torch.linspace(-1, 2, logits.numel()).view(logits.shape)).sum().backward()
        results.append([logits.detach(), *(weight.grad for weight in model.parameters())])
    assert len(used) == 1
    for mine, other in zip(*results, strict=True):
        # The key's bias adds the same to every position's score: its gradient is rounding alone.
        assert (mine - other).norm() <= 1e-5 * other.norm() + 1e-6


def test_inference_agrees_with_numpy() -> None:
    model = small_model()
    assert prepare(model, "32") is not None
    assert prepare_edits(model, "32") is None
    windows = random_windows(5, 100)
    codes = np.where(windows.any(axis=1), windows.argmax(axis=1), 4).astype(np.uint8)
    expected = 1 / (1 + np.exp(-numpy_logits(model, windows)))
    for result in (
        predict(model, windows, strands="forward"),
        predict_codes(model, codes, strands="forward"),
    ):
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_the_shortest_window_works_and_one_base_less_is_refused_by_name() -> None:
    sizes = ModelSizes(filters=2, lstm_units=2, dense_units=2)
    model = build_model("deepatt", targets=2, window_bp=44, sizes=sizes)
    assert logits_of(model, random_windows(1, 44)).shape == (1, 2)
    with pytest.raises(BioqError, match=r"43 bp is too short.*at least 44 bp"):
        build_model("deepatt", targets=2, window_bp=43, sizes=sizes)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("deepatt", ModelSizes(attention_units=10), "attention_units is 10 and attention_heads 4"),
        ("deepatt", {"attention_heads": 0}, "^--attention-heads 0, expected 1 to 16,384$"),
        ("danq", ModelSizes(attention_heads=2), "danq has no attention_heads .found 2.*: deepatt"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused_by_name(
    name: str, sizes: ModelSizes | dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_model(name, targets=1, sizes=sizes)
