"""The path for NVIDIA cards: its kernels by Triton's interpreter, its choices without a card.

Tests that need a card are skipped without a card. Triton (1 GB) is installed for tests, on Linux
and x86-64, and is no dependency of BioQ.
"""

import copy
import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bioq.dna.tensors import one_hot
from bioq.fast import cuda, engines, prepare
from bioq.fast.cuda import CudaDanQ, CudnnDanQ, Way
from bioq.fast.paths import FastPaths
from bioq.fast.training import training_forward
from bioq.forward import numerics, predict_codes
from bioq.models import ModelSizes, build_model
from bioq.models.danq import DanQ

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")

# filters, filter width, pool width, LSTM units, layers, windows, window length
SIZES = [
    (6, 8, 5, 4, 2, 3, 100),
    (33, 26, 13, 20, 1, 5, 130),
    (70, 11, 16, 37, 2, 17, 58),
    (5, 3, 1, 5, 2, 2, 9),
]


def model_of(
    filters: int,
    width: int,
    pool: int,
    units: int,
    layers: int,
    length: int,
    *,
    gates: Literal["sigmoid", "hard"] = "sigmoid",
) -> DanQ:
    torch.manual_seed(0)
    sizes = ModelSizes(
        filters=filters,
        filter_width=width,
        pool_width=pool,
        lstm_units=units,
        lstm_layers=layers,
        dense_units=7,
        gates=gates,
    )
    model = build_model("bioq", targets=3, window_bp=length, sizes=sizes).eval()
    assert isinstance(model, DanQ)
    return model


def small_model() -> DanQ:
    return model_of(6, 8, 5, 4, 2, 100)


def random_codes(windows: int, length: int) -> Tensor:
    codes = np.random.default_rng(windows).integers(0, 5, (windows, length)).astype(np.uint8)
    return torch.from_numpy(codes)


@needs_card
@pytest.mark.parametrize("way", cuda.WAYS, ids=lambda way: way.name)
def test_on_a_card_every_way_passes_its_check(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    model = build_model("bioq", targets=919).eval().cuda()
    engine = CudaDanQ(model, [way])
    for windows in (128, 300, 1024):
        engine(random_codes(windows, 1000).cuda())
    assert capsys.readouterr().err == ""


@needs_card
def test_on_a_card_bf16_is_the_same_with_the_switch_on_and_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build_model("bioq", targets=919).eval().cuda()
    codes = random_codes(300, 1000).numpy()
    monkeypatch.delenv("BIOQ_CUDA_FAST", raising=False)
    assert prepare(model, "bf16") is None
    monkeypatch.setenv("BIOQ_CUDA_FAST", "1")
    assert prepare(model, "bf16") is not None
    assert prepare(model, "32") is None
    fast = predict_codes(model, codes, precision="bf16")
    monkeypatch.setenv("BIOQ_PLAIN", "1")
    np.testing.assert_allclose(fast, predict_codes(model, codes, precision="bf16"), atol=0.01)


@needs_card
@pytest.mark.parametrize("name", ["bioq", "deepatt", "marq"])
@pytest.mark.parametrize(("precision", "allowed"), [("32", 1e-3), ("tf32", 0.02), ("bf16", 0.1)])
def test_on_a_card_small_gradients_reach_the_convolution(
    name: str, precision: Any, allowed: float
) -> None:
    """They are about 1e-8 there, zero in float16 (see `models.recurrent`)."""
    torch.manual_seed(0)
    model = build_model(name, targets=919).eval()  # without dropout
    labels = (torch.rand(100, 919) < 0.02).float()

    def gradient(device: str, precision: Any) -> Tensor:
        model.to(device).zero_grad()
        compute = training_forward(model, precision)
        with numerics(torch.device(device), precision):
            logits = compute(random_codes(100, 1000).to(device)).float()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.to(device))
            loss.backward()
        assert model.conv.weight.grad is not None
        return model.conv.weight.grad.cpu()

    exact, result = gradient("cpu", "32"), gradient("cuda", precision)
    assert (result - exact).norm() / exact.norm() < allowed


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the kernels, computed by Triton's interpreter on the CPU (see conftest)."""
    if torch.cuda.is_available():
        pytest.skip("Triton compiles for the card in this process")
    name = "bioq.fast.danq_triton"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module: ModuleType = importlib.import_module(name)
    interpreter = importlib.import_module("triton.runtime.interpreter")
    language = importlib.import_module("triton.language")
    builder = interpreter.InterpreterBuilder
    cast, dot = builder.cast_impl, builder.create_dot

    def cast_to_nearest(self: Any, source: Any, to: Any) -> Any:
        """As cards do (cvt.rn); up to Triton 3.9 the interpreter cuts bf16 off."""
        if (source.dtype.scalar, to.scalar) != (language.float32, language.bfloat16):
            return cast(self, source, to)
        bits = torch.from_numpy(source.data).bfloat16().view(torch.int16).numpy()
        return interpreter.TensorHandle(bits.view(np.uint16), language.bfloat16)

    def dot_of_bf16(self: Any, left: Any, right: Any, *others: Any) -> Any:
        """NumPy has no bf16: up to Triton 3.9 the interpreter multiplies its bits as integers."""
        if left.dtype.scalar == language.bfloat16:
            left, right = (cast(self, side, language.float32) for side in (left, right))
        return dot(self, left, right, *others)

    monkeypatch.setattr(builder, "cast_impl", cast_to_nearest)
    monkeypatch.setattr(builder, "create_dot", dot_of_bf16)
    yield module
    sys.modules.pop(name, None)


@needs_triton
@pytest.mark.parametrize("gates", ["sigmoid", "hard"])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_kernels_compute_the_model(
    kernels: Any, sizes: tuple[int, ...], gates: Literal["sigmoid", "hard"]
) -> None:
    *shape, windows, length = sizes
    model, codes = model_of(*shape, length, gates=gates), random_codes(windows, length)
    with torch.no_grad():
        for weight in model.lstm.parameters():
            weight.mul_(5)  # hard gates clip
    tiles = kernels.Tiles(windows=16, units=16, inner=16)
    with torch.inference_mode():
        result = kernels.TritonDanQ(model, torch.float32, tiles)(codes)
        expected = model(one_hot(codes).float())
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


@needs_triton
def test_in_bf16_the_kernels_round_inputs_gates_and_states_and_nothing_else(kernels: Any) -> None:
    model, codes = model_of(33, 26, 13, 20, 2, 130), random_codes(5, 130)
    with torch.inference_mode():
        engine = kernels.TritonDanQ(model, torch.bfloat16, kernels.Tiles(16, 16, 16))
        states = engine.pooled(codes)
        assert_nearly_all_equal(states.transpose(0, 1).float(), rounded_map(model, codes))
        for number, layer in enumerate(engine._layers):
            expected = rounded_lstm(model.lstm, number, states.transpose(0, 1).float())
            states = engine.step_through(layer, states, last=False)
            assert_nearly_all_equal(states.transpose(0, 1).float(), expected)


def assert_nearly_all_equal(result: Tensor, expected: Tensor) -> None:
    """Sums in another order now and then fall on the other side of a rounding, by one step."""
    assert (result == expected).float().mean() > 0.99
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=2**-7)


def rounded(numbers: Tensor) -> Tensor:
    return numbers.bfloat16().float()


def rounded_map(model: DanQ, codes: Tensor) -> Tensor:
    """`(n, position, filter)` in float32, by PyTorch, of rounded weights; the result rounded."""
    result = nn.functional.conv1d(one_hot(codes).float(), rounded(model.conv.weight))
    assert model.conv.bias is not None
    result = model.pool(torch.relu(result + model.conv.bias[:, None]))
    return rounded(result).transpose(1, 2)


def rounded_lstm(lstm: nn.LSTM, number: int, inputs: Tensor) -> Tensor:
    """`(n, position, 2 * units)` of one layer by the textbook's equations, rounded as meant."""
    result = []
    for suffix in (f"l{number}", f"l{number}_reverse"):
        of_inputs, of_states, first, second = (
            getattr(lstm, f"{name}_{suffix}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        given = rounded(inputs @ rounded(of_inputs).T + rounded(first + second))
        steps = range(inputs.shape[1])
        state = cell = inputs.new_zeros((len(inputs), lstm.hidden_size))
        read = {}
        for step in reversed(steps) if suffix.endswith("reverse") else steps:
            total = given[:, step] + state @ rounded(of_states).T
            let_in, forget, new, let_out = total.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(let_in) * torch.tanh(new)
            read[step] = state = rounded(torch.sigmoid(let_out) * torch.tanh(cell))
        result.append(torch.stack([read[step] for step in steps], dim=1))
    return torch.cat(result, dim=2)


@needs_triton
def test_filters_too_wide_for_the_kernel_are_refused(kernels: Any) -> None:
    with pytest.raises(ValueError, match="filters of 65 bp"):
        kernels.TritonDanQ(model_of(4, 65, 5, 4, 1, 100), torch.float32)


def as_it_is(compute: Callable[[Tensor], Tensor], codes: Tensor) -> Callable[[Tensor], Tensor]:
    """In place of a CUDA graph: computes the same number of windows, gives the first of them."""
    given = codes.clone()

    def replay(codes: Tensor) -> Tensor:
        given[: len(codes)] = codes
        return compute(given)[: len(codes)]

    return replay


@pytest.fixture(autouse=True)
def nothing_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "failed", {})


def sound(model: DanQ) -> CudnnDanQ:
    return CudnnDanQ(model)


def unsound(model: DanQ) -> CudnnDanQ:
    """An engine that forgets one bias of one gate of one layer."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.lstm.bias_ih_l1_reverse[:4] = 0
    return CudnnDanQ(changed)


def absent(model: DanQ) -> CudnnDanQ:
    raise ModuleNotFoundError("No module named 'triton'")


def plain_bf16(model: nn.Module, codes: Tensor) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits: Tensor = model(one_hot(codes).float())
    return logits.float()


def test_hard_gates_take_only_a_way_that_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    model, codes = model_of(6, 8, 5, 4, 2, 100, gates="hard"), random_codes(128, 100)
    engine = CudaDanQ(model, [Way("cuDNN", absent)], as_it_is)
    assert torch.equal(engine(codes), plain_bf16(model, codes))
    assert capsys.readouterr().err == ""
    assert [way.name for way in cuda.WAYS if way.has_hard_gates] == ["Triton kernels"]


@pytest.mark.parametrize("windows", [128, 255, 256, 257, 4096, 4400])
def test_batches_are_filled_up_to_the_graphs_size(windows: int) -> None:
    model, codes, sizes = small_model(), random_codes(windows, 100), []

    def count(compute: Any, codes: Tensor) -> Any:
        sizes.append(len(codes))
        return as_it_is(compute, codes)

    engine = CudaDanQ(model, [Way("sound", sound)], count)
    result = engine(codes)
    assert result.shape == (windows, 3)
    torch.testing.assert_close(result, plain_bf16(model, codes), atol=2e-3, rtol=0)
    assert sizes == {255: [256], 257: [512], 4400: [4096, 512]}.get(windows, [max(256, windows)])
    engine(codes)
    assert len(sizes) == len(set(sizes))  # recorded once


@pytest.mark.parametrize("wrong", [unsound, absent])
def test_a_way_that_is_wrong_or_absent_is_told_once_and_the_next_one_taken(
    wrong: Callable[[DanQ], CudnnDanQ], capsys: pytest.CaptureFixture[str]
) -> None:
    ways = [Way("first", wrong), Way("second", sound)]
    model = small_model()
    for _ in range(2):
        engine = CudaDanQ(model, ways, as_it_is)
        engine(random_codes(300, 100))
        assert [way.name for way in engine._ways] == ["second"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("no first for bf16 on this card (")
    assert lines[0].endswith("); second instead")


def test_without_any_way_the_model_computes_itself(capsys: pytest.CaptureFixture[str]) -> None:
    model, codes = small_model(), random_codes(300, 100)
    engine = CudaDanQ(model, [Way("first", unsound), Way("second", absent)], as_it_is)
    torch.testing.assert_close(engine(codes), plain_bf16(model, codes), atol=0, rtol=0)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "no second for bf16 on this card (No module named 'triton'); plain PyTorch is used"
    )


def test_a_way_that_gives_no_numbers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    def hollow(model: DanQ) -> Any:
        return lambda codes: torch.full((len(codes), 3), torch.nan)

    model = small_model()
    CudaDanQ(model, [Way("hollow", hollow)], as_it_is)(random_codes(256, 100))
    assert "logits are nan" in capsys.readouterr().err


def test_few_windows_are_not_worth_a_graph() -> None:
    model, codes = small_model(), random_codes(127, 100)
    engine = CudaDanQ(model, [Way("absent", absent)], as_it_is)
    torch.testing.assert_close(engine(codes), plain_bf16(model, codes), atol=0, rtol=0)
    assert engine._ways  # not even asked for


def test_an_engine_does_not_keep_its_model() -> None:
    model = small_model()
    engine = CudaDanQ(model, [Way("sound", sound)], as_it_is)
    engine(random_codes(128, 100))
    del model
    with pytest.raises(ReferenceError, match="the model is gone"):
        engine(random_codes(3, 100))


@pytest.mark.parametrize(("value", "is_used"), [(None, False), ("0", False), ("1", True)])
def test_on_a_card_plain_pytorch_computes_unless_the_switch_is_set(
    value: str | None, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnCard(nn.Module):
        def parameters(self, recurse: bool = True) -> Any:
            return iter([SimpleNamespace(device=torch.device("cuda"))])

    paths = FastPaths(cuda=lambda model: lambda codes: codes)
    monkeypatch.setattr(engines, "paths_of", lambda model: paths)
    monkeypatch.setattr(engines, "can_run_on", lambda device: True)
    monkeypatch.setattr(engines, "cached", lambda model, name, make: make())
    monkeypatch.delenv("BIOQ_CUDA_FAST", raising=False)
    if value is not None:
        monkeypatch.setenv("BIOQ_CUDA_FAST", value)
    assert (prepare(OnCard(), "bf16") is not None) == is_used


def test_cards_without_bf16_units_are_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert not cuda.can_run_on(torch.device("cuda:0"))
    assert not cuda.can_run_on(torch.device("cuda:0"))
    assert capsys.readouterr().err.splitlines() == [
        "cuda:0 has compute capability 7.5; bf16 is fast from 8.0 on only, so plain PyTorch is used"
    ]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert cuda.can_run_on(torch.device("cuda:0"))
