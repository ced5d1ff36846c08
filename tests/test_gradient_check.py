"""Wrong gradients of a device are told before a training starts."""

import pytest
import torch
from torch import nn

from bioq.models import ModelSizes, build_model
from bioq.training.gradient_check import Gradients, gradients_on, warn_of_wrong_gradients

MPS = torch.device("mps")


def small_model() -> nn.Module:
    torch.manual_seed(0)
    sizes = ModelSizes(
        filters=6, filter_width=8, pool_width=5, dense_units=7, lstm_units=4, lstm_layers=2
    )
    return build_model("bioq", targets=3, window_bp=100, sizes=sizes)


def test_a_device_that_agrees_with_the_cpu_is_not_mentioned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def nearly_equal(model: nn.Module, device: torch.device) -> Gradients:
        result = gradients_on(model, torch.device("cpu"))
        return {name: (1 + 1e-4 * (device == MPS)) * gradient for name, gradient in result.items()}

    warn_of_wrong_gradients(small_model(), MPS, compute=nearly_equal)
    warn_of_wrong_gradients(small_model(), torch.device("cpu"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("factor", "share"), [(0.0, "100%"), (1.5, "50%"), (float("nan"), "inf%")])
def test_one_wrong_gradient_is_named(
    factor: float, share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(model: nn.Module, device: torch.device) -> Gradients:
        result = gradients_on(model, torch.device("cpu"))
        if device == MPS:
            result["lstm.weight_hh_l0"] *= factor
        return result

    warn_of_wrong_gradients(small_model(), MPS, compute=wrong)
    assert capsys.readouterr().err == (
        f"warning: mps gives wrong gradients: lstm.weight_hh_l0 is {share} from what the CPU "
        "computes, expected below 1%; training would go wrong silently: take --device cpu, or "
        "another version of PyTorch\n"
    )


def test_the_gradients_are_those_without_dropout_and_the_model_is_left_alone() -> None:
    model = small_model().train()
    assert isinstance(model.drop_head, nn.Dropout)
    rate = model.drop_head.p
    first, second = (gradients_on(model, torch.device("cpu")) for _ in range(2))
    assert set(first) == {name for name, _ in model.named_parameters()}
    for name, gradient in first.items():
        torch.testing.assert_close(gradient, second[name], atol=0, rtol=0)
        assert gradient.norm() > 0
    assert model.drop_head.p == rate > 0
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device")
def test_mps_itself(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_wrong_gradients(small_model(), MPS)
    assert capsys.readouterr().err == ""
