"""The layers of a model: the shape of their outputs, their parameters and operations."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from bioq.models.eval_mode import eval_mode
from bioq.models.families import FAMILIES
from bioq.models.family import LayerKind, Shape


@dataclass(frozen=True)
class Layer:
    """One step of a forward pass."""

    layer: str
    """Its name in the model, such as `conv`; `windows` for the input."""
    kind: str
    """Operation, such as `convolution 320 x 26, ReLU`."""
    axes: tuple[str, ...]
    """Names of the axes of its output, without the batch."""
    output: tuple[int, ...]
    """Lengths of those axes."""
    parameters: int
    flops: int
    """Floating-point operations of one window: two for every multiplication and addition.
    Activations and pooling, which take few, are not counted."""


@dataclass(frozen=True)
class Summary:
    """The layers of a model, in the order in which a window passes them."""

    name: str
    window_bp: int
    targets: int
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.layers)

    def table(self) -> pd.DataFrame:
        """Return one row per layer, and a last row `total`.

        Columns: layer, kind, output (text such as `320 filters x 75 positions`), parameters, flops.
        """
        rows = [asdict(layer) | {"output": shape_text(layer)} for layer in self.layers]
        rows.append(
            {"layer": "total", "kind": "", "output": ""}
            | {"parameters": self.parameters, "flops": self.flops}
        )
        return pd.DataFrame(rows).drop(columns="axes")


def summarise(model: nn.Module) -> Summary:
    """Pass one window of zeros through a model from `build_model` and describe every layer.

    The model is not changed.
    """
    architecture: dict[str, Any] = model.architecture  # type: ignore[assignment]
    window_bp = architecture["window_bp"]
    layers = [Layer("windows", "one-hot bases", ("base", "position"), (4, window_bp), 0, 0)]

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            result: Tensor = output[0] if isinstance(output, tuple) else output
            kind = _OUTPUT if module is model.output else _kind_of(module)
            shape = tuple(result.shape[1:])  # of one window
            layers.append(
                Layer(
                    name,
                    kind.text(module),
                    kind.axes[-len(shape) :] if kind.axes else layers[-1].axes,
                    shape,
                    sum(weight.numel() for weight in (*module.parameters(), *module.buffers())),
                    kind.flops(module, layers[-1].output, shape),
                )
            )

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in model.named_children()]
    try:
        with torch.no_grad(), eval_mode(model):
            weight = next(model.parameters())
            model(torch.zeros(1, 4, window_bp, device=weight.device, dtype=weight.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return Summary(architecture["name"], window_bp, architecture["targets"], tuple(layers))


def shape_text(layer: Layer) -> str:
    """Return the shape of a layer's output as text: `320 filters x 75 positions`."""
    parts = (
        f"{length:,} {axis if length == 1 else axis + 's'}"
        for axis, length in zip(layer.axes, layer.output, strict=True)
    )
    return " x ".join(parts)


def _kind_of(layer: nn.Module) -> LayerKind:
    """Return the description of a layer's class, or of the nearest class that it inherits from."""
    classes = (kind for kind in type(layer).__mro__ if kind in _KINDS)
    return _KINDS[next(classes, nn.Module)]


def _lstm_text(layer: nn.LSTM) -> str:
    layers = "1 layer" if layer.num_layers == 1 else f"{layer.num_layers} layers"
    return f"bidirectional LSTM, {layers} of 2 x {layer.hidden_size}"


def _convolution_flops(layer: nn.Conv1d, _input: Shape, output: Shape) -> int:
    return 2 * layer.weight.numel() * output[1]  # every weight at each position


def _lstm_flops(layer: nn.LSTM, _input: Shape, output: Shape) -> int:
    weights = (weight.numel() for weight in layer.parameters() if weight.dim() == 2)
    return 2 * sum(weights) * output[0]  # every weight at each position


def _dense_flops(layer: nn.Linear, _input: Shape, output: Shape) -> int:
    return 2 * math.prod(output[:-1]) * layer.weight.numel()  # every weight for each input row


_KINDS: Mapping[type[nn.Module], LayerKind] = {
    nn.Module: LayerKind(lambda layer: type(layer).__name__),
    nn.Conv1d: LayerKind(
        lambda layer: f"convolution {layer.out_channels} x {layer.kernel_size[0]}, ReLU",
        ("filter", "position"),
        _convolution_flops,
    ),
    nn.MaxPool1d: LayerKind(lambda layer: f"max pooling {layer.kernel_size}"),
    nn.Dropout: LayerKind(lambda layer: f"dropout {layer.p:g}, in training"),
    nn.LSTM: LayerKind(_lstm_text, ("position", "unit"), _lstm_flops),
    nn.Linear: LayerKind(lambda _: "dense, ReLU", ("target", "unit"), _dense_flops),
    nn.LayerNorm: LayerKind(lambda _: "norm", ("position", "filter")),
    **{layer: kind for family in FAMILIES for layer, kind in family.layers.items()},
}
_OUTPUT = LayerKind(lambda _: "dense", ("position", "target"), _dense_flops)
"""The last layer, `output` in every model."""
