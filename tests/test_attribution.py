"""Attribution: gradients against finite differences, complete, in eval mode, model unchanged."""

import numpy as np
import pytest
import torch
from torch import nn

from bioq import BioqError, ModelSizes, UsageError
from bioq.batches import reverse_complement
from bioq.interpretation import input_x_gradient, integrated_gradients
from bioq.models import build_model

TINY = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
    ),
]


SMALL = ModelSizes(filters=8, dense_units=8)


def make(name: str = "danq") -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    sizes = SMALL if name == "deepsea" else TINY
    model = build_model(name, targets=2, window_bp=200, sizes=sizes).eval()
    with torch.no_grad():  # fresh weights hardly tell windows apart
        for parameter in model.parameters():
            parameter.mul_(3)
    codes = torch.randint(0, 4, (3, 200))
    return model, nn.functional.one_hot(codes, 4).transpose(1, 2).float()


def mean_logit(model: nn.Module, windows: torch.Tensor, target: int) -> torch.Tensor:
    with torch.no_grad():
        return (model(windows) + model(reverse_complement(windows)))[:, target] / 2


def moved(windows: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    """Return a window `(4, length)` with each of its numbers a step up, then a step down."""
    steps = torch.eye(windows.numel()).view(-1, *windows.shape).to(windows) * step
    return torch.cat([windows + steps, windows - steps])


def finite_gradient(model: nn.Module, window: torch.Tensor, target: int) -> np.ndarray:
    """Return the gradient of a window's logit by central differences, `(4, length)`."""
    up, down = mean_logit(model, moved(window), target).chunk(2)
    return ((up - down) / 2e-6).view(window.shape).numpy()


@pytest.mark.parametrize("name", ["bioq", "danq", "deepsea"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    model, windows = make(name)
    model, windows = model.double(), windows[:1].double()
    found = input_x_gradient(model, windows, target=1)
    expected = finite_gradient(model, windows[0], 1)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found.gradient[0], expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(found.values, windows.numpy() * found.gradient)


@pytest.mark.parametrize("name", ["bioq", "danq", "deepsea"])
def test_integrated_gradients_are_the_mean_of_finite_differences(name: str) -> None:
    model, windows = make(name)
    model, windows = model.double(), windows[:1].double()
    baseline = torch.full_like(windows, 0.25)
    found = integrated_gradients(model, windows, target=0, baseline=baseline, steps=5, batch_size=2)
    mean = np.mean(
        [
            finite_gradient(model, (baseline + share * (windows - baseline))[0], 0)
            for share in (0.1, 0.3, 0.5, 0.7, 0.9)
        ],
        axis=0,
    )
    np.testing.assert_allclose(found.gradient[0], mean, atol=1e-6 * np.abs(mean).max())
    np.testing.assert_allclose(
        found.values, (windows - baseline).numpy() * found.gradient, rtol=1e-12
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["bioq", "danq", "deepsea"])
def test_integrated_gradients_are_complete_in_eval_mode(name: str, device: str) -> None:
    model, windows = make(name)
    model = model.to(device)
    found = integrated_gradients(model, windows, target=1, steps=300, batch_size=64)
    expected = mean_logit(model, windows.to(device), 1).cpu()
    np.testing.assert_allclose(found.logit, expected, atol=1e-5)
    np.testing.assert_allclose(
        found.baseline_logit,
        mean_logit(model, torch.zeros_like(windows).to(device), 1).cpu(),
        atol=1e-5,
    )
    difference = np.abs(found.logit - found.baseline_logit)
    assert difference.min() > 1e-3
    assert (np.abs(found.completeness_gap) < 0.02 * difference).all()


def test_the_completeness_gap_tells_of_too_few_steps() -> None:
    model, windows = make()
    gaps = [
        np.abs(integrated_gradients(model, windows, target=0, steps=n).completeness_gap).max()
        for n in (1, 256)
    ]
    assert gaps[1] < gaps[0] / 10


def test_a_linear_model_is_explained_exactly_from_any_baseline() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * 20, 2))
    windows, baseline = torch.rand(2, 4, 20), torch.rand(2, 4, 20)
    found = integrated_gradients(
        model, windows, target=1, baseline=baseline, steps=1, strands="forward"
    )
    weights = model[1].weight[1].detach().view(4, 20)
    np.testing.assert_allclose(found.values, (windows - baseline) * weights, atol=1e-6)
    np.testing.assert_allclose(found.completeness_gap, 0, atol=1e-5)


def test_the_model_is_as_before() -> None:
    model, windows = make()
    model.train()
    model.output.eval()  # type: ignore[operator,union-attr]
    model.output.bias.requires_grad_(False)  # type: ignore[union-attr]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    needed = [parameter.requires_grad for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    once, again = (input_x_gradient(model, windows, target=0).values for _ in range(2))
    np.testing.assert_array_equal(once, again)  # no dropout
    integrated_gradients(model, windows, target=0, steps=2)
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == needed
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_wrong_windows_targets_and_steps_are_refused() -> None:
    model, windows = make()
    with pytest.raises(BioqError, match=r"windows have shape \(3, 4, 100\); expected \(n, 4, 200"):
        input_x_gradient(model, windows[:, :, :100], target=0)
    with pytest.raises(UsageError, match="target 2: the model has the targets 0 to 1"):
        input_x_gradient(model, windows, target=2)
    with pytest.raises(UsageError, match="expected both or forward"):
        input_x_gradient(model, windows, target=0, strands="reverse")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 steps, batch size 256; expected at least 1"):
        integrated_gradients(model, windows, target=0, steps=0)
    with pytest.raises(BioqError, match=r"the baseline has shape \(1, 4, 200\)"):
        integrated_gradients(model, windows, target=0, baseline=windows[:1])
