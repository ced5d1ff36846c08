"""The layers of a model: the shape of their outputs, their parameters and operations."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from bioq.models.eval_mode import eval_mode
from bioq.models.families import FAMILIES
from bioq.models.family import LayerKind, Shape
from bioq.models.hard_lstm import HardLSTM


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
    inputs: tuple[int, ...] = ()
    """Numbers, in the summary, of the layers whose outputs this layer reads."""


@dataclass(frozen=True)
class Summary:
    """The layers of a model, in the order in which they are computed.

    If the logits are a sum of several branches, the last layer is `logits`, which adds them.
    """

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

    @property
    def has_branches(self) -> bool:
        """Whether a layer reads another layer than the one before it."""
        return any(layer.inputs != (number,) for number, layer in enumerate(self.layers[1:]))

    def table(self) -> pd.DataFrame:
        """Return one row per layer, and a last row `total`.

        Columns: layer, input (only if the model has branches: names of the layers that it reads),
        kind, output (text such as `320 filters x 75 positions`), parameters, flops.
        """
        rows = [
            {
                "layer": layer.layer,
                "input": ", ".join(self.layers[number].layer for number in layer.inputs),
                "kind": layer.kind,
                "output": shape_text(layer),
                "parameters": layer.parameters,
                "flops": layer.flops,
            }
            for layer in self.layers
        ]
        rows.append(
            {"layer": "total", "input": "", "kind": "", "output": ""}
            | {"parameters": self.parameters, "flops": self.flops}
        )
        return pd.DataFrame(rows).drop(columns=[] if self.has_branches else "input")


def summarise(model: nn.Module) -> Summary:
    """Pass one window of zeros through a model from `build_model` and describe every layer.

    The model is not changed.
    """
    architecture: dict[str, Any] = model.architecture  # type: ignore[assignment]
    weight = next(model.parameters())
    windows = torch.zeros(1, 4, architecture["window_bp"], device=weight.device, dtype=weight.dtype)
    floor = architecture["sizes"].get("floor", 0.0)
    tracer = _Tracer(windows.requires_grad_(), model.output, floor)
    hooks = [part.register_forward_hook(tracer.hook(name)) for name, part in model.named_children()]
    try:
        with torch.enable_grad(), eval_mode(model):
            logits = model(windows)
    finally:
        for hook in hooks:
            hook.remove()
    tracer.finish(logits)
    layers, targets = tuple(tracer.layers), architecture["targets"]
    return Summary(architecture["name"], architecture["window_bp"], targets, layers)


class _Tracer:
    """Describes the layers while a model computes, and finds the inputs of each.

    A tensor records, for its gradient, the operations that made it; the layers that it comes from
    are the first ones met on the way back. No gradient is computed.
    """

    def __init__(self, windows: Tensor, output: nn.Module | Tensor, floor: float):
        self._relu = f"ReLU with floor {floor:g}" if floor else "ReLU"
        self.layers = [
            Layer("windows", "one-hot bases", ("base", "position"), tuple(windows.shape[1:]), 0, 0)
        ]
        self._windows = windows
        self._output = output
        self._made_by: dict[Any, int] = {}
        """Operation that made the output of a layer -> number of the last such layer."""

    def hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        """Return the forward hook of the layer `name`."""

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            result: Tensor = output[0] if isinstance(output, tuple) else output
            kind = _OUTPUT if module is self._output else _kind_of(module)
            sources = self._sources(*inputs)
            given = self.layers[sources[0]]
            if isinstance(module, nn.ReLU):
                self.layers[sources[0]] = replace(given, kind=f"{given.kind}, {self._relu}")
                return
            shape = tuple(result.shape[1:])  # of one window
            layer = Layer(
                name,
                kind.text(module),
                kind.axes[-len(shape) :] if kind.axes else given.axes,
                shape,
                sum(weight.numel() for weight in (*module.parameters(), *module.buffers())),
                kind.flops(module, given.output, shape),
                sources,
            )
            self._made_by[result.grad_fn] = len(self.layers)
            self.layers.append(layer)

        return note

    def finish(self, logits: Tensor) -> None:
        """Add the layer `logits` if several layers are added to it."""
        sources = self._sources(logits)
        if len(sources) > 1:
            shape = tuple(logits.shape[1:])
            self.layers.append(Layer("logits", "weighted sum", ("target",), shape, 0, 0, sources))

    def _sources(self, *tensors: Tensor) -> tuple[int, ...]:
        """Return the numbers of the layers that tensors come from, ascending."""
        found: set[int] = set()
        seen: set[Any] = set()
        waiting: list[Any] = [
            0 if tensor is self._windows else tensor.grad_fn for tensor in tensors
        ]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if node == 0 or getattr(node, "variable", None) is self._windows:
                found.add(0)
            elif node in self._made_by:
                found.add(self._made_by[node])
            else:
                waiting += [before for before, _ in node.next_functions]
        return tuple(sorted(found))


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


def _lstm_text(layer: nn.LSTM | HardLSTM) -> str:
    layers = "1 layer" if layer.num_layers == 1 else f"{layer.num_layers} layers"
    gates = ", hard gates" if isinstance(layer, HardLSTM) else ""
    return f"bidirectional LSTM, {layers} of 2 x {layer.hidden_size}{gates}"


def _convolution_flops(layer: nn.Conv1d, _input: Shape, output: Shape) -> int:
    return 2 * layer.weight.numel() * output[1]  # every weight at each position


def _lstm_flops(layer: nn.LSTM | HardLSTM, _input: Shape, output: Shape) -> int:
    weights = (weight.numel() for weight in layer.parameters() if weight.dim() == 2)
    return 2 * sum(weights) * output[0]  # every weight at each position


def _dense_flops(layer: nn.Linear, _input: Shape, output: Shape) -> int:
    return 2 * math.prod(output[:-1]) * layer.weight.numel()  # every weight for each input row


_KINDS: Mapping[type[nn.Module], LayerKind] = {
    nn.Module: LayerKind(lambda layer: type(layer).__name__),
    nn.Conv1d: LayerKind(
        lambda layer: f"convolution {layer.out_channels} x {layer.kernel_size[0]}",
        ("filter", "position"),
        _convolution_flops,
    ),
    nn.MaxPool1d: LayerKind(lambda layer: f"max pooling {layer.kernel_size}"),
    nn.Dropout: LayerKind(lambda layer: f"dropout {layer.p:g}, in training"),
    nn.LSTM: LayerKind(_lstm_text, ("position", "unit"), _lstm_flops),
    HardLSTM: LayerKind(_lstm_text, ("position", "unit"), _lstm_flops),
    nn.Linear: LayerKind(lambda _: "dense", ("target", "unit"), _dense_flops),
    nn.LayerNorm: LayerKind(lambda _: "norm", ("position", "filter")),
    **{layer: kind for family in FAMILIES for layer, kind in family.layers.items()},
}
_OUTPUT = LayerKind(lambda _: "dense", ("position", "target"), _dense_flops)
"""The last layer, `output` in every model."""
