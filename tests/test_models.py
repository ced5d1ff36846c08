"""The models agree with a forward pass written here in NumPy, and are the published ones."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bioq.errors import BioqError, UsageError
from bioq.models import ModelSizes, build_from_architecture, build_model
from bioq.models.recurrent import bidirectional_lstm

SMALL = ModelSizes(filters=6, filter_width=5, pool_width=3, lstm_units=4, dense_units=7)
SMALL_OF = {
    "bioq": SMALL,
    "danq": SMALL,
    "danq-jaspar": SMALL,
    "deepsea": ModelSizes(filters=6, filter_width=5, pool_width=3, dense_units=7),
    "beluga": ModelSizes(filters=6, filter_width=3, pool_width=3, dense_units=7),
}
HARD_GATES = {"gates": "hard"}
FLOOR = {"floor": 0.05}
"""Large enough that ReLU in place of it gives other logits."""
VARIANTS = [
    *((name, {}) for name in SMALL_OF),
    ("danq", HARD_GATES),
    ("bioq", HARD_GATES),
    ("deepsea", FLOOR),
]


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def hard_sigmoid(values):
    """The gates of Keras 0.2 on Theano."""
    return np.clip(0.2 * values + 0.5, 0, 1)


def threshold(values, floor):
    """ReLU, or Torch's Threshold(0, floor)."""
    return np.where(values > 0, values, floor)


def numpy_convolution(windows, weight, bias, floor=0.0):
    """Return (batch, filter, position), one position at a time, ReLU or Threshold applied."""
    width = weight.shape[2]
    columns = [
        np.tensordot(windows[:, :, start : start + width], weight, axes=([1, 2], [1, 2]))
        for start in range(windows.shape[2] - width + 1)
    ]
    return threshold(np.stack(columns, axis=2) + bias[None, :, None], floor)


def numpy_pool(result, width):
    positions = result.shape[2] // width
    return np.stack(
        [result[:, :, i * width : (i + 1) * width].max(axis=2) for i in range(positions)], axis=2
    )


def numpy_lstm(steps, weights, suffix, *, backwards, gate=sigmoid):
    """Return (batch, step, unit); the gates stand in the order input, forget, cell, output."""
    w_in, w_rec = weights[f"lstm.weight_ih_{suffix}"], weights[f"lstm.weight_hh_{suffix}"]
    bias = weights[f"lstm.bias_ih_{suffix}"] + weights[f"lstm.bias_hh_{suffix}"]
    batch, length, _ = steps.shape
    units = w_rec.shape[1]
    hidden, cell = np.zeros((batch, units)), np.zeros((batch, units))
    outputs = np.zeros((batch, length, units))
    for step in reversed(range(length)) if backwards else range(length):
        gates = steps[:, step] @ w_in.T + hidden @ w_rec.T + bias
        take, keep, new, show = np.split(gates, 4, axis=1)
        cell = gate(keep) * cell + gate(take) * np.tanh(new)
        hidden = gate(show) * np.tanh(cell)
        outputs[:, step] = hidden
    return outputs


def numpy_head(flat, weights, floor=0.0):
    dense = weights["dense.weight"]  # up to 136 million numbers: kept in single precision
    hidden = threshold(flat.astype(dense.dtype) @ dense.T + weights["dense.bias"], floor)
    return hidden @ weights["output.weight"].T + weights["output.bias"]


POOLED_AFTER = {"deepsea": (1, 2), "beluga": (2, 4)}
"""Model without recurrence -> the numbers of the convolutions that max pooling follows."""


def numpy_logits(model, windows):
    """The whole forward pass, from the published descriptions and the stored weights alone."""
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    weights = {
        name: value if name == "dense.weight" else value.astype(float)
        for name, value in weights.items()
    }
    sizes = model.architecture["sizes"]
    result = windows.astype(float)
    if model.architecture["name"] in POOLED_AFTER:
        floor, pooled_after = sizes.get("floor", 0.0), POOLED_AFTER[model.architecture["name"]]
        convolutions = sum(name.endswith(".weight") for name in weights if name.startswith("conv"))
        for number in range(1, 1 + convolutions):
            result = numpy_convolution(
                result, weights[f"conv{number}.weight"], weights[f"conv{number}.bias"], floor
            )
            if number in pooled_after:
                result = numpy_pool(result, sizes["pool_width"])
        return numpy_head(result.reshape(len(result), -1), weights, floor)
    result = numpy_convolution(result, weights["conv.weight"], weights["conv.bias"])
    steps = numpy_pool(result, sizes["pool_width"]).transpose(0, 2, 1)
    gate = hard_sigmoid if sizes["gates"] == "hard" else sigmoid
    for layer in range(sizes["lstm_layers"]):
        steps = np.concatenate(
            [
                numpy_lstm(steps, weights, f"l{layer}", backwards=False, gate=gate),
                numpy_lstm(steps, weights, f"l{layer}_reverse", backwards=True, gate=gate),
            ],
            axis=2,
        )
    return numpy_head(steps.reshape(len(steps), -1), weights)


def random_windows(count, length, seed=0):
    codes = np.random.default_rng(seed).integers(0, 5, (count, length))
    return np.eye(5, dtype=np.float32)[codes][:, :, :4].transpose(0, 2, 1).copy()


def logits_of(model, windows):
    with torch.no_grad():
        return model(torch.from_numpy(windows)).numpy()


def small_model(name, changes=None, *, targets=3, window_bp=100, seed=0):
    """A small model with weights large enough for every part to matter."""
    torch.manual_seed(seed)
    sizes = replace(SMALL_OF[name], **(changes or {}))
    model = build_model(name, targets=targets, window_bp=window_bp, sizes=sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_small_model_equals_the_numpy_forward_pass(name, changes):
    model, windows = small_model(name, changes), random_windows(4, 100)
    expected = numpy_logits(model, windows)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits_of(model, windows), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "changes"), [("danq", HARD_GATES), ("deepsea", FLOOR)])
def test_gates_and_floor_change_the_logits_more_than_rounding(name, changes):
    plain, changed = small_model(name), small_model(name, changes)
    for mine, other in zip(plain.parameters(), changed.parameters(), strict=True):
        assert torch.equal(mine, other)
    windows = random_windows(4, 100)
    assert np.abs(logits_of(plain, windows) - logits_of(changed, windows)).max() > 1e-2


@pytest.mark.parametrize("gates", ["hard", "sigmoid"])
def test_both_lstms_have_the_same_weights_and_the_same_start(gates):
    torch.manual_seed(0)
    usual = torch.nn.LSTM(5, 4, 2, batch_first=True, bidirectional=True).state_dict()
    torch.manual_seed(0)
    weights = bidirectional_lstm(5, 4, 2, gates=gates).state_dict()
    assert list(weights) == list(usual)
    assert all(torch.equal(weights[name], usual[name]) for name in usual)


def test_the_gradients_of_hard_gates_are_those_of_differences():
    torch.manual_seed(0)
    lstm = bidirectional_lstm(3, 2, 2, gates="hard").double()
    assert torch.autograd.gradcheck(lstm, torch.randn(2, 5, 3).double().requires_grad_())
    lstm(torch.randn(2, 5, 3).double()).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in lstm.parameters())


@pytest.mark.parametrize("name", [name for name in SMALL_OF if name != "beluga"])
def test_full_size_model_equals_the_numpy_forward_pass(name):
    torch.manual_seed(1)
    model, windows = build_model(name, targets=3).eval(), random_windows(1, 1000)
    np.testing.assert_allclose(logits_of(model, windows), numpy_logits(model, windows), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bioq", 49_391_759),  # Conboy & Konka 2024
        ("danq", 46_929_039),  # Quang & Xie 2016 give 46,926,479: one bias per LSTM gate, not two
        # Counted by hand from Quang & Xie 2016 and Zhou & Troyanskaya 2015:
        (
            "danq-jaspar",
            123_904 + 2 * (4 * 512 * (1024 + 512) + 2 * 4 * 512) + 60_621_725 + 850_994,
        ),
        ("deepsea", 10_560 + 1_229_280 + 3_687_360 + 47_064_925 + 850_994),
        ("beluga", 9_638_720 + 135_885_523 + 2004 * 919),
    ],
)
def test_published_models_have_the_published_number_of_parameters(name, parameters):
    with torch.device("meta"):
        model = build_model(name, targets=919)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_shuffling_the_batch_permutes_the_logits_and_nothing_else(name, changes):
    model, windows = small_model(name, changes), random_windows(9, 100)
    order = np.random.default_rng(1).permutation(9)
    np.testing.assert_allclose(
        logits_of(model, windows[order]), logits_of(model, windows)[order], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_a_window_alone_has_the_logits_it_has_in_a_batch(name, changes):
    model, windows = small_model(name, changes), random_windows(5, 100)
    alone = np.concatenate([logits_of(model, windows[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, logits_of(model, windows), atol=1e-5)


@pytest.mark.parametrize("name", ["bioq", "danq", "danq-jaspar"])
@pytest.mark.parametrize("end", ["first", "last"])
def test_the_recurrence_carries_a_change_at_either_end_along_its_own_window(name, end):
    model, windows = small_model(name), random_windows(2, 100)
    changed, bases = windows.copy(), slice(None, 5) if end == "first" else slice(-5, None)
    changed[0, :, bases] = random_windows(1, 5, seed=9)[0]
    steps = []
    model.lstm.register_forward_hook(lambda _module, _inputs, outputs: steps.append(outputs[0]))
    logits_of(model, windows), logits_of(model, changed)
    moved = (steps[0] - steps[1]).abs().unflatten(2, (2, -1)).sum(dim=3).numpy() > 0
    assert moved.shape == (2, 32, 2), "(window, position, direction)"
    if end == "first":
        assert moved[0, :8, 0].all(), "forwards, later positions hear of it"
    else:
        assert moved[0, -8:, 1].all(), "backwards, earlier positions hear of it"
    if model.lstm.num_layers == 1:
        ahead = moved[0, 2:, 1] if end == "first" else moved[0, :-2, 0]
        assert not ahead.any(), "no direction hears of what it has not read"
    assert not moved[1].any(), "the other window of the batch does not hear of it"


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_architecture_survives_json_and_builds_the_same_network(name, changes):
    model = small_model(name, changes)
    architecture = json.loads(json.dumps(model.architecture))
    for again in (build_model(**architecture), build_from_architecture(architecture)):
        assert again.architecture == model.architecture
        again.load_state_dict(model.state_dict())
        windows = random_windows(2, 100)
        np.testing.assert_array_equal(logits_of(again.eval(), windows), logits_of(model, windows))


@pytest.mark.parametrize(
    ("name", "least"), [("danq", 38), ("danq-jaspar", 44), ("deepsea", 163), ("beluga", 310)]
)
def test_the_shortest_window_works_and_one_base_less_is_refused_by_name(name, least):
    sizes = ModelSizes(filters=2, dense_units=2, lstm_units=None if name in POOLED_AFTER else 2)
    model = build_model(name, targets=2, window_bp=least, sizes=sizes)
    assert logits_of(model, random_windows(1, least)).shape == (1, 2)
    with pytest.raises(BioqError, match=f"{least - 1} bp is too short.*at least {least} bp"):
        build_model(name, targets=2, window_bp=least - 1, sizes=sizes)


def test_dropout_acts_in_training_only_and_as_published():
    model = build_model("deepsea", targets=1, sizes=SMALL_OF["deepsea"])
    assert (model.drop_conv.p, model.drop_head.p) == (0.2, 0.5)
    model = small_model("bioq")
    assert (model.drop_conv.p, model.drop_head.p, model.lstm.dropout) == (0.2, 0.5, 0)
    windows = random_windows(2, 100)
    assert np.array_equal(logits_of(model, windows), logits_of(model, windows))
    model.train()
    assert not np.array_equal(logits_of(model, windows), logits_of(model, windows))


def test_seed_decides_the_random_weights():
    first, same, other = (small_default(seed) for seed in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def small_default(seed):
    torch.manual_seed(seed)
    return build_model("danq", targets=1, window_bp=100, sizes=SMALL).dense.weight.detach()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "danqq", "targets": 1},
            "'danqq' is unknown; did you mean danq. choose one of bioq, danq",
        ),
        ({"name": "danq", "targets": 0}, "targets 0; expected 1 to 1,000,000"),
        (
            {"name": "deepsea", "targets": 1, "sizes": ModelSizes(lstm_units=8)},
            "model deepsea has no lstm_units .found 8.*bioq, danq, danq-jaspar",
        ),
        (
            {"name": "danq", "targets": 1, "sizes": {"filters": 0}},
            "^--filters 0, expected 1 to 16,384$",
        ),
        (
            {"name": "danq", "targets": 1, "sizes": {"dropout_head": 1.0, "filters": "many"}},
            "^--filters 'many', expected a whole number, 1 to 16,384; "
            "--dropout-head 1.0, expected 0 or more, below 1$",
        ),
        (
            {"name": "deepsea", "targets": 1, "sizes": {"floor": 1e300}},
            "^--floor 1e.300, expected 0 to 1$",
        ),
        (
            {"name": "danq", "targets": 1, "sizes": {"gates": "soft"}},
            "^--gates 'soft', expected sigmoid or hard$",
        ),
        (
            {"name": "danq", "targets": 1, "sizes": {"floor": 1e-6}},
            "model danq has no floor .found 1e-06.*deepsea$",
        ),
        (
            {"name": "danq", "targets": 1, "sizes": {"filter": 8}},
            r"size 'filter' is unknown; did you mean filters\? the sizes of a model are filters, ",
        ),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_by_name(arguments, message):
    with pytest.raises(UsageError, match=message):
        build_model(**arguments)


@pytest.mark.parametrize(("name", "window_bp"), [("danq", 1000), ("beluga", 2000)])
def test_windows_are_as_long_as_the_published_networks(name, window_bp):
    with torch.device("meta"):
        model = build_model(name, targets=3)
    assert model.architecture["window_bp"] == window_bp


@pytest.mark.parametrize("size", ["gates", "floor"])
def test_an_architecture_written_before_a_size_existed_is_the_same_network(size):
    name = "danq" if size == "gates" else "deepsea"
    model = small_model(name)
    older = json.loads(json.dumps(model.architecture))
    del older["sizes"][size]
    again = build_from_architecture(older)
    assert again.architecture == model.architecture
    again.load_state_dict(model.state_dict())
    windows = random_windows(2, 100)
    np.testing.assert_array_equal(logits_of(again.eval(), windows), logits_of(model, windows))


def test_an_architecture_with_another_key_is_refused_by_name():
    architecture = build_model("danq", targets=1, window_bp=100, sizes=SMALL).architecture
    with pytest.raises(UsageError, match=r"keys heads, name, .*expected name, sizes, targets"):
        build_from_architecture(architecture | {"heads": 2})


def test_importing_the_models_does_not_import_torch():
    code = "import sys, bioq.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
