"""A caller's model: any type of weights, hooks and layers of its own, and it is left as it was."""

import contextlib
import copy
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bioq
from bioq import dna
from bioq.fast import prepare
from bioq.forward import predict_codes
from bioq.interpretation import integrated_gradients, mutate_window
from bioq.models import build_model
from bioq.models.eval_mode import eval_mode

CODES = np.random.default_rng(0).integers(0, 5, (40, 200)).astype(np.uint8)
HOT = dna.one_hot(CODES)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    sizes = bioq.ModelSizes(filters=8, lstm_units=4, dense_units=8)
    return build_model("danq", targets=3, window_bp=200, sizes=sizes).eval()


def by_hand(model: nn.Module, windows: np.ndarray = HOT) -> np.ndarray:
    """Return the mean over both strands, by the module itself."""
    dtype = next(model.parameters()).dtype
    both = [windows, np.ascontiguousarray(windows[:, ::-1, ::-1])]
    with torch.no_grad():
        logits = [model(torch.from_numpy(strand).to(dtype)).double() for strand in both]
    mean: np.ndarray = (torch.sigmoid(logits[0]) + torch.sigmoid(logits[1])).numpy() / 2
    return mean


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-6), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)]
)
def test_weights_of_any_floating_point_type_predict(
    model: nn.Module, dtype: torch.dtype, atol: float
) -> None:
    model.to(dtype)
    expected = by_hand(model)
    np.testing.assert_allclose(bioq.predict(model, HOT), expected, atol=atol)
    np.testing.assert_allclose(predict_codes(model, CODES), expected, atol=atol)
    reference, _ = mutate_window(model, CODES[0], start=0, end=2)
    np.testing.assert_allclose(reference, expected[0], atol=atol)
    assert integrated_gradients(model, HOT[:1], target=0, steps=2).values.shape == (1, 4, 200)
    assert next(model.parameters()).dtype == dtype


def change_pool(model: nn.Module) -> None:
    model.pool = nn.AvgPool1d(13)


def change_activation(model: nn.Module) -> None:
    model.relu_conv = nn.GELU()


def change_forward(model: nn.Module) -> None:
    forward = model.forward
    model.forward = lambda windows: forward(windows) + 1


def change_layer_forward(model: nn.Module) -> None:
    forward = model.dense.forward
    model.dense.forward = lambda flat: forward(flat) * 2


def change_recurrence(model: nn.Module) -> None:
    model.lstm = nn.GRU(8, 4, 2, batch_first=True, bidirectional=True)


def wrap_output(model: nn.Module) -> None:
    model.output = nn.Sequential(model.output, nn.Tanh())


def change_stride(model: nn.Module) -> None:
    model.pool = nn.MaxPool1d(14, stride=13)  # as many positions


@pytest.mark.parametrize(
    "change",
    [
        change_pool,
        change_activation,
        change_forward,
        change_layer_forward,
        change_recurrence,
        wrap_output,
        change_stride,
    ],
)
def test_layers_of_the_callers_own_are_computed(
    model: nn.Module, change: Callable[[nn.Module], None]
) -> None:
    assert prepare(model, "32") is not None
    change(model)
    expected = by_hand(model)
    assert abs(bioq.predict(model, HOT) - expected).max() < 1e-6
    assert abs(predict_codes(model, CODES) - expected).max() < 1e-6
    reference, effects = mutate_window(model, CODES[0], start=20, end=60)
    np.testing.assert_allclose(reference, expected[0], atol=1e-6)
    mutant = CODES[:1].copy()
    mutant[0, 30] = (mutant[0, 30] + 1) % 4
    expected_effect = by_hand(model, dna.one_hot(mutant))[0] - expected[0]
    np.testing.assert_allclose(effects[mutant[0, 30], 10], expected_effect, atol=1e-6)


def test_a_head_of_more_targets_predicts_them(model: nn.Module) -> None:
    model.output = nn.Linear(8, 5)
    np.testing.assert_allclose(bioq.predict(model, HOT), by_hand(model), atol=1e-6)


def test_hooks_of_the_caller_are_called(model: nn.Module) -> None:
    seen = []
    model.conv.register_forward_hook(lambda *_: seen.append(1))
    np.testing.assert_allclose(bioq.predict(model, HOT), by_hand(model), atol=1e-6)
    assert seen


def test_a_model_in_training_mode_predicts_the_same_and_keeps_it(model: nn.Module) -> None:
    expected = bioq.predict(model, HOT)
    model.train()
    model.lstm.eval()
    np.testing.assert_array_equal(bioq.predict(model, HOT), expected)
    assert model.training
    assert not model.lstm.training


@pytest.mark.parametrize("ends_first", ["outer", "inner"])
def test_blocks_that_overlap_keep_a_model_in_eval_mode(ends_first: str) -> None:
    """As those of two threads do; one of them has a layer of the model alone."""
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5).eval()))
    modes = [layer.training for layer in model.modules()]
    outer, inner = contextlib.ExitStack(), contextlib.ExitStack()
    outer.enter_context(eval_mode(model))
    inner.enter_context(eval_mode(model[1]))
    first, last = (outer, inner) if ends_first == "outer" else (inner, outer)
    first.close()
    assert not model[1][0].training
    last.close()
    assert [layer.training for layer in model.modules()] == modes


def test_several_threads_predict_with_a_model_in_training_mode(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOQ_PLAIN", "1")
    expected = by_hand(model)
    model.train()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: predict_codes(model, CODES), range(16)))
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-6)
    assert all(layer.training for layer in model.modules())


def test_gradients_under_inference_mode_are_the_same(model: nn.Module) -> None:
    expected = integrated_gradients(model, HOT[:2], target=1, steps=3)
    with torch.inference_mode():
        windows = torch.from_numpy(HOT[:2])
        result = integrated_gradients(model, windows, target=1, steps=3)
        made = copy.deepcopy(model)
    np.testing.assert_array_equal(result.values, expected.values)
    with pytest.raises(bioq.BioqError, match=r"model was made under torch\.inference_mode"):
        integrated_gradients(made, HOT[:2], target=1)


class _Doubles(nn.Module):
    """Changes its input."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(800, 3)

    def forward(self, windows: Tensor) -> Tensor:
        logits: Tensor = self.out(windows.mul_(2).flatten(1))
        return logits


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_a_model_that_writes_into_its_input_changes_no_array(strands: str) -> None:
    torch.manual_seed(0)
    model, windows = _Doubles(), HOT.astype(np.float32)
    expected = by_hand(model, windows.copy())
    kept = windows.copy()
    result = bioq.predict(model, windows, strands=strands)  # type: ignore[arg-type]
    if strands == "both":
        np.testing.assert_allclose(result, expected, atol=1e-6)
    result = integrated_gradients(model, windows[:2], target=0, steps=2)
    np.testing.assert_array_equal(windows, kept)
    assert abs(result.completeness_gap).max() < 1e-5  # it is linear
    windows.setflags(write=False)
    np.testing.assert_allclose(bioq.predict(model, windows), expected, atol=1e-6)


def test_a_reversed_or_negative_span_is_refused_in_one_line(model: nn.Module) -> None:
    """A negative start gave zeros before the window and wrong values in it."""
    for start, end, message in (
        (-5, None, "start -5; expected 0 to 200"),
        (201, None, "start 201; expected 0 to 200"),
        (7, 3, "end 3; expected 7 to 200"),
        (0, 201, "end 201; expected 0 to 200"),
        (0, -1, "end -1; expected 0 to 200"),
    ):
        with pytest.raises(bioq.UsageError) as error:
            mutate_window(model, CODES[0], start=start, end=end)
        assert str(error.value) == message
    reference, effects = mutate_window(model, CODES[0], start=9, end=9)
    assert effects.shape == (4, 0, 3)
    np.testing.assert_allclose(reference, by_hand(model)[0], atol=1e-6)


@pytest.mark.parametrize("plain", [False, True])
def test_strands_and_precision_are_checked_with_and_without_the_fast_path(
    model: nn.Module, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "BIOQ_PLAIN", "1" if plain else "0")
    with pytest.raises(bioq.UsageError, match="strands 'reverse'; expected both or forward"):
        mutate_window(model, CODES[0], strands="reverse")  # type: ignore[arg-type]
    with pytest.raises(bioq.UsageError, match="precision 'int8'; expected 32, tf32 or bf16"):
        mutate_window(model, CODES[0], precision="int8")  # type: ignore[arg-type]
    with pytest.raises(bioq.UsageError, match="precision tf32 needs a CUDA device, this is cpu"):
        mutate_window(model, CODES[0], precision="tf32")


def test_the_device_meta_is_refused_and_the_weights_stay(model: nn.Module) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(bioq.UsageError, match="device 'meta' has no values to compute with"):
        bioq.predict(model, HOT, device="meta")
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
def test_a_model_predicts_on_a_card_and_stays_on_its_device(model: nn.Module) -> None:
    before = {name: weight.data_ptr() for name, weight in model.named_parameters()}
    expected = bioq.predict(model, HOT)
    np.testing.assert_allclose(bioq.predict(model, HOT, device="cuda"), expected, atol=1e-5)
    _, effects = mutate_window(model, CODES[0], start=90, end=99, device="cuda")
    np.testing.assert_allclose(
        effects, mutate_window(model, CODES[0], start=90, end=99)[1], atol=1e-5
    )
    assert {name: weight.data_ptr() for name, weight in model.named_parameters()} == before
    assert next(model.parameters()).device.type == "cpu"
    np.testing.assert_array_equal(bioq.predict(model, HOT), expected)
