"""The device that computes, and a caller's model on it."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from bioq.errors import UsageError, did_you_mean, nearest, short, shown
from bioq.options import found

_MOST_REASON = 200  # letters; some of PyTorch's reasons list all its backends
_TYPES = ("cpu", "cuda", "mps")
_EXPECTED = "use cpu, cuda or mps"


def choose_device(name: str | torch.device | None) -> torch.device:
    """Return the device of that name; without a name the first CUDA card, else the CPU.

    Raises UsageError if this machine or this PyTorch does not have it, and for the device `meta`,
    whose tensors have no values.
    """
    if name is None or (isinstance(name, str) and name == "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(name, str | torch.device):
        raise UsageError(f"device {found(name)}; {_EXPECTED}")
    device = None
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        if device is None:
            kind = str(name).partition(":")[0]
            near = ["cuda"] if kind == "gpu" else nearest(kind, _TYPES, most=1)
            raise UsageError(
                f"device {shown(name)} is not available on this machine; {did_you_mean(near)}"
                f"{_EXPECTED}"
            ) from error
        reason = short(str(error).split("\n")[0], _MOST_REASON)
        raise UsageError(
            f"device {str(name)!r} is not available on this machine ({reason}); use {_available()}"
        ) from error
    if device.type == "meta":
        raise UsageError(f"device 'meta' has no values to compute with; {_EXPECTED}")
    return device


def _available() -> str:
    """Return the types of device that this machine and this PyTorch have."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return " or ".join(kind for kind in _TYPES if has.get(kind, True))


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first weight; the CPU for a model without weights."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the type of a model's first weight of floating-point numbers, float32 without one."""
    types = (weight.dtype for weight in model.parameters() if weight.is_floating_point())
    return next(types, torch.float32)


@contextlib.contextmanager
def on_device(model: nn.Module, device: str | torch.device | None) -> Iterator[torch.device]:
    """Yield the device that computes; the model is on it until the block ends.

    None is the model's device. Afterwards the model has the tensors that it had before, not copies
    of them: weights, their gradients and buffers. Raises UsageError as `choose_device` does.
    """
    if device is None:
        yield device_of(model)
        return
    device = torch.empty(0, device=choose_device(device)).device  # cuda:0 for cuda
    tensors = [*model.parameters(), *model.buffers()]
    if all(tensor.device == device for tensor in tensors):
        yield device
        return
    with _restored(model):
        model.to(device)
        yield device


@contextlib.contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """Give each layer the weights and buffers back that it had before the block."""
    layers = [(layer, dict(layer._parameters), dict(layer._buffers)) for layer in model.modules()]
    weights = [(weight, weight.data, weight.grad) for weight in model.parameters()]
    gradients = [(grad, grad.data) for _, _, grad in weights if grad is not None]
    try:
        yield
    finally:
        for tensor, values in [*((one, data) for one, data, _ in weights), *gradients]:
            tensor.data = values
        for weight, _, gradient in weights:
            weight.grad = gradient
        for layer, parameters, buffers in layers:
            layer._parameters.update(parameters)
            layer._buffers.update(buffers)
            if isinstance(layer, nn.RNNBase):  # has a list of its weights
                layer._init_flat_weights()
