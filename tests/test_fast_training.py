"""The fast training step has the plain step's gradients, random numbers and losses."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import bioq
from bioq import ModelSizes, TrainConfig
from bioq.dataset import Dataset
from bioq.dna.tensors import one_hot
from bioq.fast import kmers as kmers_module
from bioq.fast.kmers import KmerConvolution
from bioq.fast.switch import SWITCH
from bioq.fast.training import ConvolutionPooled, training_forward
from bioq.models import build_model
from bioq.runs.folder import read_history

SIZES = ModelSizes(filters=6, filter_width=8, pool_width=5, dense_units=7)
LSTM = ModelSizes(**{**vars(SIZES), "lstm_units": 4, "lstm_layers": 2})


def codes_with_repeats(windows: int, length: int, seed: int) -> Tensor:
    """Random bases, unknown ones among them; a window of unknown bases and two of repeats, where
    many positions are equally good."""
    codes = np.random.default_rng(seed).integers(0, 5, (windows, length)).astype(np.uint8)
    codes[0], codes[1], codes[2] = 4, 2, np.arange(length) % 2
    return torch.from_numpy(codes)


def small_model(name: str, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = replace(SIZES if name in ("deepsea", "beluga") else LSTM, **changes)
    return build_model(name, targets=3, window_bp=250, sizes=sizes)


def gradients(model: nn.Module, forward: Callable[[Tensor], Tensor], codes: Tensor) -> list[Tensor]:
    """Return the logits and the gradient of every weight; the logits count unequally."""
    model.zero_grad()
    torch.manual_seed(1)  # dropout
    logits = forward(codes)
    (logits * torch.linspace(-1, 2, logits.numel()).view(logits.shape)).sum().backward()
    return [logits.detach(), *(weight.grad for weight in model.parameters())]  # type: ignore[misc]


@given(
    st.integers(1, 12), st.integers(1, 9), st.integers(1, 7), st.integers(0, 40), st.integers(1, 9)
)
def test_the_convolution_has_the_gradients_that_autograd_finds(
    width: int, pool_width: int, filters: int, more: int, at_once: int
) -> None:
    torch.manual_seed(width)
    layer = nn.Conv1d(4, filters, width).double()
    codes = codes_with_repeats(7, width - 1 + pool_width + more, seed=more)
    plain = functional.max_pool1d(torch.relu(layer(one_hot(codes).double())), pool_width)
    upstream = torch.randn_like(plain)
    plain.backward(upstream)
    expected = [plain, layer.weight.grad, layer.bias.grad]  # type: ignore[union-attr]
    layer.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        map_bytes = plain.shape[2] * pool_width * filters * 8
        patch.setattr(kmers_module, "_MAP_BYTES", at_once * map_bytes)
        kmers = KmerConvolution(layer, pool_width, torch.float64)
        result = ConvolutionPooled.apply(layer.weight, layer.bias, codes, kmers)
        result.backward(upstream)
    for mine, other in zip([result, layer.weight.grad, layer.bias.grad], expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bioq", {}),
        ("danq", {}),
        ("danq", {"gates": "hard"}),
        ("deepsea", {}),
        ("deepsea", {"floor": 0.05}),
        ("beluga", {"filter_width": 6, "pool_width": 3}),
    ],
)
def test_a_models_logits_dropout_and_gradients_are_the_plain_ones(
    name: str, changes: dict[str, Any]
) -> None:
    model, codes = small_model(name, **changes), codes_with_repeats(20, 250, seed=3)
    fast = gradients(model, training_forward(model, "32"), codes)
    plain = gradients(model, lambda codes: model(one_hot(codes).float()), codes)
    for mine, other in zip(fast, plain, strict=True):
        assert (mine - other).norm() <= 1e-5 * other.norm()


@pytest.mark.parametrize("why", ["bf16", "a hook", "a subclass", "the switch", "nothing"])
def test_the_model_itself_is_used_where_it_must_be(
    monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    model, codes = small_model("danq"), codes_with_repeats(4, 250, seed=0)
    convolved: list[str] = []
    plain = functional.conv1d

    def counted(*arguments: Tensor) -> Tensor:
        convolved.append("here")
        return plain(*arguments)

    if why == "a hook":
        model.conv.register_forward_hook(lambda *_: None)  # type: ignore[operator,union-attr]
    if why == "a subclass":
        model.__class__ = type("Changed", (type(model),), {})
    if why == "the switch":
        monkeypatch.setenv(SWITCH, "1")
    monkeypatch.setattr(nn.functional, "conv1d", counted)
    training_forward(model, "bf16" if why == "bf16" else "32")(codes)
    assert bool(convolved) == (why != "nothing")


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
def test_loss_curves_are_equal_with_the_switch_on_and_off(
    masked_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    config = TrainConfig(
        epochs=3, batch_size=8, lr=2e-3, warmup_epochs=0.0, optimizer=optimizer, patience=0
    )
    for name in ("fast", "plain"):
        monkeypatch.setenv(SWITCH, "1" if name == "plain" else "0")
        bioq.train(masked_data, tmp_path / name, model="bioq", sizes=LSTM, config=config)
    fast, plain = (read_history(tmp_path / name) for name in ("fast", "plain"))
    for column in ("train_loss", "valid_loss", "valid_macro_roc_auc"):
        np.testing.assert_allclose(fast[column], plain[column], rtol=1e-4)


FAULTS = """
import resource
import numpy as np
from bioq.fast.memory import kept_memory
def faults_of(bytes_taken):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(bytes_taken, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
start = resident_mb()
with kept_memory():
    faults_of(400 << 20)
    kept = resident_mb() - start
    print(faults_of(300 << 20), kept, end=" ")
print(resident_mb() - start)
"""


@pytest.mark.parametrize("switch", ["0", "1"])
def test_memory_is_kept_within_the_block_and_given_back_after_it(switch: str) -> None:
    if sys.platform != "linux":
        pytest.skip("reads Linux's own figures")
    result = subprocess.run(
        [sys.executable, "-c", FAULTS], check=True, capture_output=True, env={SWITCH: switch}
    )
    faults, kept_mb, after_mb = map(int, result.stdout.split())
    if switch == "1":
        assert kept_mb < 50
    else:
        assert faults < 1000  # of 76,800 pages
        assert kept_mb > 350
        assert after_mb < 50
