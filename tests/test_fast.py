"""The fast paths give what the plain models give, and step aside where they cannot."""

import threading
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bioq import dna
from bioq.dna.tensors import one_hot
from bioq.fast import onednn, prepare
from bioq.fast.edits_marq import EditedMarq
from bioq.fast.kmers import KmerConvolution
from bioq.fast.networks import FastConvolutions
from bioq.fast.recurrence import PackedLSTM
from bioq.forward import predict, predict_codes
from bioq.models import ModelSizes, build_model
from bioq.models.hard_lstm import HardLSTM

BOUND = 1e-5
"""What float32 sums in another order may differ by, in a logit."""


def random_codes(windows: int, length: int, seed: int = 0) -> Tensor:
    codes = np.random.default_rng(seed).integers(0, 5, (windows, length)).astype(np.uint8)
    codes[0] = 4  # a window of unknown bases
    return torch.from_numpy(codes)


def small_model(name: str = "bioq", targets: int = 3, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = ModelSizes(filters=6, filter_width=8, pool_width=5, dense_units=7, **changes)
    if name == "beluga":
        sizes = replace(sizes, filter_width=6, pool_width=3)
    elif name != "deepsea":
        sizes = replace(sizes, lstm_units=4, lstm_layers=2)
    if name == "deepatt":
        sizes = replace(sizes, attention_units=12, attention_heads=3)
    return build_model(name, targets=targets, window_bp=250, sizes=sizes).eval()


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 7), st.integers(0, 40), st.booleans())
def test_the_convolution_by_table_is_torchs_convolution(
    width: int, pool_width: int, filters: int, more: int, has_bias: bool
) -> None:
    torch.manual_seed(width)
    layer = nn.Conv1d(4, filters, width, bias=has_bias)
    codes = random_codes(3, width - 1 + pool_width + more, seed=more)
    with torch.no_grad():
        expected = nn.functional.max_pool1d(torch.relu(layer(one_hot(codes).float())), pool_width)
        result = KmerConvolution(layer, pool_width, torch.float32)(codes)
    assert result.shape == expected.transpose(1, 2).shape
    assert torch.allclose(result, expected.transpose(1, 2), atol=BOUND)


@pytest.mark.parametrize("name", ["bioq", "danq", "danq-jaspar", "deepsea", "deepatt"])
def test_published_sizes_give_the_plain_models_logits(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, targets=919).eval()
    codes = random_codes(9, 1000)
    with torch.inference_mode():
        expected = model(one_hot(codes).float())
        exact, rounded = (prepare(model, precision) for precision in ("32", "bf16"))
        assert exact is not None
        assert (exact(codes) - expected).abs().max() < BOUND
        if rounded is not None:
            error = (rounded(codes) - expected).abs().max()
            assert BOUND < error < 0.01, "rounded to bf16, and no further"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("beluga", {}),
        ("bioq", {"gates": "hard"}),
        ("deepatt", {}),
        ("deepsea", {"floor": 0.05}),
    ],
)
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("windows", [1, 40])
def test_published_networks_of_others_give_the_plain_models_logits(
    name: str, changes: dict[str, Any], precision: Literal["32", "bf16"], windows: int
) -> None:
    model, codes = small_model(name, **changes), random_codes(windows, 250)
    if precision == "bf16" and not onednn.has_bf16():
        pytest.skip("this processor has no bf16")
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)  # hard gates clip
    with torch.inference_mode():
        expected = model(one_hot(codes).float())
        engine = prepare(model, precision)
        assert engine is not None
        error = (engine(codes) - expected).abs().max()
    assert expected.abs().max() > 0.1
    assert error < (BOUND if precision == "32" else 0.1 * expected.abs().max())


@pytest.mark.parametrize("name", ["deepsea", "beluga"])
def test_convolutions_are_as_close_to_float64_as_the_plain_models(name: str) -> None:
    """Long sums, as in published sizes: one sum of all products of a filter has 4 times the error
    of PyTorch's."""
    torch.manual_seed(0)
    sizes = ModelSizes(filters=192, filter_width=8, pool_width=4, dense_units=64)
    model = build_model(name, targets=400, window_bp=500, sizes=sizes).eval()
    codes = random_codes(4, 500)
    with torch.no_grad():  # maps as large as those of a trained network
        for weight in model.parameters():
            weight.mul_(2.5 if weight.ndim > 1 else 0)
    with torch.inference_mode():
        fast = FastConvolutions(model, torch.float32)(codes)
        plain = model(one_hot(codes).float())
        exact = model.double()(one_hot(codes).double())
    error, error_of_plain = (float((x - exact).square().mean().sqrt()) for x in (fast, plain))
    assert 0 < error < 2 * error_of_plain


def other_strides(model: nn.Module) -> None:
    """Keep the values of every matrix, and change their order in memory, as weights have that are
    loaded as a transposed view."""
    for layer in model.modules():
        for name, weight in list(layer.named_parameters(recurse=False)):
            if weight.ndim == 2:
                setattr(layer, name, nn.Parameter(weight.detach().t().contiguous().t()))


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_an_lstm_of_packed_weights_is_torchs_lstm(rows: int, is_transposed: bool) -> None:
    torch.manual_seed(rows)
    lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
    if is_transposed:
        other_strides(lstm)
    steps = torch.randn(rows, 11, 6)
    with torch.inference_mode():
        result = PackedLSTM(lstm, torch.float32)(steps)
        torch.testing.assert_close(result, lstm(steps)[0], rtol=0, atol=1e-6)


def test_an_lstm_that_cannot_be_packed_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
    steps = torch.randn(3, 11, 6)

    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(PackedLSTM, "_pack", refuse)
    with torch.inference_mode():
        assert torch.equal(PackedLSTM(lstm, torch.float32)(steps), lstm(steps)[0])


@pytest.mark.parametrize("windows", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["bioq", "danq"])
def test_few_windows_have_the_models_logits(name: str, windows: int) -> None:
    model, codes = small_model(name), random_codes(windows, 250)
    with torch.inference_mode():
        expected = model(one_hot(codes).float())
        for precision, atol in (("32", BOUND), ("bf16", 0.05)):
            engine = prepare(model, precision)  # type: ignore[arg-type]
            if engine is not None:  # bf16 on a processor without it
                torch.testing.assert_close(engine(codes), expected, atol=atol, rtol=0)


needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="this PyTorch has no oneDNN for this processor",
)


@needs_onednn
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bioq", {}),
        ("danq", {}),
        ("deepsea", {}),
        ("beluga", {}),
        ("deepatt", {}),
        ("bioq", {"gates": "hard"}),
    ],
)
def test_packed_weights_are_in_use(
    name: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, codes = small_model(name, **changes), random_codes(5, 250)  # fewer use none
    with torch.inference_mode():
        expected = model(one_hot(codes).float())
    engine = prepare(model, "32")
    assert engine is not None

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights that are not packed were used")

    monkeypatch.setattr(nn.LSTM, "forward", refuse)
    monkeypatch.setattr(HardLSTM, "forward", refuse)
    monkeypatch.setattr(nn.functional, "linear", refuse)
    assert torch.allclose(engine(codes), expected, atol=BOUND)


@needs_onednn
def test_the_lstm_of_marq_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, codes = small_model("marq"), random_codes(3, 250)
    engine = prepare(model, "32")
    assert engine is not None

    def refuse(*_: object) -> None:
        raise AssertionError("weights that are not packed were used")

    monkeypatch.setattr(nn.LSTM, "forward", refuse)
    assert engine(codes).shape == (3, 3)


@needs_onednn
@pytest.mark.parametrize("missing", ["_reorder_linear_weight", "mkldnn_rnn_layer"])
def test_a_pytorch_without_the_operators_is_named_once_and_gives_the_same(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = onednn._operator
    monkeypatch.setattr(
        onednn,
        "_operator",
        lambda space, name: operator(space, f"no{name}" if name == missing else name),
    )
    onednn._say_slower.cache_clear()
    model, codes = small_model(), random_codes(3, 250)
    engine = prepare(model, "32")
    assert engine is not None
    with torch.inference_mode():
        assert torch.allclose(engine(codes), model(one_hot(codes).float()), atol=BOUND)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot pack weights (no operator {'aten' if 'rnn' in missing else 'mkldnn'}.no" in line
    assert "predictions on this CPU are slower" in line
    onednn._say_slower.cache_clear()


@pytest.mark.parametrize("windows", [1, 5, 16, 17])
@pytest.mark.parametrize("switch", ["0", "1"])
def test_strands_that_go_together_are_the_average_of_each_alone(
    monkeypatch: pytest.MonkeyPatch, windows: int, switch: str
) -> None:
    monkeypatch.setenv("BIOQ_PLAIN", switch)
    model, codes = small_model(), random_codes(windows, 250).numpy()
    forward, opposite = (
        predict_codes(model, strand, strands="forward")
        for strand in (codes, dna.reverse_complement(codes))
    )
    np.testing.assert_allclose(predict_codes(model, codes), (forward + opposite) / 2, atol=1e-6)


@pytest.mark.parametrize("windows", [0, 1, 47, 48, 49, 200])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", ["bioq", "bioq hard", "deepatt", "marq"])
def test_any_number_of_windows_and_threads_gives_the_same(
    windows: int, threads: int, name: str
) -> None:
    name, _, gates = name.partition(" ")
    model = small_model(name, gates=gates or None)
    codes = random_codes(max(windows, 1), 250)[:windows]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            engine = prepare(model, "32")
            assert engine is not None
            result = engine(codes)
            assert torch.allclose(result, model(one_hot(codes).float()), atol=BOUND)
        assert torch.get_num_threads() == threads
        seen: list[int] = []
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert seen == [threads]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_predictions_are_the_same_with_the_switch_on_and_off(
    monkeypatch: pytest.MonkeyPatch, strands: str
) -> None:
    model, codes = small_model(), random_codes(20, 250)
    windows = one_hot(codes).numpy()
    fast = predict(model, windows, strands=strands)  # type: ignore[arg-type]
    fast_codes = predict_codes(model, codes.numpy(), strands=strands)  # type: ignore[arg-type]
    monkeypatch.setenv("BIOQ_PLAIN", "1")
    assert prepare(model, "32") is None
    plain = predict(model, windows, strands=strands)  # type: ignore[arg-type]
    np.testing.assert_allclose(fast, plain, atol=BOUND)
    np.testing.assert_array_equal(fast, fast_codes)


def test_windows_that_are_not_one_hot_go_through_the_model() -> None:
    model = small_model()
    windows = torch.rand(3, 4, 250)
    with torch.inference_mode():
        expected = torch.sigmoid(model(windows)).numpy()
    np.testing.assert_array_equal(predict(model, windows, strands="forward"), expected)


@pytest.mark.parametrize("change", ["in place", "behind its back", "loaded", "replaced"])
def test_changed_weights_are_noticed(change: str) -> None:
    model, codes = small_model(), random_codes(4, 250)
    predict_codes(model, codes.numpy())
    other = small_model()
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1.5)
        if change == "in place":
            for weight in model.parameters():
                weight.mul_(1.5)
        elif change == "behind its back":
            for weight in model.parameters():
                weight.data.mul_(1.5)
        elif change == "loaded":
            model.load_state_dict(other.state_dict())
        else:
            model.load_state_dict(other.state_dict(), assign=True)
    result, expected = (predict_codes(m, codes.numpy()) for m in (model, other))
    np.testing.assert_allclose(result, expected, atol=BOUND)


def test_a_single_weight_that_changes_is_noticed() -> None:
    model, codes = small_model("danq"), random_codes(4, 250)
    with torch.no_grad():
        model.dense.bias.fill_(1.0)  # type: ignore[union-attr, operator]  # units that are not zero
    before = predict_codes(model, codes.numpy(), strands="forward")
    with torch.no_grad():  # a value that no sum of samples contains
        model.dense.weight[0, 1] += 100.0  # type: ignore[union-attr, index, operator]
    after = predict_codes(model, codes.numpy(), strands="forward")
    with torch.inference_mode():
        expected = torch.sigmoid(model(one_hot(codes).float())).numpy()
    np.testing.assert_allclose(after, expected, atol=BOUND)
    assert np.abs(after - before).max() > 100 * BOUND


def test_a_model_that_is_not_as_it_was_built_computes_itself() -> None:
    assert prepare(small_model(), "32") is not None
    assert prepare(small_model().double(), "32") is None
    assert prepare(small_model(), "tf32") is None
    hooked = small_model()
    hooked.conv.register_forward_hook(lambda *_: None)  # type: ignore[operator,union-attr]
    assert prepare(hooked, "32") is None

    class Changed(type(small_model())):  # type: ignore[misc]
        pass

    changed = small_model()
    changed.__class__ = Changed
    assert prepare(changed, "32") is None


@pytest.mark.parametrize(
    ("name", "layer", "setting", "value"),
    [
        ("marq", "", "composition_share", 0.9),
        ("marq", "norm", "eps", 1.0),
        ("deepatt", "attention", "heads", 6),
        ("deepsea", "", "floor", 0.2),
    ],
)
def test_a_setting_that_changes_is_noticed(
    name: str, layer: str, setting: str, value: float
) -> None:
    model, codes = small_model(name), random_codes(4, 250)
    with torch.no_grad():
        for weight in (*model.parameters(), *model.buffers()):
            weight.copy_(torch.randn_like(weight) / 2)
    before = predict_codes(model, codes.numpy(), strands="forward")
    setattr(model.get_submodule(layer), setting, value)
    with torch.inference_mode():
        expected = torch.sigmoid(model(one_hot(codes).float())).numpy()
    after = predict_codes(model, codes.numpy(), strands="forward")
    np.testing.assert_allclose(after, expected, atol=BOUND)
    assert np.abs(after - before).max() > 10 * BOUND


def test_weights_are_not_rounded_where_the_caller_rounds() -> None:
    model, codes = small_model("deepatt"), random_codes(4, 250)
    with torch.autocast("cpu", torch.bfloat16):
        engine = prepare(model, "32")
    assert engine is not None
    with torch.inference_mode():
        torch.testing.assert_close(engine(codes), model(one_hot(codes).float()), rtol=0, atol=BOUND)


@pytest.mark.parametrize("gates", ["sigmoid", "hard"])
def test_another_default_type_of_numbers_changes_nothing(gates: str) -> None:
    model, codes = small_model(gates=gates), random_codes(4, 250)
    expected = predict_codes(model, codes.numpy())
    torch.set_default_dtype(torch.float64)
    try:
        result = predict_codes(model, codes.numpy())
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("layer", ["drop_head", "lstm", "relu_conv", ""])
def test_settings_that_change_no_prediction_keep_the_fast_path(layer: str) -> None:
    model = small_model("marq")
    changed: Any = model.get_submodule(layer)
    changed.p, changed.inplace, changed.of_a_user = 0.9, False, "mine"
    changed.train()
    assert prepare(model, "32") is not None


def test_what_a_user_adds_to_a_model_is_not_copied() -> None:
    model, codes = small_model("marq"), random_codes(4, 250)
    expected = predict_codes(model, codes.numpy())
    changed: Any = small_model("marq")
    changed.lock = threading.Lock()
    np.testing.assert_array_equal(predict_codes(changed, codes.numpy()), expected)
    EditedMarq(changed, torch.float32)


@pytest.mark.parametrize("which", ["weights", "buffers"])
def test_weights_without_version_counters_compute_themselves(which: str) -> None:
    model: Any = small_model("marq")
    with torch.inference_mode():  # tensors made here have no counters
        if which == "weights":
            model = small_model()
        else:
            model.composition.weight = torch.randn_like(model.composition.weight)
    codes = random_codes(3, 250)
    assert prepare(model, "32") is None
    with torch.inference_mode():
        expected = torch.sigmoid(model(one_hot(codes).float())).numpy()
    result = predict_codes(model, codes.numpy(), strands="forward")
    np.testing.assert_allclose(result, expected, atol=BOUND)
