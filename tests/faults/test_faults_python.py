"""Functions of Python that fail in the middle leave the caller's model and arrays as they were."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Counted
from torch import Tensor, nn

import bioq
from bioq import dna
from bioq.forward import predict_codes, predict_edits
from bioq.interpretation import input_x_gradient, integrated_gradients, mutate_window
from bioq.models.device import on_device

WINDOW_BP = 60
ERRORS = (RuntimeError, KeyboardInterrupt, MemoryError, SystemExit)
TRIALS = 8


class Fragile(nn.Module):
    """A network with an LSTM, a norm and dropout that fails at one of its calls, and counts them.

    It also writes into its input, as a user's module may."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 5)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.lstm = nn.LSTM(6, 3, batch_first=True, bidirectional=True)
        self.out = nn.Linear(6, 3)
        self.calls, self.fails_at, self.error = 0, 0, RuntimeError

    def forward(self, windows: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.error("in the middle")
        maps = self.drop(self.norm(self.conv(windows)))
        logits: Tensor = self.out(self.lstm(maps.transpose(1, 2))[0].mean(1))
        if not torch.is_grad_enabled():
            windows.mul_(0)
        return logits


CODES = np.random.default_rng(0).integers(0, 5, (40, WINDOW_BP)).astype(np.uint8)
HOT = dna.one_hot(CODES).astype(np.float32)
TENSOR = torch.from_numpy(HOT.copy())
FUNCTIONS: dict[str, Callable[[nn.Module], Any]] = {
    "predict": lambda model: bioq.predict(model, HOT, batch_size=3),
    "predict of a tensor": lambda model: bioq.predict(model, TENSOR, batch_size=20),
    "predict_codes": lambda model: predict_codes(model, CODES),
    "predict_edits": lambda model: predict_edits(
        model, CODES[:9], CODES[9:18], np.arange(9), batch_size=4
    ),
    "mutate_window": lambda model: mutate_window(model, CODES[0], end=20, batch_size=20),
    "input_x_gradient": lambda model: input_x_gradient(model, HOT, target=1),
    "integrated_gradients": lambda model: integrated_gradients(
        model, TENSOR[:2], target=1, steps=3, batch_size=2
    ),
}


def make(random: np.random.Generator) -> Fragile:
    """Return a model in a random mode, with frozen layers, gradients and hooks."""
    model = Fragile()
    for layer in model.modules():
        layer.training = bool(random.integers(2))
    for weight in model.parameters():
        weight.requires_grad_(bool(random.integers(2)))
        if random.integers(2):
            weight.grad = torch.ones_like(weight)
    model.register_forward_hook(lambda *_: None)
    model.conv.register_forward_pre_hook(lambda *_: None)
    return model.double() if random.integers(3) == 0 else model


def state(model: Fragile) -> list[Any]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [
        [(name, id(one), one.data_ptr(), one.dtype, one.requires_grad) for name, one in tensors],
        [one.detach().numpy().tobytes() for _, one in tensors],
        [None if one.grad is None else one.grad.numpy().tobytes() for _, one in tensors],
        [(id(one), one.training, len(one._forward_hooks)) for one in model.modules()],
        [len(one._forward_pre_hooks) for one in model.modules()],
        torch.get_rng_state().numpy().tobytes(),
        [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()],
        [torch.backends.cudnn.enabled, torch.is_autocast_enabled("cpu")],
        [CODES.tobytes(), HOT.tobytes(), TENSOR.numpy().tobytes()],
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_failure_in_the_middle_leaves_the_model_as_it_was(
    name: str, trials: int, counted: Counted
) -> None:
    random = np.random.default_rng(len(name))
    call = FUNCTIONS[name]
    for _ in range(TRIALS * trials):
        model = make(random)
        expected = call(model)  # what it computes without a failure
        number = model.calls
        model.calls, model.fails_at = 0, int(random.integers(1, number + 1))
        model.error = ERRORS[random.integers(len(ERRORS))]
        before = state(model)
        with pytest.raises(model.error, match="in the middle"):
            call(model)
        assert state(model) == before
        model.calls, model.fails_at = 0, 0
        np.testing.assert_equal(vars_of(call(model)), vars_of(expected))
        assert state(model) == before
    counted("a model that fails in the middle", "the model as it was", TRIALS * trials)


def vars_of(result: Any) -> Any:
    return vars(result) if hasattr(result, "__dict__") else result


def test_a_model_that_is_moved_comes_back_to_its_own_tensors(
    trials: int, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device meta, which has no values, stands for a card: no public function takes it."""
    monkeypatch.setattr("bioq.models.device.choose_device", torch.device)
    random = np.random.default_rng(5)
    for _ in range(TRIALS * trials):
        model = make(random)
        before, expected = state(model), bioq.predict(model, HOT)
        error = ERRORS[random.integers(len(ERRORS))]
        with pytest.raises(error), on_device(model, "meta"):
            assert all(weight.is_meta for weight in (*model.parameters(), *model.buffers()))
            raise error
        assert state(model) == before
        np.testing.assert_array_equal(bioq.predict(model, HOT), expected)
    counted("a model that fails on another device", "the model as it was", TRIALS * trials)
